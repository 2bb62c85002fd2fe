package chart

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// scheduled turns on all that is about nodes.
const scheduled = "scheduling.strategy=spread,scheduling.podPriority.enabled=true,scheduling.userPlaceholder.replicas=2,prePuller.hook.enabled=true,prePuller.continuous.enabled=true"

// A placeholder has what a server is guaranteed, is where servers are, and is none itself.
func testPlaceholders(t *testing.T, helm string) {
	args := []string{"--set", scheduled, "--set-json", `singleuser.nodeSelector={"pool":"users"},singleuser.extraTolerations=[{"key":"users","operator":"Exists"}],singleuser.extraResource.limits={"nvidia.com/gpu":1}`}
	pod := objects[appsv1.Deployment](t, helm, onenode, "Deployment", args...)["perijove-servers/perijove-user-placeholder"].Spec.Template
	made := &corev1.Pod{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	if _, ours := spawn.Identify(made); ours {
		t.Error("the spawner takes a placeholder for a server")
	}
	if s, err := podmeta.Read(made); err == nil {
		t.Errorf("a placeholder is published as %v", s.ID)
	}
	p, err := policy(t, helm, args...).Resolve(access.User{Name: "alice"}, spawn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := spawn.Pod(spawn.Site{}, spawn.Spec{Profile: p}).Spec
	have, want := pod.Spec.Containers[0].Resources, server.Containers[0].Resources
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if h, w := have.Requests[name], want.Requests[name]; h.Cmp(w) != 0 {
			t.Errorf("a placeholder keeps %s %s, a server is guaranteed %s", h.String(), name, w.String())
		}
	}
	if gpu := have.Limits["nvidia.com/gpu"]; gpu.Value() != 1 {
		t.Errorf("a placeholder keeps %v", have)
	}
	for what, same := range map[string]bool{
		"selector": pod.Spec.NodeSelector["pool"] == "users" && server.NodeSelector["pool"] == "users",
		"tolerations": slices.EqualFunc(pod.Spec.Tolerations, server.Tolerations, func(a, b corev1.Toleration) bool {
			return a.Key == b.Key && a.Operator == b.Operator && a.Effect == b.Effect
		}),
		"scheduler": pod.Spec.SchedulerName == "perijove-user-scheduler",
		"priority":  pod.Spec.PriorityClassName == "perijove-placeholder",
	} {
		if !same {
			t.Errorf("another %s: placeholder %+v, server %+v %+v", what, pod.Spec, server.NodeSelector, server.Tolerations)
		}
	}
	out, problem, err := render(helm, "-f", onenode, "--set", "scheduling.userPlaceholder.replicas=1")
	if err == nil || !strings.Contains(problem, "scheduling.userPlaceholder.replicas: are 1 and need scheduling.podPriority.enabled") {
		t.Errorf("placeholders that no server can replace: %s%s", out, problem)
	}
}

// pulls are the images of a kind of DaemonSet, by the nodes that they are on.
func pulls(t *testing.T, helm, component string, args ...string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, d := range objects[appsv1.DaemonSet](t, helm, onenode, "DaemonSet", args...) {
		if d.Labels["app.kubernetes.io/component"] != component {
			continue
		}
		spec := d.Spec.Template.Spec
		where := spec.NodeSelector["pool"]
		for _, toleration := range spec.Tolerations {
			where += " " + toleration.Key
		}
		for _, c := range spec.InitContainers {
			all[where] = append(all[where], c.Image)
		}
	}
	return all
}

// The images of profiles, of their choices and of groups are on the nodes where such servers can be, and on
// no others.
func testPrePuller(t *testing.T, helm string) {
	args := []string{"--set", scheduled, "--set-json", `singleuser.nodeSelector={"pool":"users"},singleuser.groupOverrides={"a":{"groups":["x"],"spawner_override":{"image":"a.test/group:1"}}},singleuser.profileList=[
{"display_name":"A","kubespawner_override":{"image":"a.test/a:1"},"profile_options":{"o":{"unlisted_choice":{"enabled":true,"display_name":"Any","kubespawner_override":{"image":"{value}"}},
  "choices":{"one":{"display_name":"1","kubespawner_override":{"image":"a.test/choice:1"}},"two":{"display_name":"2","kubespawner_override":{"mem_limit":"4G"}}}}}},
{"display_name":"B"},
{"display_name":"GPU","kubespawner_override":{"image":"a.test/gpu:1","node_selector":{"pool":"gpu"},"extra_resource_limits":{"nvidia.com/gpu":1},"tolerations":[{"key":"mine","operator":"Exists"}]}}]`}
	want := map[string][]string{
		"users":                   {"a.test/a:1", "a.test/choice:1", "perijove/notebook:0.1.0", "a.test/group:1"},
		"gpu mine nvidia.com/gpu": {"a.test/gpu:1"},
	}
	for _, component := range []string{"image-puller", "hook-image-puller"} {
		have := pulls(t, helm, component, args...)
		if len(have) != len(want) {
			t.Errorf("%s: %v", component, have)
		}
		for where, images := range want {
			if slices.Sort(images); !slices.Equal(slices.Sorted(slices.Values(have[where])), images) {
				t.Errorf("%s: on the nodes %q are %v, want %v", component, where, have[where], images)
			}
		}
	}
	if have := pulls(t, helm, "image-puller", "--set", scheduled); len(have) != 1 || !slices.Equal(have[""], []string{"perijove/notebook:0.1.0"}) {
		t.Errorf("one profile: %v", have)
	}
	out, _, err := render(helm, "-f", onenode)
	if err != nil || strings.Contains(out, "kind: DaemonSet") || strings.Contains(out, "PriorityClass") {
		t.Errorf("images are pulled that nobody asked for, or %v", err)
	}
}

// K12: what is about nodes complies with the "restricted" standard too.
func testScheduledRestricted(t *testing.T, helm string) {
	specs := map[string]corev1.PodSpec{}
	for name, d := range objects[appsv1.DaemonSet](t, helm, onenode, "DaemonSet", "--set", scheduled) {
		specs[name] = d.Spec.Template.Spec
	}
	for name, j := range objects[batchv1.Job](t, helm, onenode, "Job", "--set", scheduled) {
		specs[name] = j.Spec.Template.Spec
	}
	for name, d := range objects[appsv1.Deployment](t, helm, onenode, "Deployment", "--set", scheduled) {
		specs[name] = d.Spec.Template.Spec
	}
	if len(specs) < 6 {
		t.Fatalf("pods of %d kinds", len(specs))
	}
	for name, spec := range specs {
		restricted(t, name, spec)
	}
}

// B8: the scheduler binds, marks and ends pods where servers live, and changes volumes; elsewhere it reads.
func testSchedulerRights(t *testing.T, helm string) {
	args := []string{"--set", scheduled}
	have := map[string]string{}
	for name, role := range objects[rbacv1.Role](t, helm, production, "Role", args...) {
		have[name] = rights(role.Rules)
	}
	for name, role := range objects[rbacv1.ClusterRole](t, helm, production, "ClusterRole", args...) {
		have[name] = rights(role.Rules)
	}
	for name, want := range map[string]string{
		"perijove-servers/perijove-user-scheduler": "events:create,patch persistentvolumeclaims:update pods/binding:create pods/status:patch pods:delete",
		"perijove-user-scheduler-leader":           "events:create leases:create leases[perijove-user-scheduler]:get,update",
		"perijove-image-awaiter":                   "daemonsets:get,list,watch",
		"perijove-perijove-user-scheduler": "*:get,list,watch nodes+namespaces+pods+persistentvolumeclaims:get,list,watch persistentvolumes:get,list,watch,update " +
			"poddisruptionbudgets:get,list,watch",
	} {
		if have[name] != want {
			t.Errorf("role %s\nhave %s\nwant %s", name, have[name], want)
		}
	}
	for _, rule := range objects[rbacv1.ClusterRole](t, helm, production, "ClusterRole", args...)["perijove-perijove-user-scheduler"].Rules {
		if slices.Contains(rule.Resources, "*") && slices.Contains(rule.APIGroups, "") {
			t.Error("the scheduler may read Secrets")
		}
	}
}
