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
func (c *Cluster) Start(ctx context.Context, r spawn.Request) error {
	if err := r.ID.Valid(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	pod, err := c.live(ctx, r.ID)
	if err != nil {
		return err
	}
	spec := spawn.Spec{ID: r.ID, Options: r.Options.OrKept(pod)}
	if spec.Profile, err = spawn.Resolve(c.Catalog, r.Owner.Groups, spec.Options); err != nil {
		return err
	}
	switch c.plan(pod) {
	case spawn.Nothing, spawn.Finish:
		return c.finish(ctx, r.ID, pod)
	case spawn.Replace:
		err = c.remove(ctx, pod)
	}
	if err == nil && pod != nil {
		err = c.makeRoom(ctx, r.ID, pod)
	}
	if err != nil {
		return err
	}
	return c.create(ctx, spec)
}

// makeRoom waits until the old pod, which is being deleted, is gone.
func (c *Cluster) makeRoom(ctx context.Context, id server.ID, pod *corev1.Pod) error {
	gone, err := c.awaitGone(ctx, id, string(pod.UID), stopWait)
	if err == nil && !gone {
		err = &spawn.Problem{Message: spawn.MsgStopWait, Err: fmt.Errorf("pod %s is still terminating", pod.Name)}
	}
	return err
}

// create writes the objects of a server that has no pod.
func (c *Cluster) create(ctx context.Context, spec spawn.Spec) error {
	began := c.now()
	if !c.admit(spec.ID) {
		c.metrics.throttled()
		return &spawn.Problem{Message: spawn.MsgBusy, Err: fmt.Errorf("%d servers are starting", c.SpawnLimit)}
	}
	defer c.release(spec.ID)
	var err error
	if spec.Home, err = c.ensureHome(ctx, spec); err != nil {
		return err
	}
	pod, err := c.createPod(ctx, spec)
	if err != nil {
		c.metrics.refused(c.now().Sub(began))
		return err
	}
	c.metrics.began(string(pod.UID), began)
	c.log.InfoContext(ctx, "server start requested", "user", spec.ID.User, "server", spec.ID.Name, "profile", spec.Profile.Slug,
		"pod", pod.Name, "uid", pod.UID)
	return c.finish(ctx, spec.ID, pod)
}

// finish does what comes after the pod exists, also for a pod whose creator was killed.
func (c *Cluster) finish(ctx context.Context, id server.ID, pod *corev1.Pod) error {
	if pod.Status.Phase != corev1.PodRunning {
		if err := c.ensureSecret(ctx, pod); err != nil {
			// Not fatal: every replica tries again when the pod complains about it.
			c.log.WarnContext(ctx, "server's secret not created yet", "pod", pod.Name, "error", err)
		}
	}
	c.awaitCached(ctx, id, string(pod.UID))
	return nil
}

// ensureHome makes the user's home volume exist and returns its claim's name, "" for a
// profile whose homes do not last.
//
// It asks before it creates: with the storage quota used up, creating is refused even if
// the volume is there, and a volume may have the name that earlier versions gave it.
func (c *Cluster) ensureHome(ctx context.Context, spec spawn.Spec) (string, error) {
	if !spec.Profile.Override.Persistent() {
		return "", nil
	}
	user, want := spec.ID.User, spawn.Claim(c.Site, spec.Profile, spec.ID.User)
	claims := c.client.CoreV1().PersistentVolumeClaims(want.Namespace)
	for _, name := range spawn.HomeNames(user) {
		have, err := claims.Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil && spawn.OwnsClaim(have, user):
			return name, nil
		case err == nil && name == want.Name:
			return "", &spawn.Problem{Message: spawn.MsgConflict, Err: fmt.Errorf("volume claim %s is not ours", name)}
		case err != nil && !apierrors.IsNotFound(err):
			return "", problem("read home volume", err)
		}
	}
	if _, err := claims.Create(ctx, want, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", problem("create home volume", err)
	}
	return want.Name, nil // one that another replica created just now is the same user's
}

// createPod creates the server's pod, or returns the one that another replica created
// at the same time.
func (c *Cluster) createPod(ctx context.Context, spec spawn.Spec) (*corev1.Pod, error) {
	spec.Nonce = strings.ToLower(rand.Text()) // 26 base32 characters, 130 bits
	want := spawn.Pod(c.Site, spec)
	pod, err := c.client.CoreV1().Pods(want.Namespace).Create(ctx, want, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return pod, problem("create pod", err)
	}
	pod, err = c.live(ctx, spec.ID)
	if err == nil && pod == nil {
		return nil, &spawn.Problem{Message: spawn.MsgStopWait, Err: errors.New("pod was deleted while it was being created")}
	}
	return pod, err
}

// ensureSecret creates the secret of a pod unless it exists. Its name holds the pod's
// nonce and it cannot be changed, so one that exists is the right one.
func (c *Cluster) ensureSecret(ctx context.Context, pod *corev1.Pod) error {
	want, err := c.Keys.Secret(pod)
	if err != nil {
		return fmt.Errorf("make secret: %w", err)
	}
	_, err = c.client.CoreV1().Secrets(pod.Namespace).Create(ctx, want, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create secret: %w", err)
	}
	return nil
}

// awaitCached waits until the cache knows the pod, so that the page that follows a
// start finds it.
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
	starting := map[server.ID]bool{}
	for other := range c.inflight {
		starting[other] = true
	}
	for _, o := range c.pods.GetStore().List() {
		pod := o.(*corev1.Pod)
		if other, ok := spawn.Identify(pod); ok && c.phase(pod) == spawn.Pending {
			starting[other] = true
		}
	}
	if starting[id] || len(starting) < c.SpawnLimit {
		c.inflight[id] = true
		return true
	}
	return false
}

func (c *Cluster) release(id server.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.inflight, id)
}
