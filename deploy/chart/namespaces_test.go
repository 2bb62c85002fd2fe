package chart

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	spawner "github.com/perijove/perijove/cmd/spawner/app"
	xdsserver "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/run/config"
)

const onenode = "testdata/onenode.values.yaml"

// S10, K12: servers live apart from the platform's keys, where the namespace refuses pods
// with privileges. An administrator may name another namespace, the release's own included.
func testNamespaces(t *testing.T, helm string) {
	for _, c := range []struct {
		name, servers string
		made          bool
		args          []string
	}{
		{"default", "perijove-servers", true, nil},
		{"named", "people", true, []string{"--set", "singleuser.namespace=people"}},
		{"there already", "people", false, []string{"--set", "singleuser.namespace=people,singleuser.createNamespace=false"}},
		{"beside the platform", "perijove", false, []string{"--set", "singleuser.namespace=perijove"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testServersNamespace(t, helm, c.servers, c.made, c.args...)
		})
	}
	t.Run("further ones", func(t *testing.T) { testExtraNamespaces(t, helm) })
}

func testServersNamespace(t *testing.T, helm, servers string, made bool, args ...string) {
	at := func(name string) string {
		if servers == "perijove" {
			return name
		}
		return servers + "/" + name
	}
	space, found := objects[corev1.Namespace](t, helm, onenode, "Namespace", args...)[servers]
	if found != made {
		t.Fatalf("namespace %s in the rendering: %v, want %v", servers, found, made)
	}
	if made && space.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("labels of %s: %v", servers, space.Labels)
	}
	if made && space.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Error("helm uninstall would delete all home volumes")
	}
	maps := objects[corev1.ConfigMap](t, helm, onenode, "ConfigMap", args...)
	if _, ok := maps[at("perijove-jupyter")]; !ok {
		t.Error("pods could not mount the Jupyter configuration")
	}
	spawn, xds := spawner.Defaults(), xdsserver.Defaults()
	decode(t, maps["perijove-spawner"].Data["spawner.yaml"], &spawn)
	decode(t, maps["perijove-gateway"].Data["xds-server.yaml"], &xds)
	if spawn.Namespace != servers || !slices.Equal(xds.Kubernetes.Namespaces, []string{servers}) {
		t.Errorf("the spawner makes servers in %s, the xds-server watches %v", spawn.Namespace, xds.Kubernetes.Namespaces)
	}
	roles := objects[rbacv1.Role](t, helm, onenode, "Role", args...)
	for _, name := range []string{"perijove-spawner", "perijove-gateway-pods"} {
		if _, ok := roles[at(name)]; !ok {
			t.Errorf("no role %s in %s", name, servers)
		}
	}
	if _, beside := roles["perijove-spawner"]; beside != (servers == "perijove") {
		t.Error("the spawner has rights beside the platform's keys")
	}
	for name, binding := range objects[rbacv1.RoleBinding](t, helm, onenode, "RoleBinding", args...) {
		if binding.Subjects[0].Namespace != "perijove" {
			t.Errorf("%s binds an account of %s", name, binding.Subjects[0].Namespace)
		}
	}
	if have := guarded(t, helm, args...); !slices.Equal(have, []string{servers}) {
		t.Errorf("the admission policy holds in %v", have)
	}
}

// decode reads a configuration as its service does.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := config.Decode([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// guarded returns the namespaces in which the policy on published pods holds.
func guarded(t *testing.T, helm string, args ...string) []string {
	t.Helper()
	bindings := objects[admissionv1.ValidatingAdmissionPolicyBinding](t, helm, onenode, "ValidatingAdmissionPolicyBinding", args...)
	return bindings["perijove-perijove-servers"].Spec.MatchResources.NamespaceSelector.MatchExpressions[0].Values
}

// Pods are watched, guarded and shielded in every namespace that publishes some.
func testExtraNamespaces(t *testing.T, helm string) {
	args := []string{"--set", "extraNamespaces={lab,perijove-servers},admissionPolicy.publishers[0].kind=Group,admissionPolicy.publishers[0].name=ops"}
	want := []string{"perijove-servers", "lab"}
	xds := xdsserver.Defaults()
	decode(t, objects[corev1.ConfigMap](t, helm, onenode, "ConfigMap", args...)["perijove-gateway"].Data["xds-server.yaml"], &xds)
	if !slices.Equal(xds.Kubernetes.Namespaces, want) || !slices.Equal(guarded(t, helm, args...), want) {
		t.Errorf("watched: %v, guarded: %v", xds.Kubernetes.Namespaces, guarded(t, helm, args...))
	}
	out, problem, err := render(helm, append([]string{"-f", onenode}, args...)...)
	if err != nil {
		t.Fatal(problem)
	}
	for _, name := range []string{"perijove-gateway-pods", "perijove-publisher", "perijove-published"} {
		if n := strings.Count(out, "  name: "+name+"\n  namespace: lab\n"); n == 0 {
			t.Errorf("no %s in lab", name)
		}
	}
	if strings.Contains(out, "name: perijove-spawner\n  namespace: lab") {
		t.Error("the spawner may make servers where there are none")
	}
	var pages spawner.Config
	decode(t, objects[corev1.ConfigMap](t, helm, onenode, "ConfigMap", args...)["perijove-spawner"].Data["spawner.yaml"], &pages)
	role := objects[rbacv1.Role](t, helm, onenode, "Role", args...)["lab/perijove-spawner-pods"]
	if !slices.Equal(pages.PublishedNamespaces, want) || len(role.Rules) != 1 || !slices.Equal(role.Rules[0].Verbs, []string{"get", "list", "watch"}) || !slices.Equal(role.Rules[0].Resources, []string{"pods"}) {
		t.Errorf("home pages list pods of %v, by the rights %v", pages.PublishedNamespaces, role.Rules)
	}
	if _, ok := objects[rbacv1.Role](t, helm, onenode, "Role")["lab/perijove-spawner-pods"]; ok {
		t.Error("negative control: rights in a namespace that publishes nothing")
	}
}
