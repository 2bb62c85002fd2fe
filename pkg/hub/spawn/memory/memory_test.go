package memory_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/clustertest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	clustertest.Run(t, func(t *testing.T) *clustertest.Env {
		clock := clustertest.NewClock()
		c := memory.New(clock.Now, memory.Settings{
			Site: clustertest.Site(), Policy: clustertest.Policy,
			StartTimeout: clustertest.StartTimeout, SpawnLimit: clustertest.SpawnLimit,
		})
		return &clustertest.Env{
			Cluster: c, Clock: clock, Put: c.Put, Refuse: refuse(c), Hold: c.Hold, Release: c.Release, Pods: c.Pods, Homes: c.Homes,
			Change: func(id server.ID, change func(*corev1.Pod)) {
				if !c.Change(id, change) {
					t.Errorf("%s has no pod to change", id)
				}
			},
		}
	})
}

// refuse lets a cluster make no pods, as one does whose quota is used up.
func refuse(c *memory.Cluster) func(bool) {
	return func(refuse bool) {
		if !refuse {
			c.Refuse(nil)
			return
		}
		c.Refuse(&spawn.Problem{Message: spawn.MsgQuota})
	}
}
