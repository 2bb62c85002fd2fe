package kube

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/server"
)

// lookAgain is how often a wait asks the API by itself: a watch that broke must not cost
// the whole wait.
const lookAgain = time.Second

// Stop takes a start that waits out of the queue, deletes the server's pod and waits up to wait for
// it to be gone. gone is also true when there was none. The pod is named by its UID, so that a
// server that was started again meanwhile survives.
func (c *Cluster) Stop(ctx context.Context, id server.ID, wait time.Duration) (gone bool, err error) {
	began := c.now()
	pod := c.cached(id)
	if pod == nil || c.waits(id) {
		if err := c.leave(ctx, id); err != nil {
			return false, err
		}
	}
	if pod == nil {
		// Another replica may have created one a moment ago, and a stop must not miss it.
		if pod, err = c.shared(ctx, id); err != nil || pod == nil {
			return err == nil, err
		}
	}
	if pod.DeletionTimestamp == nil {
		c.noteStop(ctx, pod)
		if err := c.remove(ctx, id, pod, false); err != nil {
			return false, err
		}
		c.log.InfoContext(ctx, "server stop requested", "user", id.User, "server", id.Name, "pod", pod.Name, "uid", pod.UID)
	}
	gone, err = c.awaitGone(ctx, id, pod.UID, wait)
	if gone {
		c.settle(ctx, id, pod)
		c.metrics.stopped(c.now().Sub(began))
	}
	return gone, err
}

// remove asks for the deletion of exactly this pod. With force the API forgets it at once,
// whatever the node does: for nodes that are away.
func (c *Cluster) remove(ctx context.Context, id server.ID, pod *corev1.Pod, force bool) error {
	done, err := c.turns.take(ctx, id.User)
	if err != nil {
		return problem("wait for the user's other requests", err)
	}
	defer done()
	how := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}}
	if force {
		how.GracePeriodSeconds = new(int64(0))
	}
	err = c.writes.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, how)
	// Conflict: the name belongs to a newer pod by now, so this one is gone.
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return problem("delete pod", err)
	}
	return nil
}

// awaitGone waits until the pod is gone: from the cache too, so that the page that follows
// does not show it.
func (c *Cluster) awaitGone(ctx context.Context, id server.ID, uid types.UID, wait time.Duration) (bool, error) {
	changed, stop := c.Watch(id)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for ask := true; ; {
		if pod := c.cached(id); pod == nil || pod.UID != uid || ask {
			pod, err := c.live(ctx, c.writes, id)
			if ctx.Err() != nil {
				return false, nil //nolint:nilerr // time is up: not gone yet
			}
			if err != nil {
				return false, err
			}
			if pod == nil || pod.UID != uid {
				c.awaitCache(ctx, id, func(pod *corev1.Pod) bool { return pod == nil || pod.UID != uid })
				return true, nil
			}
		}
		select {
		case <-changed:
			ask = false // the cache says enough until it says that the pod is gone
		case <-again.C:
			ask = true
		case <-ctx.Done():
			return false, nil
		}
	}
}
