package kube

import (
	"context"
	"fmt"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// Restart lets a server stop and start again. The start is written down before the pod is told to
// end, and every replica begins starts that wait: a spawner that is killed at any moment leaves a
// server that restarts, and none that is only stopped.
func (c *Cluster) Restart(ctx context.Context, r spawn.Request, uid string) error {
	if err := r.ID.Valid(); err != nil {
		return fmt.Errorf("restart server: %w", err)
	}
	if c.record(spawn.Subject{Name: r.ID.User}).Restarts(r.ID.Name, uid) {
		return nil
	}
	pod, err := c.present(ctx, r.ID)
	if err != nil {
		return err
	}
	if pod == nil || string(pod.UID) != uid || pod.DeletionTimestamp != nil {
		return c.Start(ctx, r)
	}
	spec := r.Spec(pod, c.record(spawn.Subject{Name: r.ID.User}))
	if spec.Profile, err = c.Policy().Resolve(r.Owner, spec.Options); err != nil {
		return err
	}
	spec.After = uid
	done, err := c.turns.take(ctx, r.ID.User)
	if err != nil {
		return problem("wait for the user's other requests", err)
	}
	err = c.enqueue(ctx, r, spec)
	done()
	if err == nil {
		c.noteStop(ctx, pod)
	}
	return err
}

// clearWay ends the pod that a restart waits for, and waits until it is gone.
func (c *Cluster) clearWay(ctx context.Context, w spawn.Queued) error {
	pod := c.cached(w.ID)
	if w.After == "" || pod == nil || string(pod.UID) != w.After {
		return nil
	}
	if action := c.plan(pod); pod.DeletionTimestamp == nil || action == spawn.Force {
		c.log.InfoContext(ctx, "server restart begins", "user", w.ID.User, "server", w.ID.Name, "pod", pod.Name, "uid", pod.UID)
		if err := c.remove(ctx, w.ID, pod, action == spawn.Force); err != nil {
			return err
		}
	}
	return c.makeRoom(ctx, w.ID, pod)
}
