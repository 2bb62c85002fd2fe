package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/hub/occupancy"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/broadcast"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/podmeta"
	"github.com/perijove/perijove/pkg/server/trail"
)

// Settings is what a Cluster needs to know; see kube.Settings.
type Settings struct {
	Site         spawn.Site
	Policy       func() spawn.Policy
	StartTimeout time.Duration
	SpawnLimit   int
}

// Cluster holds servers. Make it with New.
type Cluster struct {
	Settings
	now     func() time.Time
	changes *broadcast.Hub

	mu      sync.Mutex
	made    int // pods so far: a UID for each
	pods    map[string]*corev1.Pod
	homes   map[string]bool
	records map[spawn.Subject]quota.Record
	// uses is what is known of pods' use, by UID.
	uses    map[types.UID]spawn.Activity
	history occupancy.History
	nodes   []*corev1.Node
	refusal error
	logs    map[server.ID]spawn.Log
	held    bool
}

// New returns a Cluster without servers. now is the clock.
func New(now func() time.Time, s Settings) *Cluster {
	return &Cluster{
		Settings: s, now: now, changes: broadcast.New(),
		pods: map[string]*corev1.Pod{}, homes: map[string]bool{}, records: map[spawn.Subject]quota.Record{}, uses: map[types.UID]spawn.Activity{},
	}
}

// List returns a user's servers that have a pod or a name that is kept, sorted by name.
func (c *Cluster) List(user string) []spawn.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serve()
	var out []spawn.Server
	for _, pod := range c.pods {
		if id, ok := spawn.Identify(pod); ok && id.User == user {
			out = append(out, c.describe(id, pod))
		}
	}
	out = spawn.Kept(user, out, c.record(spawn.Subject{Name: user}))
	for i, s := range out {
		out[i] = s.Behind(c.place(s.ID))
	}
	return out
}

// Users returns the names of those who have something here, sorted.
func (c *Cluster) Users() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]bool{}
	for _, pod := range c.pods {
		if id, ok := spawn.Identify(pod); ok {
			names[id.User] = true
		} else if id, err := podmeta.ReadID(pod); err == nil {
			names[id.User] = true
		}
	}
	for s, r := range c.records {
		if !s.Shared && !r.IsEmpty() {
			names[s.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// record must be called with mu held.
func (c *Cluster) record(s spawn.Subject) quota.Record {
	if r, ok := c.records[s]; ok {
		return r
	}
	return quota.Record{Subject: s.Name}
}

// Usage returns what a user has of all that quotas limit.
func (c *Cluster) Usage(user access.User) []spawn.Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Policy().Usage(user, c.record, c.now())
}

// RuleUses returns how much of each quota is used, and by whom most.
func (c *Cluster) RuleUses() []spawn.RuleUse {
	users := c.Users()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Policy().RuleUses(users, c.record, c.now())
}

// DeleteUser stops a user's servers and forgets what they had, with homes also their volumes.
func (c *Cluster) DeleteUser(_ context.Context, user string, homes bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pod := range c.pods {
		if id, ok := spawn.Identify(pod); ok && id.User == user {
			c.drop(pod)
			defer c.changes.Notify(id)
		}
	}
	own := spawn.Subject{Name: user}
	left := quota.Record{Subject: user}
	for _, name := range spawn.HomesOf(user, c.record(own)) {
		if homes {
			delete(c.homes, name)
		}
	}
	if !homes {
		left.Volumes = c.record(own).Volumes
	}
	c.records[own] = left
	return nil
}

// Forget drops the name of a server; its home stays.
func (c *Cluster) Forget(ctx context.Context, id server.ID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := spawn.Subject{Name: id.User}
	changed := false
	if c.records[own], changed = c.record(own).Forget(id.Name); changed {
		c.note(id, trail.Deleted, trail.Who(ctx))
	}
	return nil
}

// Trail returns what happened to a user's servers, latest last.
func (c *Cluster) Trail(user string) trail.Trail {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record(spawn.Subject{Name: user}).Trail
}

// note must be called with mu held.
func (c *Cluster) note(id server.ID, what trail.What, by string) {
	own := spawn.Subject{Name: id.User}
	c.records[own] = c.record(own).Note(trail.Event{At: c.now(), What: what, By: by, Of: id.Name})
}

// Published returns a user's servers that the spawner did not make.
func (c *Cluster) Published(user string) []server.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pods []*corev1.Pod
	for _, pod := range c.pods {
		if id, err := podmeta.ReadID(pod); err == nil && id.User == user {
			pods = append(pods, pod)
		}
	}
	return spawn.Published(pods)
}

// Routed returns all servers to which the gateway leads, sorted by ID.
func (c *Cluster) Routed() []server.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return spawn.Routed(slices.Collect(maps.Values(c.pods)))
}

