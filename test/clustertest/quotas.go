package clustertest

import (
	"errors"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/wait"
)

// stop ends a server and waits until that is seen.
func (e *Env) stop(t *testing.T, id server.ID) {
	t.Helper()
	if gone, err := e.Cluster.Stop(t.Context(), id, time.Second); !gone || err != nil {
		t.Fatalf("stop %s: %v, %v", id, gone, err)
	}
	e.becomes(t, id, spawn.Stopped)
}

// kept: a named server is listed with what the user calls it while it is stopped, until the user
// deletes it.
func kept(t *testing.T, e *Env) {
	id := server.ID{User: "alice", Name: "ubung-1"}
	r := spawn.Request{ID: id, Owner: alice, DisplayName: "Übung 1/2 <b>", Options: spawn.Options{Profile: "lab"}}
	if err := e.Cluster.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	e.stop(t, id)
	wait.Until(t, "the stopped server is listed", func() bool { return len(e.Cluster.List("alice")) == 1 })
	s := e.Cluster.List("alice")[0]
	if s.ID != id || s.DisplayName != r.DisplayName || s.Phase != spawn.Stopped || !s.Kept || s.Options.Profile != "lab" {
		t.Errorf("the stopped server: %+v", s)
	}
	again := e.start(t, alice, id.Name, spawn.Options{})
	if again.DisplayName != r.DisplayName || again.Options.Profile != "lab" {
		t.Errorf("started again it is %+v", again)
	}
	if err := e.Cluster.Forget(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	e.stop(t, id)
	wait.Until(t, "the deleted server is gone", func() bool { return len(e.Cluster.List("alice")) == 0 })
	if len(e.Homes()) != 1 {
		t.Errorf("homes after the deletion: %v", e.Homes())
	}
	if err := e.Cluster.Forget(t.Context(), id); err != nil {
		t.Errorf("deleted twice: %v", err)
	}
}

// over is a start that must be refused by a quota; it returns the problem.
func (e *Env) over(t *testing.T, owner access.User, name string) *spawn.Problem {
	t.Helper()
	var p *spawn.Problem
	err := e.Cluster.Start(t.Context(), spawn.Request{ID: server.ID{User: owner.Name, Name: name}, Owner: owner})
	if !errors.As(err, &p) {
		t.Fatalf("start %s/%s: %v, want a refusal", owner.Name, name, err)
	}
	return p
}

func ownQuota(t *testing.T, e *Env) {
	user := access.User{Name: "bert", Groups: []string{"beginners"}}
	e.start(t, user, "", spawn.Options{})
	p := e.over(t, user, "two")
	if p.Message != spawn.MsgOverServers || p.Next != spawn.MsgFreeStop || p.Data["Rule"] != "single" || p.Data["Used"] != "1" || p.Data["Over"] != "1" {
		t.Errorf("the refusal says %s %v", p.Message, p.Data)
	}
	e.start(t, user, "", spawn.Options{}) // the same once more is none more
	if u := e.Cluster.Usage(user); len(u) != 1 || u[0].Used != u[0].Most {
		t.Errorf("usage: %+v", u)
	}
	e.stop(t, server.ID{User: "bert"})
	e.start(t, user, "two", spawn.Options{})
	e.start(t, alice, "", spawn.Options{}) // another user's
	e.start(t, access.User{Name: "alice"}, "two", spawn.Options{})
}

func sharedQuota(t *testing.T, e *Env) {
	users := []access.User{{Name: "u1", Groups: []string{"crew"}}, {Name: "u2", Groups: []string{"crew"}}, {Name: "u3", Groups: []string{"crew"}}}
	e.start(t, users[0], "", spawn.Options{})
	e.start(t, users[1], "", spawn.Options{})
	p := e.over(t, users[2], "")
	if p.Message != spawn.MsgOverServers || p.Next != spawn.MsgFreeOthers || p.Data["Rule"] != "crew" {
		t.Errorf("the refusal says %s %s %v", p.Message, p.Next, p.Data)
	}
	// The group vanishes while the server runs: it still counts where it was counted.
	left := access.User{Name: "u1"}
	e.Change(server.ID{User: "u1"}, memory.Answer)
	e.becomes(t, server.ID{User: "u1"}, spawn.Answering)
	e.start(t, left, "", spawn.Options{})
	e.over(t, users[2], "")
	e.stop(t, server.ID{User: "u1"})
	e.start(t, users[2], "", spawn.Options{})
}

func hours(t *testing.T, e *Env) {
	user := access.User{Name: "wendy", Groups: []string{"weekly"}}
	for e.Clock.Now().UTC().Weekday() != time.Wednesday { // no week ends within the test
		e.Clock.Advance(time.Hour)
	}
	e.start(t, user, "", spawn.Options{})
	e.Clock.Advance(2*time.Hour + time.Minute)
	p := e.over(t, user, "two")
	if p.Message != spawn.MsgOverWeek || p.Data["Most"] != "2" || p.Data["Used"] != "2" {
		t.Errorf("the refusal says %s %v", p.Message, p.Data)
	}
	if p.Next != spawn.MsgFreeAt || p.Data["Free"] == "" {
		t.Errorf("it does not say when: %s %v", p.Next, p.Data)
	}
	e.stop(t, server.ID{User: "wendy"})
	e.over(t, user, "") // what has ended counts as well
	const week = 7 * 24 * time.Hour
	e.Clock.Advance(week)
	e.start(t, user, "", spawn.Options{})
}

// failedStart: what keeps the objects from being made gives the room back.
func failedStart(t *testing.T, e *Env) {
	user := access.User{Name: "bert", Groups: []string{"beginners"}}
	e.Refuse(true)
	if err := e.Cluster.Start(t.Context(), spawn.Request{ID: server.ID{User: "bert", Name: "one"}, Owner: user}); err == nil {
		t.Fatal("the start was not refused")
	}
	e.Refuse(false)
	e.start(t, user, "two", spawn.Options{})
}
