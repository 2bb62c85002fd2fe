package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	authz "github.com/perijove/perijove/cmd/authz/app"
	xdsserver "github.com/perijove/perijove/cmd/xds-server/app"
)

// S-15: with an Envoy elsewhere both services listen on TCP, with mutual TLS, the routes
// name an address that it can reach, and only that Envoy gets to servers and services.
func testElsewhere(t *testing.T, helm string) {
	args := []string{"--set", "gateway.envoy.enabled=false,gateway.ingress.enabled=false", "--set-json", `gateway.envoy.from=[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"edge"}}}]`}
	data := objects[corev1.ConfigMap](t, helm, production, "ConfigMap", args...)["perijove-gateway"].Data
	xds, login := xdsserver.Defaults(), authz.Defaults()
	decode(t, data["xds-server.yaml"], &xds)
	decode(t, data["authz.yaml"], &login)
	if err := xds.Validate(); err != nil {
		t.Error(err)
	}
	if xds.Listen.XDS != ":18000" || !slices.Equal(xds.Clients.XDS, []string{"perijove-gateway"}) || login.Listen.GRPC != ":18001" || login.Listen.HTTP != ":18002" || login.TLS.CA == "" {
		t.Errorf("xds-server %+v %+v, authz %+v %+v", xds.Listen, xds.Clients, login.Listen, login.TLS)
	}
	const host = "perijove-gateway.perijove.svc"
	if xds.Upstreams.Authz != host+":18001" || xds.Upstreams.Login != host+":18002" {
		t.Errorf("Envoy is sent to %+v", xds.Upstreams)
	}
	testElsewherePod(t, objects[appsv1.Deployment](t, helm, production, "Deployment", args...)["perijove-gateway"].Spec.Template.Spec)
	var ports []string
	for _, p := range objects[corev1.Service](t, helm, production, "Service", args...)["perijove-gateway"].Spec.Ports {
		ports = append(ports, p.Name)
	}
	if !slices.Equal(ports, []string{"xds", "authz", "login"}) {
		t.Errorf("the Service has the ports %v", ports)
	}
	for name, policy := range objects[networkingv1.NetworkPolicy](t, helm, production, "NetworkPolicy", args...) {
		from := policy.Spec.Ingress[0].From
		if len(from) == 0 || from[0].NamespaceSelector.MatchLabels[corev1.LabelMetadataName] != "edge" {
			t.Errorf("%s lets in %+v", name, from)
		}
	}
	for set, key := range map[string]string{
		"gateway.envoy.enabled=false,gateway.ingress.enabled=false":     "gateway.envoy.from:",
		"gateway.envoy.enabled=false":                                   "gateway.ingress.enabled:",
		"gateway.envoy.enabled=false,gateway.hostPort=80":               "gateway.hostPort:",
		"gateway.envoy.enabled=false,gateway.service.type=LoadBalancer": "gateway.service.type:",
	} {
		if _, problem, err := render(helm, "-f", production, "--set", set); err == nil || !strings.Contains(problem, key) {
			t.Errorf("--set %s: want a refusal that names %s: %s", set, key, problem)
		}
	}
	testEnvoyReadme(t, host+", port_value: 18000")
}

func testElsewherePod(t *testing.T, spec corev1.PodSpec) {
	t.Helper()
	var names []string
	for _, c := range spec.Containers {
		names = append(names, c.Name)
		if c.RestartPolicy != nil {
			t.Errorf("%s has a restart policy of its own, which only sidecars may have", c.Name)
		}
		if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/etc/perijove/tls" }) {
			t.Errorf("%s has no certificate", c.Name)
		}
	}
	if !slices.Equal(names, []string{"xds-server", "authz"}) || len(spec.InitContainers) > 0 {
		t.Errorf("containers %v, and %d sidecars", names, len(spec.InitContainers))
	}
}

// The README of an Envoy elsewhere names the address that the chart makes.
func testEnvoyReadme(t *testing.T, address string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "envoy", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{address, "enabled: false", "gateway-tls"} {
		if !strings.Contains(string(text), words) {
			t.Errorf("envoy/README.md does not say %q", words)
		}
	}
}
