package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// DeleteUser stops a user's servers and forgets what they had. Home volumes, and all files in
// them, are deleted only where homes says so. It may be called again after an error.
func (c *Cluster) DeleteUser(ctx context.Context, user string, homes bool) error {
	if err := server.ValidUser(user); err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	for _, pod := range c.indexed(byUser, user) {
		id, ok := spawn.Identify(pod)
		if !ok {
			continue
		}
		gone, err := c.Stop(ctx, id, stopWait)
		if err == nil && !gone {
			err = &spawn.Problem{Message: spawn.MsgStopWait, Err: fmt.Errorf("pod %s is still terminating", pod.Name)}
		}
		if err != nil {
			return err
		}
	}
	done, err := c.turns.take(ctx, user)
	if err != nil {
		return problem("wait for the user's other requests", err)
	}
	defer done()
	own := spawn.Subject{Name: user}
	if homes {
		err = c.deleteHomes(ctx, user, c.record(own))
		if err == nil {
			err = c.deleteRecord(ctx, own)
		}
	} else {
		err = c.changeLive(ctx, own, func(r quota.Record) (quota.Record, bool, error) {
			return quota.Record{Subject: user, Volumes: r.Volumes}, true, nil
		})
	}
	if err == nil {
		c.log.InfoContext(ctx, "user deleted", "user", user, "homes", homes)
	}
	return err
}

func (c *Cluster) deleteRecord(ctx context.Context, s spawn.Subject) error {
	err := c.writes.CoreV1().ConfigMaps(c.Site.Namespace).Delete(ctx, s.RecordName(), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return problem("delete record", err)
	}
	return nil
}

// deleteHomes deletes the volumes that are the user's: by the names that homes can have and by
// those in the user's record, each asked whose it is.
func (c *Cluster) deleteHomes(ctx context.Context, user string, r quota.Record) error {
	claims := c.writes.CoreV1().PersistentVolumeClaims(c.Site.Namespace)
	for _, name := range spawn.HomesOf(user, r) {
		claim, err := claims.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && !spawn.BelongsTo(claim, user) {
			continue
		}
		if err != nil {
			return problem("read home volume", err)
		}
		err = claims.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &claim.UID}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return problem("delete home volume", err)
		}
		c.log.WarnContext(ctx, "home volume deleted with all files in it", "user", user, "claim", name, "uid", claim.UID)
	}
	return nil
}