// Get returns a server as it is now.
func (c *Cluster) Get(_ context.Context, id server.ID) (spawn.Server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serve()
	pod, err := c.find(id)
	if pod == nil && err == nil {
		return spawn.Remembered(id, c.record(spawn.Subject{Name: id.User})).Behind(c.place(id)), nil
	}
	return c.describe(id, pod), err
}

// Report notes that a server was in use at a moment.
func (c *Cluster) Report(id server.ID, at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, err := c.find(id)
	if err != nil || pod == nil {
		return false
	}
	if now := c.now(); at.After(now) {
		at = now
	}
	if use := c.uses[pod.UID]; at.After(use.Reported) {
		use.Reported = at
		c.uses[pod.UID] = use
	}
	return true
}

// Keep is Report at this moment: there is one replica.
func (c *Cluster) Keep(_ context.Context, id server.ID) (ok bool, err error) {
	return c.Report(id, c.now()), nil
}

// Profiles returns what a user may choose from.
func (c *Cluster) Profiles(user access.User) spawn.Catalog { return c.Policy().For(user) }

// Watch returns a channel that receives something after each change of a server, and a
// function that ends it.
func (c *Cluster) Watch(id server.ID) (<-chan struct{}, func()) { return c.changes.Watch(id) }

// WatchUser is Watch for all servers of a user.
func (c *Cluster) WatchUser(user string) (<-chan struct{}, func()) { return c.changes.WatchUser(user) }

