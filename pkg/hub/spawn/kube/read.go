package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/trail"
)

const (
	// recently is how long a pod that was created here may be missing from the cache before
	// the cache is believed.
	recently = 30 * time.Second
	// readWait bounds one question to the API.
	readWait = 10 * time.Second
)

// Get returns a server as the cache knows it, so that no number of pages costs a call of the
// API. Only right after a start here, when the cache may be behind, the API is asked: once
// for all who ask at that moment.
func (c *Cluster) Get(ctx context.Context, id server.ID) (spawn.Server, error) {
	pod := c.cached(id)
	if pod == nil && c.startedRecently(id) {
		var err error
		if pod, err = c.shared(ctx, id); err != nil {
			return spawn.Server{}, err
		}
	}
	if pod == nil {
		return spawn.Remembered(id, c.record(spawn.Subject{Name: id.User})).Behind(c.queue.place(id)), nil
	}
	return c.describe(id, pod), nil
}

func (c *Cluster) startedRecently(id server.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.recent[id]
	if ok && c.now().Sub(at) > recently {
		delete(c.recent, id)
		ok = false
	}
	return ok
}

// shared is live with one question for all who ask about the server at the same time.
func (c *Cluster) shared(ctx context.Context, id server.ID) (*corev1.Pod, error) {
	answer := c.asked.DoChan(id.String(), func() (any, error) {
		// Those who wait must not lose the answer because the first of them left.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readWait)
		defer cancel()
		return c.live(ctx, c.reads, id)
	})
	select {
	case a := <-answer:
		pod, _ := a.Val.(*corev1.Pod)
		return pod, a.Err
	case <-ctx.Done():
		return nil, problem("read pod", ctx.Err())
	}
}

// List returns a user's servers that have a pod, a name that is kept or a start that waits, sorted
// by name.
func (c *Cluster) List(user string) []spawn.Server {
	var out []spawn.Server
	for _, pod := range c.indexed(byUser, user) {
		if id, ok := spawn.Identify(pod); ok {
			out = append(out, c.describe(id, pod))
		}
	}
	out = spawn.Kept(user, out, c.record(spawn.Subject{Name: user}))
	for i, s := range out {
		out[i] = s.Behind(c.queue.place(s.ID))
	}
	return out
}

// Usage returns what a user has of all that quotas limit.
func (c *Cluster) Usage(user access.User) []spawn.Usage {
	return c.Policy().Usage(user, c.record, c.now())
}

// RuleUses returns how much of each quota is used, and by whom most.
func (c *Cluster) RuleUses() []spawn.RuleUse {
	return c.Policy().RuleUses(c.Users(), c.record, c.now())
}

// Forget drops the name of a server; its home stays.
func (c *Cluster) Forget(ctx context.Context, id server.ID) error {
	done, err := c.turns.take(ctx, id.User)
	if err != nil {
		return problem("wait for the user's other requests", err)
	}
	defer done()
	return c.changeLive(ctx, spawn.Subject{Name: id.User}, func(r quota.Record) (quota.Record, bool, error) {
		r, changed := r.Forget(id.Name)
		if changed {
			r = c.note(ctx, r, trail.Deleted, id.Name)
		}
		return r, changed, nil
	})
}

// Profiles returns what a user may choose from.
func (c *Cluster) Profiles(user access.User) spawn.Catalog { return c.Policy().For(user) }

// Watch returns a channel that receives something after each change of a server, and a
// function that ends it.
func (c *Cluster) Watch(id server.ID) (<-chan struct{}, func()) { return c.changes.Watch(id) }

// WatchUser is Watch for all servers of a user.
func (c *Cluster) WatchUser(user string) (<-chan struct{}, func()) { return c.changes.WatchUser(user) }

