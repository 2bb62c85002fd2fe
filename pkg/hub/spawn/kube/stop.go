package kube

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/server"
)

// lookAgain is how often a wait asks the API by itself: a watch that broke must not cost
// the whole wait.
const lookAgain = time.Second

// Stop deletes the server's pod and waits up to wait for it to be gone. gone is also
// true when there was none. The pod is named by its UID, so that a server that was
// started again meanwhile survives.
func (c *Cluster) Stop(ctx context.Context, id server.ID, wait time.Duration) (gone bool, err error) {
	began := c.now()
	pod, err := c.live(ctx, id)
	if err != nil || pod == nil {
		return err == nil, err
	}
	if err := c.remove(ctx, pod); err != nil {
		return false, err
	}
	c.log.InfoContext(ctx, "server stop requested", "user", id.User, "server", id.Name, "pod", pod.Name, "uid", pod.UID)
	gone, err = c.awaitGone(ctx, id, string(pod.UID), wait)
	if gone {
		c.metrics.stopped(c.now().Sub(began))
	}
	return gone, err
}

// remove asks for the deletion of exactly this pod.
func (c *Cluster) remove(ctx context.Context, pod *corev1.Pod) error {
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	// Conflict: the name belongs to a newer pod by now, so this one is gone.
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return problem("delete pod", err)
	}
	return nil
}

// awaitGone waits until the API no longer knows the pod.
func (c *Cluster) awaitGone(ctx context.Context, id server.ID, uid string, wait time.Duration) (bool, error) {
	changed, stop := c.Watch(id)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		pod, err := c.live(ctx, id)
		if ctx.Err() != nil {
			return false, nil //nolint:nilerr // time is up: not gone yet
		}
		if err != nil {
			return false, err
		}
		if pod == nil || string(pod.UID) != uid {
			return true, nil
		}
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
			return false, nil
		}
	}
}