// Start makes the server exist.
func (c *Cluster) Start(ctx context.Context, r spawn.Request) error {
	if err := r.ID.Valid(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	defer c.changes.Notify(r.ID)
	changed, stop := c.Watch(r.ID)
	defer stop()
	for spec := (spawn.Spec{}); ; {
		again, err := c.start(ctx, r, &spec)
		if err != nil || !again {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &spawn.Problem{Message: spawn.MsgStopWait, Err: ctx.Err()}
		}
	}
}

// start does what can be done at once. again means that the old pod has to go first; spec
// carries what was chosen for it over to the next call.
func (c *Cluster) start(ctx context.Context, r spawn.Request, spec *spawn.Spec) (again bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, err := c.find(r.ID)
	if err != nil {
		return false, err
	}
	if spec.ID != r.ID {
		*spec = r.Spec(pod, c.record(spawn.Subject{Name: r.ID.User}))
	}
	if spec.Profile, err = c.Policy().Resolve(r.Owner, spec.Options); err != nil {
		return false, err
	}
	switch spawn.Plan(pod, nil, c.now(), c.StartTimeout) {
	case spawn.Nothing, spawn.Finish:
		return false, nil
	case spawn.Await:
		return true, nil
	case spawn.Replace, spawn.Force:
		if c.remove(pod); c.held {
			return true, nil
		}
	}
	began := c.create
	if c.serve(); c.free() <= 0 || len(c.queue()) > 0 {
		began = c.enqueue
	}
	if err = began(r.Owner, *spec); err == nil {
		c.note(r.ID, trail.Started, trail.Who(ctx))
	}
	return false, err
}

func (c *Cluster) create(owner access.User, spec spawn.Spec) error {
	policy := c.Policy()
	spec.SharedRules = policy.SharedRules(owner)
	c.made++
	spec.Nonce = fmt.Sprintf("n%025d", c.made)
	own := spawn.Subject{Name: spec.ID.User}
	c.records[own], _ = c.record(own).Leave(spec.ID.Name, "")
	pod := spawn.Pod(c.Site, spec)
	if err := c.take(policy.Needs(owner, spec.ID, pod, spec.Volumes(c.Site))); err != nil {
		return err
	}
	if c.refusal != nil {
		c.settle(pod)
		return c.refusal
	}
	if spec.Profile.Override.HasVolume() {
		c.homes[spawn.Claim(c.Site, spec.Profile, spec.ID).Name] = true
	}
	pod.UID, pod.CreationTimestamp = types.UID(fmt.Sprintf("uid-%d", c.made)), metav1.NewTime(c.now())
	c.pods[pod.Name] = pod
	return nil
}

// take puts a start into all its records, or into none.
func (c *Cluster) take(needs []spawn.Need) error {
	next := map[spawn.Subject]quota.Record{}
	for _, need := range needs {
		r, err := need.Take(c.record(need.Subject), c.now())
		if err != nil {
			return err
		}
		next[need.Subject] = r
	}
	maps.Copy(c.records, next)
	return nil
}

// Stop ends a server and waits up to wait for it to be gone.
func (c *Cluster) Stop(ctx context.Context, id server.ID, wait time.Duration) (bool, error) {
	changed, stop := c.Watch(id)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for uid := types.UID(""); ; {
		pod, err := c.ask(ctx, id, uid)
		if err != nil || pod == nil {
			return err == nil, err
		}
		uid = pod.UID
		select {
		case <-changed:
		case <-ctx.Done():
			return false, nil
		}
	}
}

// ask removes the pod of a server and returns it if it is still there. A pod with another
// UID than uid has been started since.
func (c *Cluster) ask(ctx context.Context, id server.ID, uid types.UID) (*corev1.Pod, error) {
	defer c.changes.Notify(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, err := c.find(id)
	if err == nil && uid == "" {
		own, left := spawn.Subject{Name: id.User}, false
		if c.records[own], left = c.record(own).Leave(id.Name, ""); left || pod != nil {
			c.note(id, trail.Stopped, trail.Who(ctx))
		}
	}
	if err != nil || pod == nil || uid != "" && pod.UID != uid {
		return nil, err
	}
	c.remove(pod)
	return c.pods[pod.Name], nil
}

// find must be called with mu held, as all below.
func (c *Cluster) find(id server.ID) (*corev1.Pod, error) {
	for _, name := range spawn.PodNames(id) {
		switch pod := c.pods[name]; {
		case pod != nil && spawn.OwnsPod(pod, id):
			return pod, nil
		case pod != nil && name == spawn.PodName(id):
			return nil, &spawn.Problem{Message: spawn.MsgConflict, Err: fmt.Errorf("pod %s is not ours", name)}
		}
	}
	return nil, nil
}

func (c *Cluster) remove(pod *corev1.Pod) {
	if !c.held {
		c.drop(pod)
		return
	}
	if pod.DeletionTimestamp == nil {
		now := metav1.NewTime(c.now())
		pod.DeletionTimestamp = &now
	}
}

// drop takes a pod away, and out of its records.
func (c *Cluster) drop(pod *corev1.Pod) {
	delete(c.pods, pod.Name)
	c.settle(pod)
}

// settle takes a pod that is gone, or was not made, out of its records.
func (c *Cluster) settle(pod *corev1.Pod) {
	id, ok := spawn.Identify(pod)
	if !ok {
		return
	}
	for _, hold := range spawn.Counted(pod, id) {
		c.records[hold.Subject], _ = c.record(hold.Subject).Release(hold.Ask.Key, hold.Ask.Nonce, c.now())
	}
}

func (c *Cluster) describe(id server.ID, pod *corev1.Pod) spawn.Server {
	s := spawn.Describe(id, pod, nil, c.now(), c.StartTimeout)
	if pod == nil {
		return s
	}
	s = s.With(c.uses[pod.UID])
	if c.record(spawn.Subject{Name: id.User}).Restarts(id.Name, s.UID) {
		return s.Restarting()
	}
	return s
}
