package dataplane

import (
	"errors"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	k8stesting "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// outage takes the API server of an env away: watches end, calls fail.
type outage struct {
	s *env

	mu      sync.Mutex
	down    bool
	refused int
	watches []watch.Interface
}

func newOutage(s *env) *outage {
	o := &outage{s: s}
	s.client.PrependReactor("*", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		if err := o.refuse(); err != nil {
			return true, nil, err
		}
		return false, nil, nil
	})
	s.client.PrependWatchReactor("*", func(action k8stesting.Action) (bool, watch.Interface, error) {
		if err := o.refuse(); err != nil {
			return true, nil, err
		}
		w, err := s.client.Tracker().Watch(action.GetResource(), action.GetNamespace())
		if err == nil {
			o.mu.Lock()
			o.watches = append(o.watches, w)
			o.mu.Unlock()
		}
		return true, w, err
	})
	return o
}

func (o *outage) refuse() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.down {
		return nil
	}
	o.refused++
	return errors.New("dial tcp 10.96.0.1:443: connect: connection refused")
}

// begin returns once watchers have tried and failed to come back.
func (o *outage) begin() {
	o.mu.Lock()
	o.down = true
	watches, before := o.watches, o.refused
	o.watches = nil
	o.mu.Unlock()
	for _, w := range watches {
		w.Stop()
	}
	wait.Until(o.s.t, "watchers try again", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.refused >= before+6
	})
}

func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = false
}

// R3: the API server goes away for a while, and again while the xds-server restarts.
// Every server keeps its route, its websockets and its answers; what changed meanwhile
// is caught up with, without a moment in which routes are missing.
func TestR3_APIServerGone(t *testing.T) {
	var api *outage
	s := newEnvWith(t, func(s *env) { api = newOutage(s) })
	addr := newUpstream(t, "10.99.0.2", "other").addr
	s.addPod("jupyter-alice", server.ID{User: "alice"}, newUpstream(t, "10.99.0.1", "alice").addr)
	s.addPod("first", server.ID{User: "first"}, addr)
	s.addPod("second", server.ID{User: "second"}, addr)
	for _, user := range []string{"alice", "first", "second"} {
		s.routed("/user/"+user+"/api", true)
	}
	alice := s.login("alice")
	alice.visit("/user/alice/lab")
	conn := dialEcho(t, alice, "HTTP/1.1")
	got := s.keepAsking(alice)
	alive := func(when string) {
		t.Helper()
		echoes(t, conn, when)
		n := len(got.list())
		wait.Until(s.t, "answers "+when, func() bool { return len(got.list()) > n+20 })
		if odd := slices.DeleteFunc(got.list(), func(a string) bool { return a == "alice" }); len(odd) > 0 {
			t.Fatalf("%s alice got %v", when, unique(odd))
		}
	}

	api.begin()
	alive("without the API server")
	changeBehind(s, "first", "third", addr)
	s.routed("/user/first/api", true) // nobody could know
	api.end()
	s.routed("/user/third/api", true)
	s.routed("/user/first/api", false)
	alive("after the first outage")

	api.begin()
	s.stopXDS()
	changeBehind(s, "second", "fourth", addr)
	s.startXDS()
	alive("with a new xds-server that knows nothing")
	if ready("127.0.0.1:9101") {
		t.Error("an xds-server that has never seen the API server says that it is ready")
	}
	s.routed("/user/second/api", true)
	api.end()
	s.routed("/user/fourth/api", true)
	s.routed("/user/second/api", false)
	alive("after the second outage")
}

// changeBehind lets one pod go and another come while the API server cannot be
// reached.
func changeBehind(s *env, goes, comes, addr string) {
	s.t.Helper()
	pods, state := corev1.SchemeGroupVersion.WithResource("pods"), s.client.Tracker()
	if err := errors.Join(
		state.Delete(pods, namespace, goes),
		state.Create(pods, s.newPod(comes, server.ID{User: comes}, addr), namespace),
	); err != nil {
		s.t.Fatal(err)
	}
}
