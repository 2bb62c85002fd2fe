//go:build cluster

package chart

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// The release gets a scheduler of its own, a placeholder and the pre-puller, both ways. A server that the
// spawner makes is scheduled by that scheduler, with its home, in the place of the placeholder if need be.
func TestClusterScheduling(t *testing.T) {
	ctx, admin, helm := context.Background(), as(t, "").CoreV1(), helm(t)
	upgrade := func(args ...string) {
		t.Helper()
		args = append(args, "--namespace", namespace, "--wait", "--timeout", "2m")
		if out, err := exec.Command(helm, args...).CombinedOutput(); err != nil {
			t.Fatalf("helm %v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() { upgrade("rollback", "perijove") })
	upgrade("upgrade", "perijove", ".", "--reset-then-reuse-values", "--set", scheduled+",scheduling.userPlaceholder.replicas=1")

	image := pullers(t)
	wait.Until(t, "a node has the image", func() bool {
		nodes, err := admin.Nodes().List(ctx, metav1.ListOptions{})
		return err == nil && slices.ContainsFunc(nodes.Items, func(n corev1.Node) bool {
			return slices.ContainsFunc(n.Status.Images, func(i corev1.ContainerImage) bool {
				return slices.ContainsFunc(i.Names, func(name string) bool { return strings.HasSuffix(name, image) })
			})
		})
	})
	placeholder, err := admin.Pods(servers).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=user-placeholder"})
	if err != nil || len(placeholder.Items) != 1 || placeholder.Items[0].Status.Phase != corev1.PodRunning {
		t.Fatalf("placeholders: %+v, %v", placeholder, err)
	}

	site := spawn.Site{Namespace: servers, JupyterConfigMap: "perijove-jupyter", Scheduling: spawn.Scheduling{
		Scheduler: "perijove-user-scheduler", PriorityClass: "perijove-server", Neighbours: spawn.Apart,
	}}
	id := server.ID{User: unique()}
	profile := policy(t, helm, "--set", scheduled).Profiles[0]
	spawner := as(t, serviceAccount("perijove-spawner")).CoreV1()
	claim := spawn.Claim(site, profile, id)
	if _, err := spawner.PersistentVolumeClaims(servers).Create(ctx, claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = admin.PersistentVolumeClaims(servers).Delete(ctx, claim.Name, metav1.DeleteOptions{})
	})
	pod := spawn.Pod(site, spawn.Spec{ID: id, Profile: profile, Nonce: "abcdefghij"})
	create(t, spawner.Pods(servers), pod)
	wait.Within(t, time.Minute, "the server has a node", func() bool {
		got, err := admin.Pods(servers).Get(ctx, pod.Name, metav1.GetOptions{})
		return err == nil && got.Spec.NodeName != ""
	})
	wait.Until(t, "an event says who found it", func() bool {
		events, err := admin.Events(servers).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod.Name + ",reason=Scheduled"})
		return err == nil && slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
			return e.ReportingController == site.Scheduling.Scheduler
		})
	})
}

// pullers waits until all pods that hold images run, and returns an image that they pulled.
func pullers(t *testing.T) (image string) {
	t.Helper()
	wait.Within(t, time.Minute, "images are held", func() bool {
		pods, err := as(t, "").CoreV1().Pods(namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=image-puller"})
		if err != nil || len(pods.Items) == 0 {
			return false
		}
		image = pods.Items[0].Spec.InitContainers[0].Image
		return !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodRunning })
	})
	return image
}
