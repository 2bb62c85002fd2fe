package kube

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/server"
)

// Report notes that a server was in use at a moment, in memory: each report would be a call of the
// API, and programs send one every few minutes. A successor of the pod begins without.
func (c *Cluster) Report(id server.ID, at time.Time) bool {
	pod := c.cached(id)
	if pod == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.After(c.reported[pod.UID]) {
		c.reported[pod.UID] = at
	}
	return true
}

// reportOf returns when a pod was last said to be in use, zero for never.
func (c *Cluster) reportOf(uid types.UID) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reported[uid]
}
