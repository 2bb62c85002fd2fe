package kube

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/pool"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// TestAnImageThatCannotWait: the pool pauses instead of making pod after pod, administrators are told what the image does, and
// users start cold.
func TestAnImageThatCannotWait(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	y.unfit = true
	s.Policy = poolPolicy(t, 2, nil)
	var mu sync.Mutex
	var told []string
	s.Warn = func(reason, text string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, reason+": "+text)
	}
	c, _ := y.replica(t, s)
	wait.Until(t, "both pods are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) == 2
	})
	if !strings.Contains(told[0], "PoolFailed: profile lab") || !strings.Contains(told[0], "reads HOME while it is imported") {
		t.Errorf("administrators read %q", told[0])
	}
	for range 3 {
		c.servePoolsOnce(t.Context())
	}
	if n := len(c.pooled()); n != 2 || len(told) != 2 {
		t.Errorf("%d pods were made, %d failures told", n, len(told))
	}
	if n := testutil.ToFloat64(c.pools.failing.WithLabelValues("lab")); n != 2 {
		t.Errorf("%v failures are counted", n)
	}
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	if pod := y.podOf(t, "alice"); spawn.IsPooled(pod) {
		t.Errorf("alice has %s", pod.Name)
	}
}

// TestAPoolFollowsItsProfile: with another image other pods wait; the used one stays, and waits for nobody after its user stopped it.
func TestAPoolFollowsItsProfile(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	var policy atomic.Pointer[spawn.Policy]
	use := func(image string, size int) {
		p := poolPolicy(t, size, func(p *spawn.Profile) { p.Override.Image = image })()
		policy.Store(&p)
	}
	use("example.org/lab:1", 2)
	s.Policy = func() spawn.Policy { return *policy.Load() }
	c, _ := y.replica(t, s)
	y.fill(t, 2, c)
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	y.fill(t, 2, c)
	used := y.podOf(t, "alice")
	use("example.org/lab:2", 2)
	c.servePoolsOnce(t.Context())
	var old, fresh int
	for _, pod := range pods(t, y.client) {
		if p := c.poolPod(&pod); p.State != pool.Used && p.Key == spawn.PoolKey(used) {
			old++
		} else if p.Key != spawn.PoolKey(used) {
			fresh++
		}
	}
	if fresh != 2 || old != 2 { // young ones stay for a moment: two versions of the spawner may run
		t.Errorf("%d pods of the new image, %d of the old one", fresh, old)
	}
	if err := c.Start(t.Context(), ask(server.ID{User: "bob"})); err != nil {
		t.Fatal(err)
	}
	if pod := y.podOf(t, "bob"); spawn.PoolKey(pod) == spawn.PoolKey(used) || pod.Spec.Containers[0].Image != "example.org/lab:2" {
		t.Errorf("bob has a pod of the old image")
	}
	if now := y.podOf(t, "alice"); now.UID != used.UID {
		t.Error("alice's server was replaced")
	}
	if gone, err := c.Stop(t.Context(), alice, stopWait); !gone || err != nil {
		t.Fatalf("stopped: %v, %v", gone, err)
	}
	if slices.ContainsFunc(c.pooled(), func(p *corev1.Pod) bool { return p.UID == used.UID }) {
		t.Error("the used pod is still there")
	}
}
