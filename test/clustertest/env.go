package clustertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/wait"
)

// How a cluster under test is set up.
const (
	SpawnLimit   = 3
	StartTimeout = time.Minute
	MaxAge       = time.Hour // of servers of the profile gpu
)

// Site is where the cluster under test puts servers.
func Site() spawn.Site { return spawn.Site{Namespace: "servers", JupyterConfigMap: "perijove-jupyter"} }

// Policy is what users are due: a profile for all and one for a group, and quotas for the groups of
// some tests.
func Policy() spawn.Policy {
	p, faults := spawn.Document{Profiles: spawn.Catalog{
		{DisplayName: "Lab", Slug: "lab", Override: spawn.Override{Image: "example.org/lab:1"}},
		{DisplayName: "GPU", Slug: "gpu", AllowedGroups: []string{"physics"}, Override: spawn.Override{Image: "example.org/gpu:1"}, Lifetime: spawn.Lifetime{MaxAge: spawn.Span(MaxAge.String())}},
	}, Quotas: map[string]spawn.Quota{
		"single": {Groups: []string{"beginners"}, Servers: "1"},
		"crew":   {Groups: []string{"crew"}, Together: true, Servers: "2"},
		"weekly": {Groups: []string{"weekly"}, HoursPerWeek: "2"},
	}}.Policy()
	if len(faults) > 0 {
		panic(faults)
	}
	return p
}

// Clock is the clock of a cluster under test.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a Clock that begins at the present second, as Kubernetes' times do.
func NewClock() *Clock { return &Clock{now: time.Now().Truncate(time.Second)} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance lets d pass.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Env is a cluster under test and what happens to it from outside.
type Env struct {
	Cluster hub.Cluster
	Clock   *Clock
	// Change alters a server's pod as the kubelet would.
	Change func(id server.ID, change func(*corev1.Pod))
	// Put adds a pod that the spawner did not make.
	Put func(pod *corev1.Pod)
	// Refuse lets the cluster make no pods, or again.
	Refuse func(refuse bool)
	// Hold keeps deleted pods from going away until Release.
	Hold, Release func()
	// Pods and Homes return the names of what exists, sorted.
	Pods, Homes func() []string
}

// Actors of the suite.
var (
	alice   = access.User{Name: "alice"}
	bob     = access.User{Name: "bob", Groups: []string{"chess", "physics"}}
	aliceID = server.ID{User: "alice"}
	bobID   = server.ID{User: "bob"}
)

// start is a start that must succeed.
func (e *Env) start(t *testing.T, owner access.User, name string, o spawn.Options) spawn.Server {
	t.Helper()
	id := server.ID{User: owner.Name, Name: name}
	if err := e.Cluster.Start(t.Context(), spawn.Request{ID: id, Owner: owner, Options: o}); err != nil {
		t.Fatalf("start %s: %v", id, err)
	}
	return e.get(t, id)
}

func (e *Env) get(t *testing.T, id server.ID) spawn.Server {
	t.Helper()
	s, err := e.Cluster.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("get %s: %v", id, err)
	}
	return s
}

// becomes waits until a server is in a phase.
func (e *Env) becomes(t *testing.T, id server.ID, want spawn.Phase) spawn.Server {
	t.Helper()
	var s spawn.Server
	wait.Until(t, id.String()+" is "+string(want), func() bool {
		s = e.get(t, id)
		return s.Phase == want
	})
	return s
}

// refused is a start that must end with a problem.
func (e *Env) refused(t *testing.T, r spawn.Request, want spawn.Message) {
	t.Helper()
	var p *spawn.Problem
	if err := e.Cluster.Start(t.Context(), r); !errors.As(err, &p) || p.Message != want {
		t.Errorf("start %s: %v, want %s", r.ID, err, want)
	}
}

func (e *Env) wantPods(t *testing.T, want ...string) {
	t.Helper()
	if got := e.Pods(); !slices.Equal(got, want) {
		t.Errorf("pods %v, want %v", got, want)
	}
}

// within is a cluster whose starts may take until a context ends.
type within struct {
	hub.Cluster
	ctx context.Context //nolint:containedctx // that is what it is
}

func (w within) Start(_ context.Context, r spawn.Request) error { return w.Cluster.Start(w.ctx, r) }
