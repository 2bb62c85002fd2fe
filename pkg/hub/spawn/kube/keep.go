package kube

import (
	"context"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// keepEvery is the least time between two writes of Keep about one server, however often users ask.
	keepEvery = 10 * time.Second
	// keepTries is how often a pod may have changed meanwhile: the kubelet writes its status.
	keepTries = 5
)

// Keep notes that a user wants a server to go on: it is in use at this moment, and every replica knows
// when Keep returns. ok is false for a server without a pod.
func (c *Cluster) Keep(ctx context.Context, id server.ID) (ok bool, err error) {
	now := c.now()
	if !c.Report(id, now) {
		return false, nil
	}
	_, err, _ = c.asked.Do("keep "+id.String(), func() (any, error) { return nil, c.keep(context.WithoutCancel(ctx), id, now) })
	return true, err
}

func (c *Cluster) keep(ctx context.Context, id server.ID, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patchTimeout)
	defer cancel()
	pod := c.cached(id)
	for range keepTries {
		if pod == nil || now.Sub(spawn.ReportedUse(pod, now)) < keepEvery {
			return nil // it is gone, or known to be in use
		}
		again, err := c.writeUse(ctx, pod, now)
		if err != nil {
			return problem("keep the server", err)
		}
		if !again {
			return nil
		}
		if pod, err = c.live(ctx, c.writes, id); err != nil {
			return err
		}
	}
	return problem("keep the server", context.DeadlineExceeded)
}
