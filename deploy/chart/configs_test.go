package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	authz "github.com/perijove/perijove/cmd/authz/app"
	spawner "github.com/perijove/perijove/cmd/spawner/app"
	xdsserver "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/test/pki"
)

// What the chart writes is what the services read: every configuration is loaded as
// the service does it, and validated where that needs no mounted file.
func testConfigs(t *testing.T, helm string) {
	for _, values := range []string{"testdata/onenode.values.yaml", "testdata/production.values.yaml", "testdata/loadbalancer.values.yaml"} {
		maps := objects[corev1.ConfigMap](t, helm, values, "ConfigMap")
		load := func(name, key string, into any) {
			t.Helper()
			path := filepath.Join(t.TempDir(), key)
			if err := os.WriteFile(path, []byte(maps[name].Data[key]), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := config.Load(path, into); err != nil {
				t.Errorf("%s: %s: %v", values, key, err)
			}
		}
		xds := xdsserver.Defaults()
		load("perijove-gateway", "xds-server.yaml", &xds)
		if err := xds.Validate(); err != nil {
			t.Errorf("%s: xds-server.yaml: %v", values, err)
		}
		// Its Validate reads the mounted keys; here the file's shape is what counts.
		login := authz.Defaults()
		load("perijove-gateway", "authz.yaml", &login)
		if login.PublicURL == "" || login.Kubernetes.Namespace != "perijove" || len(login.LDAP.URLs) == 0 {
			t.Errorf("%s: authz.yaml: %+v", values, login)
		}
		if login.KeepLoggedIn != strings.Contains(values, "production") { // off by default
			t.Errorf("%s: logins are kept: %v", values, login.KeepLoggedIn)
		}
		testProviders(t, values, login.OIDC)
		if xds.Envoy.CheckPasses != (login.PassTTL != 0) {
			t.Errorf("%s: Envoy checks passes is %v with a passTTL of %v", values, xds.Envoy.CheckPasses, login.PassTTL)
		}
		spawn := spawner.Defaults()
		load("perijove-spawner", "spawner.yaml", &spawn)
		spawn.ServerKeyFile = keyFile(t)
		spawn.ServersCA = caFiles(t)
		if err := spawn.Validate(); err != nil {
			t.Errorf("%s: spawner.yaml: %v", values, err)
		}
	}
}

// testProviders: whatever is wrong with a provider is that its mounted files are not here.
func testProviders(t *testing.T, values string, all []oidclogin.Config) {
	t.Helper()
	if want := map[string]int{"testdata/loadbalancer.values.yaml": 0}; len(all) != 1 && len(all) != want[values] {
		t.Errorf("%s: %d providers", values, len(all))
	}
	var f config.Faults
	oidclogin.ValidateAll(all, "oidc", &f)
	if f.Err() == nil {
		return
	}
	for _, line := range strings.Split(f.Err().Error(), "\n")[1:] {
		if !strings.Contains(line, "/etc/perijove/oidc/") {
			t.Errorf("%s: %s", values, line)
		}
	}
}

func caFiles(t *testing.T) spawner.KeyPair {
	pair, dir := pki.New(t).Pair(), t.TempDir()
	files := spawner.KeyPair{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	for path, data := range map[string][]byte{files.Cert: pair.Chain, files.Key: pair.Key} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func keyFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, make([]byte, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A changed configuration replaces the pods that read it, and no others: gateways hold
// all users' connections.
func testRolling(t *testing.T, helm string) {
	sums := func(set string) map[string]string {
		out, problem, err := render(helm, "-f", "testdata/onenode.values.yaml", "--set", set)
		if err != nil {
			t.Fatalf("%v\n%s", err, problem)
		}
		found := map[string]string{}
		for _, document := range strings.Split(out, "\n---\n") {
			if sum := checksum.FindString(document); sum != "" {
				found[strings.Fields(document[strings.Index(document, "  name: "):])[1]] = sum
			}
		}
		return found
	}
	before, gateway, spawner, images := sums("auth.passTTL=60s"), sums("auth.passTTL=61s"), sums("spawner.startTimeout=6m"), sums("assets.images={x:1}")
	if images["perijove-assets"] == before["perijove-assets"] || gateway["perijove-assets"] != before["perijove-assets"] || images["perijove-gateway"] != before["perijove-gateway"] {
		t.Errorf("assets.images: %v became %v", before, images)
	}
	if len(before) != 3 {
		t.Fatalf("checksums: %v", before)
	}
	if gateway["perijove-gateway"] == before["perijove-gateway"] || gateway["perijove-spawner"] != before["perijove-spawner"] {
		t.Errorf("passTTL: %v became %v", before, gateway)
	}
	if spawner["perijove-spawner"] == before["perijove-spawner"] || spawner["perijove-gateway"] != before["perijove-gateway"] {
		t.Errorf("startTimeout: %v became %v", before, spawner)
	}
}

// The README's table has every value, down to where a value is one thing.
func TestReadmeNamesEveryValue(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	for top, below := range values {
		for _, key := range leaves(top, below) {
			if !strings.Contains(string(readme), "`"+key+"`") {
				t.Errorf("README.md does not name %s", key)
			}
		}
	}
}

// whole are values whose parts the README explains in words.
var whole = []string{"image", "resources", "profile", "cpu", "memory", "storage", "userSearch", "groupSearch", "bindPasswordSecret", "singleuser.networkPolicy"}

func leaves(path string, value any) []string {
	parts, ok := value.(map[string]any)
	if !ok || len(parts) == 0 || slices.ContainsFunc(whole, func(w string) bool { return path == w || strings.HasSuffix(path, "."+w) }) {
		return []string{path}
	}
	var out []string
	for key, below := range parts {
		out = append(out, leaves(path+"."+key, below)...)
	}
	return out
}
