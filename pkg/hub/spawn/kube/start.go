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

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

const (
	// stopWait bounds how long a start waits for the previous pod to be gone; its grace
	// period is ten seconds.
	stopWait = 15 * time.Second
	// cacheWait bounds how long a start waits to see its own pod in the cache.
	cacheWait = 2 * time.Second
)

// Start makes the server exist, whatever of it is there already; see package spawn for
// the order of writes. It returns nil when the server is starting, running or waiting for a
// place, and a *spawn.Problem otherwise. A pod that failed or ended is replaced; the home volume
// stays.
func (c *Cluster) Start(ctx context.Context, r spawn.Request) error {
	if err := r.ID.Valid(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	pod, err := c.present(ctx, r.ID)
	if err != nil {
		return err
	}
	spec := r.Spec(pod, c.record(spawn.Subject{Name: r.ID.User}))
	if spec.Profile, err = c.Policy().Resolve(r.Owner, spec.Options); err != nil {
		return err
	}
	switch action := c.plan(pod); action {
	case spawn.Nothing, spawn.Finish:
		return c.finish(ctx, r.ID, pod)
	case spawn.Replace, spawn.Force:
		if err := c.remove(ctx, r.ID, pod, action == spawn.Force); err != nil {
			return err
		}
	}
	if pod != nil {
		if err := c.makeRoom(ctx, r.ID, pod); err != nil {
			return err
		}
	}
	return c.create(ctx, r, spec)
}

// present returns the pod that a start finds. A pod of the cache may be gone by now; that there
// is none needs no question, since creating one finds out.
func (c *Cluster) present(ctx context.Context, id server.ID) (*corev1.Pod, error) {
	if c.cached(id) == nil {
		return nil, nil
	}
	return c.shared(ctx, id)
}

// makeRoom waits until the old pod, which is being deleted, is gone.
func (c *Cluster) makeRoom(ctx context.Context, id server.ID, pod *corev1.Pod) error {
	gone, err := c.awaitGone(ctx, id, pod.UID, stopWait)
	if err == nil && !gone {
		err = &spawn.Problem{Message: spawn.MsgStopWait, Err: fmt.Errorf("pod %s is still terminating", pod.Name)}
	}
	return err
}

// create writes the objects of a server that has no pod, or lets its start wait for a place.
func (c *Cluster) create(ctx context.Context, r spawn.Request, spec spawn.Spec) error {
	began := c.now()
	pod, release, err := c.write(ctx, r, spec)
	defer release()
	if p := (*spawn.Problem)(nil); errors.As(err, &p) && p.Message == spawn.MsgBusy {
		c.metrics.throttled()
		return err
	}
	if err != nil {
		c.metrics.refused(c.now().Sub(began))
		return err
	}
	if pod == nil {
		return nil
	}
	c.metrics.began(string(pod.UID), began)
	c.log.InfoContext(ctx, "server start requested", "user", spec.ID.User, "server", spec.ID.Name, "profile", spec.Profile.Slug,
		"pod", pod.Name, "uid", pod.UID)
	return c.finish(ctx, spec.ID, pod)
}

// write makes the home volume and the pod, in the user's turn, when there is a place for one more
// start and the user's records have room. In the turn: a user who asks for hundreds of servers at
// once takes one place. release gives the place back. Where there is none, or others wait for one,
// the start waits, and there is no pod.
func (c *Cluster) write(ctx context.Context, r spawn.Request, spec spawn.Spec) (pod *corev1.Pod, release func(), err error) {
	none := func() {}
	done, err := c.turns.take(ctx, spec.ID.User)
	if err != nil {
		return nil, none, problem("wait for the user's other requests", err)
	}
	defer done()
	if pod, err := c.joined(ctx, spec.ID); pod != nil || err != nil {
		return pod, none, err
	}
	if c.queue.length() > 0 || !c.admit(spec.ID) {
		return nil, none, c.enqueue(ctx, r, spec)
	}
	pod, _, err = c.writeAdmitted(ctx, r.Owner, spec, "")
	return pod, func() { c.release(spec.ID) }, err
}

// joined returns the pod that another request has made while this one waited for its turn.
func (c *Cluster) joined(ctx context.Context, id server.ID) (pod *corev1.Pod, err error) {
	if pod = c.cached(id); pod == nil && c.startedRecently(id) {
		if pod, err = c.read(ctx, c.writes, id); err != nil {
			return nil, err
		}
	}
	if pod == nil {
		return nil, nil
	}
	if action := c.plan(pod); action != spawn.Nothing && action != spawn.Finish {
		return nil, nil
	}
	return pod, nil
}

// needs completes what the pod is made from, and returns what it takes.
func (c *Cluster) needs(owner access.User, spec *spawn.Spec) []spawn.Need {
	spec.Nonce = strings.ToLower(rand.Text()) // 26 base32 characters, 130 bits
	return c.needsAs(owner, spec)
}

// needsAs is needs for a spec that has its nonce.
func (c *Cluster) needsAs(owner access.User, spec *spawn.Spec) []spawn.Need {
	policy := c.Policy()
	spec.SharedRules = policy.SharedRules(owner)
	return policy.Needs(owner, spec.ID, spawn.Pod(c.Site, *spec), spec.Volumes(c.Site))
}

// writeAdmitted makes the home volume and the pod of a start that has a place; ticket is that of
// one that waited, "" for another. It returns the nonce of the pod that it wanted: another replica
// may have made the pod.
func (c *Cluster) writeAdmitted(ctx context.Context, owner access.User, spec spawn.Spec, ticket string) (*corev1.Pod, string, error) {
	needs := c.needs(owner, &spec)
	done := c.choose(&spec, needs)
	defer done()
	err := c.take(ctx, spec.ID, needs, ticket)
	if other := (*heldError)(nil); errors.As(err, &other) {
		return c.join(ctx, owner, spec, ticket, other.hold)
	}
	if err != nil {
		if needs, err = c.takeUngrown(ctx, &spec, needs, ticket, err); err != nil {
			return nil, "", err
		}
	}
	pod, nonce, err := c.writeTaken(ctx, spec, needs)
	if err == nil && spawn.IsClaimed(pod) {
		c.attend(ctx, owner, pod)
	}
	return pod, nonce, err
}

// writeTaken makes the objects of a start that is in its records.
func (c *Cluster) writeTaken(ctx context.Context, spec spawn.Spec, needs []spawn.Need) (*corev1.Pod, string, error) {
	pod, err := c.makeObjects(ctx, spec)
	if errors.Is(err, errOvertaken) {
		if pod, err = c.overtaken(ctx, spec.ID); err != nil {
			return nil, "", err // what it takes is the other replica's to give back
		}
	}
	if err != nil {
		c.giveBack(ctx, spec.ID, needs)
		return nil, "", err
	}
	if pod.Annotations[contract.AnnotationNonce] != spec.Nonce {
		c.adopt(ctx, spec.ID, pod) // another replica's, made at the same moment
	}
	c.mu.Lock()
	c.recent[spec.ID] = c.now()
	c.mu.Unlock()
	return pod, spec.Nonce, nil
}

// makeObjects makes the home volume and then the pod.
func (c *Cluster) makeObjects(ctx context.Context, spec spawn.Spec) (pod *corev1.Pod, err error) {
	if spec.Home, spec.Small, err = c.ensureHome(ctx, spec); err != nil {
		return nil, err
	}
	return c.makePod(ctx, spec)
}

// finish does what comes after the pod exists, also for a pod whose creator was killed: once
// for each pod, since every further request to start it comes here too.
func (c *Cluster) finish(ctx context.Context, id server.ID, pod *corev1.Pod) error {
	if pod.Status.Phase != corev1.PodRunning && c.incomplete(pod) {
		if err := c.ensureSecret(ctx, pod); err != nil {
			// Not fatal: every replica tries again when the pod complains about it.
			c.log.WarnContext(ctx, "server's secret not created yet", "pod", pod.Name, "error", err)
		}
	}
	c.awaitCache(ctx, id, func(cached *corev1.Pod) bool { return cached != nil && cached.UID == pod.UID })
	return nil
}

// incomplete reports whether it was not asked about this pod before.
func (c *Cluster) incomplete(pod *corev1.Pod) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.complete[pod.UID]
	c.complete[pod.UID] = true
	return !was
}

// createPod creates the server's pod, or returns the one that another replica created
// at the same time.
func (c *Cluster) createPod(ctx context.Context, spec spawn.Spec) (*corev1.Pod, error) {
	want := spawn.Pod(c.Site, spec)
	pod, err := c.writes.CoreV1().Pods(want.Namespace).Create(ctx, want, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return pod, problem("create pod", err)
	}
	pod, err = c.read(ctx, c.writes, spec.ID)
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
	_, err = c.writes.CoreV1().Secrets(pod.Namespace).Create(ctx, want, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create secret: %w", err)
	}
	return nil
}

// awaitCache waits a moment for the cache to show what was done, so that the page that
// follows shows it.
func (c *Cluster) awaitCache(ctx context.Context, id server.ID, shows func(*corev1.Pod) bool) {
	changed, stop := c.Watch(id)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, cacheWait)
	defer cancel()
	for !shows(c.cached(id)) {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
