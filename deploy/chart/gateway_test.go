package chart

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// R7: Envoy is drained before it stops, has the time for it, and its sidecars outlive it.
func testDrain(t *testing.T, helm string) {
	spec := objects[appsv1.Deployment](t, helm, "testdata/production.values.yaml", "Deployment")["perijove-gateway"].Spec.Template.Spec
	envoy := spec.Containers[0]
	hook := envoy.Lifecycle.PreStop.Exec
	if hook == nil || !slices.Equal(hook.Command, []string{"/drain", "-limit", "300s"}) {
		t.Errorf("preStop is %+v", envoy.Lifecycle.PreStop)
	}
	if grace := *spec.TerminationGracePeriodSeconds; grace < 300+10 {
		t.Errorf("a grace of %d s leaves no time after a drain of 300 s", grace)
	}
	if envoy.ReadinessProbe.FailureThreshold != 1 {
		t.Errorf("a draining Envoy counts as ready for %d probes", envoy.ReadinessProbe.FailureThreshold)
	}
	if len(spec.Containers) != 1 || len(spec.InitContainers) != 2 {
		t.Fatalf("%d containers and %d sidecars", len(spec.Containers), len(spec.InitContainers))
	}
	for _, sidecar := range spec.InitContainers {
		if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			t.Errorf("%s is no sidecar: it would not outlive Envoy", sidecar.Name)
		}
	}
}

// With gateway.tls users reach Envoy's TLS port, plain text leads nowhere else, and
// the gateway may read that one Secret more.
func testTLS(t *testing.T, helm string) {
	const values = "testdata/loadbalancer.values.yaml"
	ports := map[string]string{}
	for _, p := range objects[corev1.Service](t, helm, values, "Service")["perijove-gateway"].Spec.Ports {
		ports[p.Name] = p.TargetPort.String()
		if want := map[string]int32{"https": 443, "http": 80}[p.Name]; p.Port != want {
			t.Errorf("port %s is %d, want %d", p.Name, p.Port, want)
		}
	}
	if len(ports) != 2 || ports["https"] != "https" || ports["http"] != "http" {
		t.Errorf("service ports %v", ports)
	}
	numbers := map[string]int32{}
	for _, c := range containers(objects[appsv1.Deployment](t, helm, values, "Deployment")["perijove-gateway"].Spec.Template.Spec) {
		for _, p := range c.Ports {
			numbers[p.Name] = p.ContainerPort
		}
	}
	config := objects[corev1.ConfigMap](t, helm, values, "ConfigMap")["perijove-gateway"].Data["xds-server.yaml"]
	for _, line := range []string{"port: 8443", "secret: jupyter-tls", "namespace: perijove", "redirectPort: 8000"} {
		if !strings.Contains(config, line) {
			t.Errorf("xds-server.yaml has no %q", line)
		}
	}
	if numbers["https"] != 8443 || numbers["http"] != 8000 {
		t.Errorf("container ports %v are not those of the configuration", numbers)
	}
	var rights []string
	for _, rule := range objects[rbacv1.Role](t, helm, values, "Role")["perijove-gateway"].Rules {
		if slices.Equal(rule.Resources, []string{"secrets"}) {
			rights = append(rights, strings.Join(rule.ResourceNames, "+")+":"+strings.Join(rule.Verbs, ","))
		}
	}
	if have := strings.Join(rights, " "); have != "perijove-revocations:get,list,watch,update jupyter-tls:get,list,watch" {
		t.Errorf("Secrets of the gateway: %s", have)
	}
	out, problem, err := render(helm, "-f", values, "--set", "gateway.tls.redirect=false")
	if err != nil || strings.Contains(out, "name: http,") || strings.Contains(out, "name: http\n") {
		t.Errorf("a plain-text port without a redirect: %v %s", err, problem)
	}
}
