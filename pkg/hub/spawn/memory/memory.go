package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/broadcast"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
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
	refusal error
	held    bool
}

// New returns a Cluster without servers. now is the clock.
func New(now func() time.Time, s Settings) *Cluster {
	return &Cluster{
		Settings: s, now: now, changes: broadcast.New(),
		pods: map[string]*corev1.Pod{}, homes: map[string]bool{},
	}
}

// List returns a user's servers that have a pod, sorted by name.
func (c *Cluster) List(user string) []spawn.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []spawn.Server
	for _, pod := range c.pods {
		if id, ok := spawn.Identify(pod); ok && id.User == user {
			out = append(out, c.describe(id, pod))
		}
	}
	slices.SortFunc(out, func(a, b spawn.Server) int { return a.ID.Compare(b.ID) })
	return out
}

// Get returns a server as it is now.
func (c *Cluster) Get(_ context.Context, id server.ID) (spawn.Server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, err := c.find(id)
	return c.describe(id, pod), err
}

// Profiles returns what a user may choose from.
func (c *Cluster) Profiles(user access.User) spawn.Catalog { return c.Policy().For(user) }

// Watch returns a channel that receives something after each change of a server, and a
// function that ends it.
func (c *Cluster) Watch(id server.ID) (<-chan struct{}, func()) { return c.changes.Watch(id) }

// Start makes the server exist.
func (c *Cluster) Start(ctx context.Context, r spawn.Request) error {
	if err := r.ID.Valid(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	defer c.changes.Notify(r.ID)
	changed, stop := c.Watch(r.ID)
	defer stop()
	for spec := (spawn.Spec{ID: r.ID, Options: r.Options}); ; {
		again, err := c.start(r, &spec)
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
func (c *Cluster) start(r spawn.Request, spec *spawn.Spec) (again bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, err := c.find(r.ID)
	if err != nil {
		return false, err
	}
	spec.Options = spec.Options.OrKept(pod)
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
	return false, c.create(*spec)
}

func (c *Cluster) create(spec spawn.Spec) error {
	if c.refusal != nil {
		return c.refusal
	}
	starting, have := 0, map[server.ID]bool{}
	for _, pod := range c.pods {
		id, ok := spawn.Identify(pod)
		if ok && c.describe(id, pod).Phase == spawn.Pending {
			starting++
		}
		if ok && id.User == spec.ID.User {
			have[id] = true
		}
	}
	if starting >= c.SpawnLimit {
		return &spawn.Problem{Message: spawn.MsgBusy, Err: fmt.Errorf("%d servers are starting", starting)}
	}
	if err := spawn.Room(have, spec.ID); err != nil {
		return err
	}
	if spec.Profile.Override.HasVolume() {
		c.homes[spawn.Claim(c.Site, spec.Profile, spec.ID).Name] = true
	}
	c.made++
	spec.Nonce = strings.Repeat("n", 26)
	pod := spawn.Pod(c.Site, spec)
	pod.UID, pod.CreationTimestamp = types.UID(fmt.Sprintf("uid-%d", c.made)), metav1.NewTime(c.now())
	c.pods[pod.Name] = pod
	return nil
}

// Stop ends a server and waits up to wait for it to be gone.
func (c *Cluster) Stop(ctx context.Context, id server.ID, wait time.Duration) (bool, error) {
	changed, stop := c.Watch(id)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for uid := types.UID(""); ; {
		pod, err := c.ask(id, uid)
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
func (c *Cluster) ask(id server.ID, uid types.UID) (*corev1.Pod, error) {
	defer c.changes.Notify(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, err := c.find(id)
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
		delete(c.pods, pod.Name)
		return
	}
	if pod.DeletionTimestamp == nil {
		now := metav1.NewTime(c.now())
		pod.DeletionTimestamp = &now
	}
}

func (c *Cluster) describe(id server.ID, pod *corev1.Pod) spawn.Server {
	return spawn.Describe(id, pod, nil, c.now(), c.StartTimeout)
}
