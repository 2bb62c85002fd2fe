package clustertest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// running starts bob's server of the profile gpu and lets it answer.
func (e *Env) running(t *testing.T) spawn.Server {
	t.Helper()
	e.start(t, bob, "", spawn.Options{Profile: "gpu"})
	e.Change(bobID, memory.Answer)
	return e.becomes(t, bobID, spawn.Answering)
}

func (e *Env) restart(t *testing.T, uid string) {
	t.Helper()
	if err := e.Cluster.Restart(t.Context(), spawn.Request{ID: bobID, Owner: bob}, uid); err != nil {
		t.Fatalf("restart: %v", err)
	}
}

// successor waits until a server has another pod than the one of that UID.
func (e *Env) successor(t *testing.T, uid string) spawn.Server {
	t.Helper()
	var s spawn.Server
	eventually(t, func() []string {
		if s = e.get(t, bobID); s.UID == "" || s.UID == uid {
			return []string{"the old pod"}
		}
		return []string{"a new pod"}
	}, "a new pod")
	return s
}

// restart: the server is starting from the click on, and its next pod is made as the one before.
func restart(t *testing.T, e *Env) {
	first := e.running(t)
	e.Hold()
	e.restart(t, first.UID)
	for range 2 { // asked again while the pod ends
		if s := e.becomes(t, bobID, spawn.Pending); s.UID != first.UID || s.Now().Message != spawn.MsgRestarting {
			t.Errorf("while the pod ends: %+v", s)
		}
		e.restart(t, first.UID)
	}
	e.Release()
	s := e.successor(t, first.UID)
	if s.Options.Profile != "gpu" || s.Waiting || len(e.Pods()) != 1 {
		t.Errorf("the server that restarted: %+v, pods %v", s, e.Pods())
	}
	e.Change(bobID, memory.Answer)
	e.becomes(t, bobID, spawn.Answering)
}

// restartTwice: of two clicks, or two replicas, the second finds another pod and leaves it.
func restartTwice(t *testing.T, e *Env) {
	first := e.running(t)
	var clicks sync.WaitGroup
	for range 4 {
		clicks.Go(func() {
			if err := e.Cluster.Restart(t.Context(), spawn.Request{ID: bobID, Owner: bob}, first.UID); err != nil {
				t.Errorf("restart: %v", err)
			}
		})
	}
	clicks.Wait()
	second := e.successor(t, first.UID)
	e.Change(bobID, memory.Answer)
	e.becomes(t, bobID, spawn.Answering)
	e.restart(t, first.UID) // from a page of before
	if s := e.get(t, bobID); s.UID != second.UID || s.Phase != spawn.Answering {
		t.Errorf("an old page restarts the server that runs: %+v", s)
	}
	e.stop(t, bobID)
	e.restart(t, first.UID)
	e.successor(t, second.UID)
}

// restartTakenBack: who stops a server that restarts gets none.
func restartTakenBack(t *testing.T, e *Env) {
	first := e.running(t)
	e.Hold()
	e.restart(t, first.UID)
	e.becomes(t, bobID, spawn.Pending)
	if _, err := e.Cluster.Stop(t.Context(), bobID, 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	e.becomes(t, bobID, spawn.Stopping)
	e.Release()
	e.becomes(t, bobID, spawn.Stopped)
	e.start(t, alice, "", spawn.Options{}) // what waits before it would be begun by now
	if pods := e.Pods(); len(pods) != 1 {
		t.Errorf("pods %v", pods)
	}
}

// restartRefused: what could not be started again goes on.
func restartRefused(t *testing.T, e *Env) {
	first := e.running(t)
	var p *spawn.Problem
	err := e.Cluster.Restart(t.Context(), spawn.Request{ID: bobID, Owner: access.User{Name: "bob"}}, first.UID) // in no group any more
	if !errors.As(err, &p) || p.Message != spawn.MsgProfile {
		t.Errorf("restart with a profile that is not bob's: %v", err)
	}
	if s := e.get(t, bobID); s.Phase != spawn.Answering || s.UID != first.UID {
		t.Errorf("afterwards: %+v", s)
	}
	if err := e.Cluster.Restart(t.Context(), spawn.Request{ID: server.ID{User: "bob", Name: "a/b"}, Owner: bob}, "x"); err == nil {
		t.Error("a name that is none")
	}
}
