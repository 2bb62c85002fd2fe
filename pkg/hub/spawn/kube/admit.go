package kube

import (
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// admit takes one of the places for starting servers. The places taken are those of pods that
// are pending, whichever replica created them, and of those that are being created here.
func (c *Cluster) admit(id server.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := len(c.starting)
	for other := range c.inflight {
		if !c.starting[other] {
			taken++
		}
	}
	if !c.starting[id] && !c.inflight[id] && taken >= c.SpawnLimit {
		return false
	}
	c.inflight[id] = true
	return true
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
	had := c.starting[id]
	defer func() {
		if had && !c.starting[id] {
			c.queue.wake()
		}
	}()
	pod := c.cached(id)
	if pod != nil {
		delete(c.recent, id)
	}
	if pod != nil && c.phase(pod) == spawn.Pending {
		c.starting[id] = true
		return
	}
	delete(c.starting, id)
}
