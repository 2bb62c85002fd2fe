package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/test/chart"
	"github.com/perijove/perijove/test/golden"
)

// helm builds the pinned helm once for this test run and returns its path.
func helm(t *testing.T) string {
	t.Helper()
	// go reruns a test when a file that it opened has changed; helm's do not count.
	for _, pattern := range []string{"Chart.yaml", "values*", "templates/*", "examples/*", "files/*.*", "files/labextensions/*/*/*"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			if _, err := os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	binary, err := chart.Helm(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// render runs `helm template`; the error holds what helm printed.
func render(helm string, args ...string) (string, string, error) {
	return chart.Template(helm, "perijove", args...)
}

func TestChart(t *testing.T) {
	helm := helm(t)
	t.Run("golden", func(t *testing.T) { testGolden(t, helm) })
	t.Run("schema", func(t *testing.T) { testSchema(t, helm) })
	t.Run("restricted", func(t *testing.T) { testRestricted(t, helm) })
	t.Run("token", func(t *testing.T) { testToken(t, helm) })
	t.Run("profiles", func(t *testing.T) { testProfileList(t, helm) })
	t.Run("foreign_keys", func(t *testing.T) { testForeignKeys(t, helm) })
	t.Run("examples", func(t *testing.T) { testExamples(t, helm) })
	t.Run("rights", func(t *testing.T) { testRights(t, helm) })
	t.Run("rolling", func(t *testing.T) { testRolling(t, helm) })
	t.Run("drain", func(t *testing.T) { testDrain(t, helm) })
	t.Run("tls", func(t *testing.T) { testTLS(t, helm) })
	t.Run("namespaces", func(t *testing.T) { testNamespaces(t, helm) })
	t.Run("network", func(t *testing.T) { testNetwork(t, helm) })
	t.Run("agreement", func(t *testing.T) { testAgreement(t, helm) })
	t.Run("names", func(t *testing.T) { testNames(t, helm) })
	t.Run("insecure", func(t *testing.T) { testInsecure(t, helm) })
	t.Run("amounts", func(t *testing.T) { testAmounts(t, helm) })
	t.Run("images", func(t *testing.T) { testImages(t, helm) })
	t.Run("pull secrets", func(t *testing.T) { testPullSecrets(t, helm) })
	t.Run("elsewhere", func(t *testing.T) { testElsewhere(t, helm) })
	t.Run("renders alike", func(t *testing.T) { testRendersAlike(t, helm) })
	t.Run("weights", func(t *testing.T) { testWeights(t, helm) })
	t.Run("homes", func(t *testing.T) { testHomesDriver(t, helm) })
	t.Run("assets", func(t *testing.T) { testAssets(t, helm) })
	t.Run("homes faults", func(t *testing.T) { testHomesFaults(t, helm) })
	t.Run("scheduling faults", func(t *testing.T) { testSchedulingFaults(t, helm) })
	t.Run("scheduler", func(t *testing.T) { testScheduler(t, helm) })
	t.Run("placeholders", func(t *testing.T) { testPlaceholders(t, helm) })
	t.Run("prepuller", func(t *testing.T) { testPrePuller(t, helm) })
	t.Run("scheduled restricted", func(t *testing.T) { testScheduledRestricted(t, helm) })
	t.Run("scheduler rights", func(t *testing.T) { testSchedulerRights(t, helm) })
	t.Run("configs", func(t *testing.T) { testConfigs(t, helm) })
}

// generated matches what the chart makes at random: base64 of some length in a Secret.
var generated = regexp.MustCompile(`(?m)^(  (?:tls\.crt|tls\.key|ca\.crt|key|password|session\.key|pass\.pem): )[A-Za-z0-9+/=]{20,}$`)

// revision changes with each file that servers get.
var revision = regexp.MustCompile(`(?m)^( +jupyterRevision: )"[0-9a-f]{16}"$`)

var checksum = regexp.MustCompile(`(?m)^( +checksum/config: )[0-9a-f]{64}$`)

// settle takes out of a rendering what differs between two runs, and whole files that
// have tests of their own: the goldens show what the chart's templates make.
func settle(t *testing.T, out string) string {
	t.Helper()
	out = generated.ReplaceAllString(out, "${1}(generated)")
	out = checksum.ReplaceAllString(out, "${1}(checksum)")
	out = revision.ReplaceAllString(out, "${1}(revision)")
	for _, name := range []string{
		"files/envoy-bootstrap.yaml", "files/jupyter_server_config.py", "files/waiting.py",
		"files/labextensions/@perijove/notices/package.json", "files/labextensions/@perijove/notices/remoteEntry.js",
	} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		indented := "    " + strings.ReplaceAll(string(content), "\n", "\n    ")
		if strings.Count(out, indented) != 1 {
			t.Errorf("%s is not in the rendering once", name)
		}
		out = strings.Replace(out, indented, "    ("+name+")\n    ", 1)
	}
	return out
}

func testGolden(t *testing.T, helm string) {
	values, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(values) < 3 {
		t.Fatalf("found %d values files, %v", len(values), err)
	}
	for _, file := range values {
		t.Run(filepath.Base(file), func(t *testing.T) {
			out, problem, err := render(helm, "-f", file)
			if err != nil {
				t.Fatalf("%v\n%s", err, problem)
			}
			golden.File(t, strings.TrimSuffix(file, ".values.yaml")+".golden.yaml", []byte(settle(t, out)))
			if lint, err := exec.Command(helm, "lint", ".", "--strict", "-f", file).CombinedOutput(); err != nil {
				t.Errorf("helm lint: %v\n%s", err, lint)
			}
		})
	}
}

// A wrong value is refused with its key, and all wrong values at once.
func testSchema(t *testing.T, helm string) {
	const base = "testdata/onenode.values.yaml"
	if _, problem, err := render(helm, "-f", base); err != nil {
		t.Fatalf("the values that the cases below spoil are not good: %v\n%s", err, problem)
	}
	for set, key := range map[string]string{
		"gateway.replica=2":                                    "'replica' not allowed",
		"gateway.service.type=Loadbalancer":                    "/gateway/service/type",
		"gateway.tls.secretName=edge":                          "/publicURL", // of plain http
		"gateway.tls.port=0":                                   "/gateway/tls/port",
		"gateway.hostPort=70000":                               "/gateway/hostPort",
		"gateway.drainSeconds=0":                               "/gateway/drainSeconds",
		"auth.subdomains.domain=*.x.test":                      "/auth/subdomains/domain",
		"auth.subdomains.domain=https://x.test":                "/auth/subdomains/domain",
		"publicURL=localhost:8000":                             "/publicURL",
		"publicURL=http://localhost:8000/hub":                  "/publicURL",
		"extraHosts={*}":                                       "/extraHosts/0",
		"spawner.startTimeout=5 minutes":                       "/spawner/startTimeout",
		"singleuser.memory.limit=lots":                         "/singleuser/memory/limit",
		"singleuser.extraLabels.a=b":                           "'extraLabels' not allowed",
		"singleuser.profile.slug=Big One":                      "/singleuser/profile/slug",
		"auth.ldap.urls={http://ldap}":                         "/auth/ldap/urls/0",
		"auth.ldap.userSearch.filter=uid=x":                    "/auth/ldap/userSearch/filter",
		"auth.ldap.groupSearch.nestedFilter=member":            "/auth/ldap/groupSearch/nestedFilter",
		"devDirectory.enabled=false,devProvider.enabled=false": "/auth/ldap/urls",
		"devDirectory.enabled=false,devProvider.enabled=false,auth.ldap.bindDN=cn=x": "/auth/ldap/bindPasswordSecret/name",
		"auth.oidc[0].id=UP":                          "/auth/oidc/0/id",
		"auth.oidc[0].issuer=http://op":               "/auth/oidc/0/issuer",
		"auth.oidc[0].allowedGroup=x":                 "'allowedGroup' not allowed",
		"auth.oidc[0].name=x":                         "'allowedGroups'", // is missing
		"publicURL=https://hub.test":                  "/publicURL",      // the development provider is for this machine
		"gateway.replicas=2,gateway.hostPort=null":    "/gateway/replicas",
		"auth.revocations.mode=maybe":                 "/auth/revocations/mode",
		"auth.sessionIdle=2 hours":                    "/auth/sessionIdle",
		"networkPolicy.enabled=maybe":                 "/networkPolicy/enabled",
		"admissionPolicy.publishers[0].kind=Everyone": "/admissionPolicy/publishers/0",
		"gateway.envoy.image.pullPolicy=Sometimes":    "/gateway/envoy/image/pullPolicy",
		"nonsense=1": "'nonsense' not allowed",
	} {
		_, problem, err := render(helm, "-f", base, "--set", set)
		if err == nil || !strings.Contains(problem, key) {
			t.Errorf("--set %s: want a refusal that names %s, have err %v\n%s", set, key, err, problem)
		}
	}
	_, problem, _ := render(helm, "-f", base, "--set", "publicURL=x,gateway.replicas=0")
	if !strings.Contains(problem, "/publicURL") || !strings.Contains(problem, "/gateway/replicas") {
		t.Errorf("two faults, one message: %s", problem)
	}
}

// Envoy's bootstrap is written once, in envoy/; helm cannot reach it there.
func TestBootstrapIsTheRepositorys(t *testing.T) {
	const copied, original = "files/envoy-bootstrap.yaml", "../../envoy/bootstrap.yaml"
	want, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, copied, want)
}

// objects renders a values file (and further flags of helm) and decodes those of one
// kind. Keys are names; of objects outside the release's namespace, namespace/name.
func objects[T any](t *testing.T, helm, values, kind string, args ...string) map[string]T {
	t.Helper()
	out, problem, err := render(helm, append([]string{"-f", values}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, problem)
	}
	found := map[string]T{}
	for _, document := range strings.Split(out, "\n---\n") {
		var head struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if head.Kind != kind {
			continue
		}
		var object T
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			t.Fatalf("%s %s: %v", kind, head.Metadata.Name, err)
		}
		key := head.Metadata.Name
		if space := head.Metadata.Namespace; space != "" && space != "perijove" {
			key = space + "/" + key
		}
		if _, twice := found[key]; twice {
			t.Errorf("%s %s is there twice", kind, key)
		}
		found[key] = object
	}
	if len(found) == 0 {
		t.Fatalf("no %s in %s", kind, values)
	}
	return found
}

// containers returns all containers of a pod, sidecars included.
func containers(spec corev1.PodSpec) []corev1.Container {
	return append(append([]corev1.Container{}, spec.InitContainers...), spec.Containers...)
}
