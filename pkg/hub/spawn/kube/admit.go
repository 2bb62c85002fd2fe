package kube

import (
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// admit takes one of the places for starting servers.
func (c *Cluster) admit(id server.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.taken()
	if !taken[id] && len(taken) >= c.SpawnLimit {
		return false
	}
	c.inflight[id] = c.now()
	return true
}

// taken returns the servers that have a place: those whose pods are pending, whichever replica
// created them, and those that are being created here, for so long each. It must be called with mu
// held.
func (c *Cluster) taken() map[server.ID]bool {
	all := map[server.ID]bool{}
	for _, some := range []map[server.ID]time.Time{c.starting, c.inflight} {
		for id, since := range some {
			if c.now().Sub(since) < spawn.PlaceFor {
				all[id] = true
			}
		}
	}
	return all
}

// release gives the place back; a pod that was created keeps it while it is pending.
func (c *Cluster) release(id server.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.inflight, id)
	c.count(id)
	c.queue.wake()
}

// recount is called after each change of a server's pod in the cache.
func (c *Cluster) recount(id server.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(id)
}

// count must be called with mu held. It looks at the cache and not at what the caller saw: of
// two callers the later one must not write down what was true before.
func (c *Cluster) count(id server.ID) {
	pod := c.cached(id)
	if pod != nil {
		delete(c.recent, id)
	}
	if pod != nil && c.phase(pod) == spawn.Pending {
		c.starting[id] = spawn.Began(pod)
		return
	}
	if _, had := c.starting[id]; had {
		delete(c.starting, id)
		c.queue.wake()
	}
}
