package kube

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server/trail"
	"github.com/perijove/perijove/test/wait"
)

// TestTrailTellsHowAServerEnded: one that the platform stopped, which no request did, and one whose
// stop took longer than the request.
func TestTrailTellsHowAServerEnded(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	ends := func(what trail.What, by string) {
		t.Helper()
		wait.Until(t, "the trail ends with "+string(what), func() bool {
			c.tendOnce(t.Context())
			all := c.Trail("alice")
			if len(all) == 0 {
				return false
			}
			last := all[len(all)-1]
			return last.What == what && last.By == by && last.Of == alice.Name
		})
	}
	if err := c.Start(trail.As(t.Context(), "alice"), ask(alice)); err != nil {
		t.Fatal(err)
	}
	ends(trail.Started, "alice")
	pod := onlyPod(t, client)
	memory.Answer(pod)
	memory.Cull(pod)
	if _, err := client.CoreV1().Pods(ns).Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	ends(trail.Culled, "")

	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	ends(trail.Started, "")
	pod = onlyPod(t, client)
	c.noteStop(trail.As(t.Context(), "carol"), pod) // the request is over before the pod is
	if err := client.CoreV1().Pods(ns).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ends(trail.Stopped, "carol")
	if len(c.ends) > 2 {
		t.Errorf("%d ends are remembered", len(c.ends))
	}
}
