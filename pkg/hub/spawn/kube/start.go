package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// stopWait bounds how long a start waits for the previous pod to be gone; its grace
	// period is ten seconds.
	stopWait = 15 * time.Second
	// cacheWait bounds how long a start waits to see its own pod in the cache.
	cacheWait = 2 * time.Second
)

// Start makes the server exist, whatever of it is there already; see package spawn for
// the order of writes. It returns nil when the server is starting or running, and a
// *spawn.Problem otherwise. A pod that failed or ended is replaced; the home volume
// stays.
func (c *Cluster) Start(ctx context.Context, id server.ID) error {
	began := time.Now()
	if err := id.Valid(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	pod, err := c.makeRoom(ctx, id)
	if err != nil {
		return err
	}
	if pod != nil {
		return c.finish(ctx, id, pod)
	}
	if !c.admit(id) {
		c.metrics.throttled()
		return &spawn.Problem{Message: spawn.MsgBusy, Err: fmt.Errorf("%d servers are starting", c.cfg.SpawnLimit)}
	}
	defer c.release(id)
	if err := c.ensureClaim(ctx, id.User); err != nil {
		return err
	}
	pod, err = c.createPod(ctx, id)
	if err != nil {
		c.metrics.refused(time.Since(began))
		return err
	}
	c.metrics.began(string(pod.UID), began)
	c.log.InfoContext(ctx, "server start requested", "user", id.User, "server", id.Name, "pod", pod.Name, "uid", pod.UID)
	return c.finish(ctx, id, pod)
}

// finish does what comes after the pod exists, also for a pod whose creator was killed.
func (c *Cluster) finish(ctx context.Context, id server.ID, pod *corev1.Pod) error {
	if pod.Status.Phase != corev1.PodRunning {
		if err := c.ensureSecret(ctx, id, pod); err != nil {
			// Not fatal: every replica tries again when the pod complains about it.
			c.log.WarnContext(ctx, "server's secret not created yet", "pod", pod.Name, "error", err)
		}
	}
	c.awaitCached(ctx, id, string(pod.UID))
	return nil
}

// makeRoom returns the server's pod when there is a good one, and nil when there is
// none (any more).
func (c *Cluster) makeRoom(ctx context.Context, id server.ID) (*corev1.Pod, error) {
	pod, err := c.live(ctx, id)
	if err != nil || pod == nil {
		return nil, err
	}
	if pod.DeletionTimestamp == nil {
		if !spawn.Replaceable(pod, c.judge(pod)) {
			return pod, nil
		}
		if err := c.remove(ctx, pod); err != nil {
			return nil, err
		}
	}
	gone, err := c.awaitGone(ctx, id, string(pod.UID), stopWait)
	if err != nil {
		return nil, err
	}
	if !gone {
		return nil, &spawn.Problem{Message: spawn.MsgStopWait, Err: fmt.Errorf("pod %s is still terminating", pod.Name)}
	}
	return nil, nil
}

func (c *Cluster) ensureClaim(ctx context.Context, user string) error {
	claims := c.client.CoreV1().PersistentVolumeClaims(c.cfg.Site.Namespace)
	want := spawn.Claim(c.cfg.Site, c.cfg.Profile, user)
	_, err := claims.Create(ctx, want, metav1.CreateOptions{})
	if err == nil {
		return nil
	}
	// With the storage quota used up, creating is refused even if the volume is there.
	have, getErr := claims.Get(ctx, want.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(getErr) {
		return problem("create home volume", err)
	}
	if getErr != nil {
		return problem("read home volume", getErr)
	}
	if !spawn.OwnsClaim(have, user) {
		return &spawn.Problem{Message: spawn.MsgConflict, Err: fmt.Errorf("volume claim %s is not ours", want.Name)}
	}
	return nil
}

// createPod creates the server's pod, or returns the one that another replica created
// at the same time.
func (c *Cluster) createPod(ctx context.Context, id server.ID) (*corev1.Pod, error) {
	nonce := strings.ToLower(rand.Text()) // 26 base32 characters, 130 bits
	pod, err := c.client.CoreV1().Pods(c.cfg.Site.Namespace).Create(ctx,
		spawn.Pod(c.cfg.Site, c.cfg.Profile, id, nonce), metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return pod, problem("create pod", err)
	}
	pod, err = c.live(ctx, id)
	if err == nil && pod == nil {
		return nil, &spawn.Problem{Message: spawn.MsgStopWait, Err: errors.New("pod was deleted while it was being created")}
	}
	return pod, err
}

// ensureSecret creates the secret of a pod unless it exists. Its name holds the pod's
// nonce and it cannot be changed, so one that exists is the right one.
func (c *Cluster) ensureSecret(ctx context.Context, id server.ID, pod *corev1.Pod) error {
	_, err := c.client.CoreV1().Secrets(c.cfg.Site.Namespace).Create(ctx,
		spawn.Secret(pod, id, c.cfg.MasterKey), metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create secret: %w", err)
	}
	return nil
}

// Stop deletes the server's pod and waits up to wait for it to be gone. gone is also
// true when there was none. The pod is named by its UID, so that a server that was
// started again meanwhile survives.
func (c *Cluster) Stop(ctx context.Context, id server.ID, wait time.Duration) (gone bool, err error) {
	began := time.Now()
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
		c.metrics.stopped(time.Since(began))
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
	again := time.NewTicker(time.Second) // a watch that broke must not cost the whole wait
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

// awaitCached waits until the cache knows the pod, so that the page that follows a
// start finds it. Get would find it anyway; SpawnLimit counts the cache.
func (c *Cluster) awaitCached(ctx context.Context, id server.ID, uid string) {
	changed, stop := c.Watch(id)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, cacheWait)
	defer cancel()
	for {
		if pod := c.cached(id); pod != nil && string(pod.UID) == uid {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// admit takes one of the places for starting servers. The places taken are counted from
// the pods of all replicas, plus those that are being created here.
func (c *Cluster) admit(id server.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	starting := map[string]bool{}
	for name := range c.inflight {
		starting[name] = true
	}
	for _, o := range c.pods.GetStore().List() {
		if pod := o.(*corev1.Pod); c.judge(pod).Phase == spawn.Pending {
			starting[pod.Name] = true
		}
	}
	name := spawn.PodName(id)
	if starting[name] || len(starting) < c.cfg.SpawnLimit {
		c.inflight[name] = true
		return true
	}
	return false
}

func (c *Cluster) release(id server.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.inflight, spawn.PodName(id))
}

// problem puts an API error into words; nil stays nil.
func problem(doing string, err error) error {
	if err == nil {
		return nil
	}
	p := &spawn.Problem{Message: spawn.MsgUnavailable, Err: fmt.Errorf("%s: %w", doing, err)}
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		p.Message, p.Detail = spawn.MsgQuota, err.Error()
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		p.Message, p.Detail = spawn.MsgRefused, err.Error()
	}
	return p
}
