package kube

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/test/clustertest"
	"github.com/perijove/perijove/test/wait"
)

// TestR5_KilledWhileARestartIsWritten kills the spawner after its first, second, … write of a
// restart. Once the restart is accepted another replica brings it to its end without a request: one
// pod, another one than before.
func TestR5_KilledWhileARestartIsWritten(t *testing.T) {
	t.Parallel()
	for crash := 1; ; crash++ {
		clock := clustertest.NewClock()
		client := newClientAt(clock.Now)
		s := settings(t)
		first, stop := bootAt(t, client, clock.Now, s)
		if err := first.Start(t.Context(), ask(alice)); err != nil {
			t.Fatal(err)
		}
		pod := onlyPod(t, client)
		old := pod.UID
		memory.Answer(pod)
		setStatus(t, client, func(status *corev1.PodStatus) { *status = pod.Status })
		wait.Until(t, "the server answers", func() bool {
			now, err := first.Get(t.Context(), alice)
			return err == nil && now.Phase == spawn.Answering
		})
		var dead atomic.Bool
		var mu sync.Mutex
		writes := 0
		client.PrependReactor("*", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
			mu.Lock()
			defer mu.Unlock()
			if verb := a.GetVerb(); !dead.Load() && (verb == "create" || verb == "update" || verb == "delete") {
				writes++
			}
			if writes > crash {
				dead.Store(true)
				return true, nil, errors.New("spawner was killed")
			}
			return false, nil, nil
		})
		if err := first.Restart(t.Context(), ask(alice), string(old)); err != nil {
			t.Fatalf("crash after write %d: %v", crash, err)
		}
		wait.Until(t, "the restart ends, or the spawner", func() bool {
			return dead.Load() || successor(t, first, old)
		})
		stop()
		if !dead.Load() {
			if crash < 4 { // the record, the old pod, the record, the new pod
				t.Errorf("a restart writes %d times", crash)
			}
			return
		}
		client.ReactionChain = client.ReactionChain[1:]
		clock.Advance(spawn.Lease + time.Second) // what the first one had begun is another one's now
		second, _ := bootAt(t, client, clock.Now, s)
		wait.Until(t, "another replica restarts the server", func() bool { return successor(t, second, old) })
		if got := onlyPod(t, client); got.UID == old {
			t.Errorf("crash after write %d: the old pod is there", crash)
		}
	}
}

// successor reports whether alice's server has another pod than old, and waits for nothing.
func successor(t *testing.T, c *Cluster, old types.UID) bool {
	t.Helper()
	s, err := c.Get(t.Context(), alice)
	return err == nil && s.UID != "" && s.UID != string(old) && !c.waits(alice)
}
