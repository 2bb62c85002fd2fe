package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/hub/occupancy"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/test/clustertest"
	"github.com/perijove/perijove/test/wait"
)

// TestHistoryIsKeptByAllReplicasTogether: one sample for both, and a replica that comes later has
// those from before.
func TestHistoryIsKeptByAllReplicasTogether(t *testing.T) {
	t.Parallel()
	client, clock := newClient(), clustertest.NewClock()
	a, stop := bootAt(t, client, clock.Now, settings(t))
	b, _ := bootAt(t, client, clock.Now, settings(t))
	go func() { _ = a.KeepHistory(t.Context()) }()
	wait.Until(t, "the first sample", func() bool { h, err := b.History(t.Context()); return err == nil && len(h) == 1 })
	if err := a.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	pod := onlyPod(t, client)
	memory.Answer(pod)
	if _, err := client.CoreV1().Pods(ns).Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "both see the server", func() bool { return a.running() == 1 && b.running() == 1 })
	clock.Advance(occupancy.Every)
	for _, c := range []*Cluster{a, b, a} {
		if err := c.sample(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	h, err := b.History(t.Context())
	if err != nil || len(h) != 2 || h[1].Running != 1 || !h[1].At.Equal(clock.Now().Truncate(occupancy.Every)) {
		t.Errorf("%+v %v", h, err)
	}
	if users := b.Users(); len(users) != 1 {
		t.Errorf("the history is somebody: %q", users)
	}
}

// TestNodesShowWhatServersRequest: of all servers that the cache knows.
func TestNodesShowWhatServersRequest(t *testing.T) {
	t.Parallel()
	client := newClient(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"},
		Status:     corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")}},
	})
	c, _ := boot(t, client, settings(t))
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	pod := onlyPod(t, client)
	pod.Spec.NodeName = "n1"
	if _, err := client.CoreV1().Pods(ns).Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the server is on the node", func() bool {
		nodes, err := c.Nodes(t.Context())
		return err == nil && len(nodes) == 1 && nodes[0].Servers == 1 && nodes[0].CPU.Allocatable == 4000
	})
}
