package chart

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// K12: every pod of ours passes the "restricted" Pod Security Standard
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/), and writes
// nowhere but into its volumes.
func testRestricted(t *testing.T, helm string) {
	for name, deployment := range objects[appsv1.Deployment](t, helm, "testdata/onenode.values.yaml", "Deployment") {
		restricted(t, name, deployment.Spec.Template.Spec)
		for _, container := range containers(deployment.Spec.Template.Spec) {
			if container.Resources.Limits.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero() {
				t.Errorf("%s/%s: no memory limit or no CPU request", name, container.Name)
			}
		}
	}
}

// restricted checks a pod of ours.
func restricted(t *testing.T, name string, spec corev1.PodSpec) {
	t.Helper()
	pod := spec.SecurityContext
	if pod == nil || !is(pod.RunAsNonRoot) || pod.SeccompProfile == nil || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s: pod security context %+v", name, pod)
	}
	if spec.HostNetwork || spec.HostPID || spec.HostIPC {
		t.Errorf("%s uses a namespace of the host", name)
	}
	for _, container := range containers(spec) {
		security := container.SecurityContext
		if security == nil || security.AllowPrivilegeEscalation == nil || *security.AllowPrivilegeEscalation ||
			!is(security.ReadOnlyRootFilesystem) || security.Capabilities == nil ||
			!slices.Equal(security.Capabilities.Drop, []corev1.Capability{"ALL"}) || security.Capabilities.Add != nil {
			t.Errorf("%s/%s: security context %+v", name, container.Name, security)
		}
	}
	for _, volume := range spec.Volumes {
		if volume.HostPath != nil {
			t.Errorf("%s: volume %s is a folder of the node", name, volume.Name)
		}
	}
}

func is(b *bool) bool { return b != nil && *b }

// K6: Envoy, which faces the internet, and the directory hold no token of the
// Kubernetes API; the gateway's sidecars do.
func testToken(t *testing.T, helm string) {
	deployments := objects[appsv1.Deployment](t, helm, "testdata/onenode.values.yaml", "Deployment")
	for _, name := range []string{"perijove-gateway", "perijove-directory"} {
		if mount := deployments[name].Spec.Template.Spec.AutomountServiceAccountToken; mount == nil || *mount {
			t.Errorf("%s: automountServiceAccountToken is not false", name)
		}
	}
	holders := []string{}
	for _, container := range containers(deployments["perijove-gateway"].Spec.Template.Spec) {
		for _, mount := range container.VolumeMounts {
			if strings.HasPrefix(mount.MountPath, tokenPath) {
				holders = append(holders, container.Name)
			}
		}
	}
	if !slices.Equal(holders, []string{"xds-server", "authz"}) {
		t.Errorf("containers of the gateway with a token: %v", holders)
	}
}

// B8: roles are namespaced, and grant these verbs and no others. A new right is a
// decision: it is written down here too.
func testRights(t *testing.T, helm string) {
	want := map[string]string{
		"perijove-gateway":                       "secrets[perijove-revocations]:get,list,watch,update",
		"perijove-servers/perijove-gateway-pods": "events:create,patch pods:get,list,watch",
		// In a namespace with nothing else in it.
		"perijove-accounts/perijove-accounts": "secrets:get,list,watch,create,update",
		// Where the platform has no Secret.
		"perijove-servers/perijove-spawner": "configmaps:get,list,watch,create,update,delete events:list,watch,create,patch persistentvolumeclaims:get,list,watch,create,patch,delete pods/log:get pods/status:patch " +
			"pods:get,list,watch,create,delete,patch secrets:create servers:publish",
		"perijove-servers/perijove-publisher": "servers:publish",
		// Of an account that may ask nodes how full volumes are, and nothing else.
		"perijove-servers/perijove-diskspace": "serviceaccounts/token[perijove-diskspace]:create",
	}
	for name, role := range objects[rbacv1.Role](t, helm, "testdata/production.values.yaml", "Role") {
		if have := rights(role.Rules); have != want[name] {
			t.Errorf("role %s\nhave %s\nwant %s", name, have, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("roles are missing: %v", want)
	}
	testRightsEverywhere(t, helm)
}

// rights are the rules of a role as one text.
func rights(rules []rbacv1.PolicyRule) string {
	var all []string
	for _, rule := range rules {
		text := strings.Join(rule.Resources, "+")
		if len(rule.ResourceNames) > 0 {
			text += "[" + strings.Join(rule.ResourceNames, "+") + "]"
		}
		all = append(all, text+":"+strings.Join(rule.Verbs, ","))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// testRightsEverywhere: nodes belong to no namespace, so the rights to list them and to ask them are
// over the whole cluster; there is no other, and each can be switched off.
func testRightsEverywhere(t *testing.T, helm string) {
	t.Helper()
	rights := map[string]string{"perijove-perijove-diskspace": "nodes/stats:get", "perijove-perijove-spawner-nodes": "nodes:list"}
	holders := map[string]string{"perijove-perijove-diskspace": "perijove-servers/perijove-diskspace", "perijove-perijove-spawner-nodes": "perijove/perijove-spawner"}
	everywhere := objects[rbacv1.ClusterRole](t, helm, "testdata/production.values.yaml", "ClusterRole")
	for name, role := range everywhere {
		if len(role.Rules) != 1 || strings.Join(role.Rules[0].Resources, ",")+":"+strings.Join(role.Rules[0].Verbs, ",") != rights[name] || role.AggregationRule != nil {
			t.Errorf("cluster role %s: %+v", name, role.Rules)
		}
	}
	bindings := objects[rbacv1.ClusterRoleBinding](t, helm, "testdata/production.values.yaml", "ClusterRoleBinding")
	for name, b := range bindings {
		if len(b.Subjects) != 1 || b.Subjects[0].Namespace+"/"+b.Subjects[0].Name != holders[name] || b.RoleRef.Name != name {
			t.Errorf("cluster role binding %s: %+v", name, b)
		}
	}
	if len(everywhere) != len(rights) || len(bindings) != len(rights) {
		t.Errorf("%d cluster roles, %d bindings", len(everywhere), len(bindings))
	}
	out, _, err := render(helm, "-f", "testdata/production.values.yaml", "--set", "singleuser.storage.freeSpace=false,spawner.listNodes=false")
	if err != nil || strings.Contains(out, "ClusterRole") || strings.Contains(out, "diskspace") || strings.Contains(out, "freeSpaceAccount") {
		t.Errorf("switched off, a right over the whole cluster is granted (or %v)", err)
	}
}