// cached returns the pod of a server from the cache, nil when there is none.
func (c *Cluster) cached(id server.ID) *corev1.Pod {
	pods := c.indexed(byServer, id.String())
	if len(pods) == 0 {
		return nil
	}
	// Of two, which an earlier version may have made, the oldest is the one that is routed.
	return slices.MinFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
}

func (c *Cluster) indexed(index, key string) []*corev1.Pod {
	objects, _ := c.pods.GetIndexer().ByIndex(index, key) // the indexes were added in New
	pods := make([]*corev1.Pod, len(objects))
	for i, o := range objects {
		pods[i] = o.(*corev1.Pod)
	}
	return pods
}

// live reads the pod of a server from the API, in the user's turn: nil when there is none, a
// Problem when its name is taken by a pod that the spawner did not make.
func (c *Cluster) live(ctx context.Context, client kubernetes.Interface, id server.ID) (*corev1.Pod, error) {
	done, err := c.turns.take(ctx, id.User)
	if err != nil {
		return nil, problem("wait for the user's other requests", err)
	}
	defer done()
	return c.read(ctx, client, id)
}

// read is live for those whose turn it is.
func (c *Cluster) read(ctx context.Context, client kubernetes.Interface, id server.ID) (*corev1.Pod, error) {
	get := func(name string) (*corev1.Pod, error) {
		pod, err := client.CoreV1().Pods(c.Site.Namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return pod, problem("read pod", err)
	}
	if pod, err := c.readClaimed(ctx, id, get); pod != nil || err != nil {
		return pod, err
	}
	for _, place := range c.Site.Places(id.User, c.Policy().Profiles) {
		for _, name := range spawn.PodNames(id) {
			pod, err := client.CoreV1().Pods(place.Namespace).Get(ctx, name, metav1.GetOptions{})
			switch {
			case err == nil && spawn.OwnsPod(pod, id):
				return pod, nil
			case err == nil && name == spawn.PodName(id):
				return nil, &spawn.Problem{Message: spawn.MsgConflict, Err: fmt.Errorf("pod %s is not ours", name)}
			case err != nil && !apierrors.IsNotFound(err):
				return nil, problem("read pod", err)
			}
		}
	}
	return nil, nil
}

func (c *Cluster) describe(id server.ID, pod *corev1.Pod) spawn.Server {
	s := spawn.Describe(id, pod, c.eventsOf(pod), c.now(), c.StartTimeout)
	if c.CullDryRun {
		s.MayIdle = 0 // it is only said to administrators
	}
	if pod == nil {
		return s
	}
	s = s.With(c.activityOf(pod))
	if c.record(spawn.Subject{Name: id.User}).Restarts(id.Name, s.UID) {
		return s.Restarting()
	}
	return s
}

func (c *Cluster) plan(pod *corev1.Pod) spawn.Action {
	return spawn.Plan(pod, c.eventsOf(pod), c.now(), c.StartTimeout)
}

func (c *Cluster) phase(pod *corev1.Pod) spawn.Phase {
	return spawn.StatusOf(pod, c.eventsOf(pod), c.now(), c.StartTimeout).Phase
}

// eventsOf returns what the cluster said about a pod, which may be nil, and about its claims.
func (c *Cluster) eventsOf(pod *corev1.Pod) (events []*corev1.Event) {
	if pod == nil {
		return nil
	}
	add := func(informer cache.SharedIndexInformer, index, key string) {
		objects, _ := informer.GetIndexer().ByIndex(index, key) // the indexes were added in New
		for _, o := range objects {
			events = append(events, o.(*corev1.Event))
		}
	}
	add(c.events, byPod, string(pod.UID))
	for _, claim := range claimsOf(pod) {
		add(c.claims, byClaim, claim)
	}
	return events
}

// running counts the servers that answer.
func (c *Cluster) running() float64 {
	n := 0.0
	for _, o := range c.pods.GetStore().List() {
		if spawn.IsAnswering(o.(*corev1.Pod)) {
			n++
		}
	}
	return n
}
