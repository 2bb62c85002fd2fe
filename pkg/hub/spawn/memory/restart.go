package memory

import (
	"context"
	"fmt"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server/trail"
)

// Restart lets a server stop and start again.
func (c *Cluster) Restart(ctx context.Context, r spawn.Request, uid string) error {
	if err := r.ID.Valid(); err != nil {
		return fmt.Errorf("restart server: %w", err)
	}
	defer c.changes.Notify(r.ID)
	restarts, err := c.restart(ctx, r, uid)
	if err != nil || restarts {
		return err
	}
	return c.Start(ctx, r)
}

// restart reports whether the pod was there to be ended.
func (c *Cluster) restart(ctx context.Context, r spawn.Request, uid string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.record(spawn.Subject{Name: r.ID.User}).Restarts(r.ID.Name, uid) {
		return true, nil
	}
	pod, err := c.find(r.ID)
	if err != nil || pod == nil || string(pod.UID) != uid || pod.DeletionTimestamp != nil {
		return false, err
	}
	spec := r.Spec(pod, c.record(spawn.Subject{Name: r.ID.User}))
	if spec.Profile, err = c.Policy().Resolve(r.Owner, spec.Options); err != nil {
		return false, err
	}
	spec.After = uid
	if err := c.enqueue(r.Owner, spec); err != nil {
		return false, err
	}
	c.note(r.ID, trail.Restarted, trail.Who(ctx))
	c.serve()
	return true, nil
}

// clearWay ends the pod that a restart waits for, and reports whether it is gone.
func (c *Cluster) clearWay(w spawn.Queued) bool {
	pod, _ := c.find(w.ID)
	if w.After == "" || pod == nil || string(pod.UID) != w.After {
		return true
	}
	c.remove(pod)
	return !c.held
}
