package clustertest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/wait"
)

// begins waits until a server that waited has its pod.
func (e *Env) begins(t *testing.T, id server.ID) {
	t.Helper()
	wait.Until(t, id.String()+" begins", func() bool { s := e.get(t, id); return s.UID != "" && s.Phase == spawn.Pending })
}

// fill takes all places.
func (e *Env) fill(t *testing.T) {
	t.Helper()
	for i := range SpawnLimit {
		e.start(t, access.User{Name: fmt.Sprint("first", i)}, "", spawn.Options{})
	}
}

// next lets one of the servers that start answer.
func (e *Env) next(t *testing.T, user string) {
	t.Helper()
	id := server.ID{User: user}
	e.Change(id, memory.Answer)
	e.becomes(t, id, spawn.Answering)
}

// waitsBehind waits until so many starts are before a server's.
func (e *Env) waitsBehind(t *testing.T, id server.ID, before int) {
	t.Helper()
	var s spawn.Server
	if !wait.Poll(10*time.Second, func() bool {
		s = e.get(t, id)
		return s.Waiting && (before == 0 && s.Now().Message == spawn.MsgQueueNext || s.Now().Data["Before"] == fmt.Sprint(before))
	}) {
		t.Errorf("%s waits behind %v, want %d: %+v", id, s.Now(), before, s)
	}
}

// inOrder: users come by the time when they asked, and a user's second start after everybody's
// first.
func inOrder(t *testing.T, e *Env) {
	e.fill(t)
	mallory := access.User{Name: "mallory"}
	for i := range 3 {
		e.Clock.Advance(time.Second)
		e.start(t, mallory, fmt.Sprint("m", i), spawn.Options{})
	}
	e.Clock.Advance(time.Second)
	e.start(t, alice, "", spawn.Options{})
	e.Clock.Advance(time.Second)
	e.start(t, bob, "", spawn.Options{})
	ids := []server.ID{{User: "mallory", Name: "m0"}, aliceID, bobID, {User: "mallory", Name: "m1"}, {User: "mallory", Name: "m2"}}
	for i, id := range ids {
		e.waitsBehind(t, id, i)
	}
	e.start(t, alice, "", spawn.Options{}) // asked again it keeps its place
	e.waitsBehind(t, aliceID, 1)
	for i := range SpawnLimit {
		e.Clock.Advance(time.Second)
		e.next(t, fmt.Sprint("first", i))
		e.begins(t, ids[i])
	}
	e.waitsBehind(t, ids[3], 0)
	e.waitsBehind(t, ids[4], 1)
	e.next(t, "alice")
	e.begins(t, ids[3])
}

// takenBack: who stops a server whose start waits gets none, and those behind move up.
func takenBack(t *testing.T, e *Env) {
	e.fill(t)
	e.start(t, alice, "", spawn.Options{})
	e.Clock.Advance(time.Second)
	e.start(t, bob, "", spawn.Options{})
	e.waitsBehind(t, bobID, 1)
	e.stop(t, aliceID)
	e.waitsBehind(t, bobID, 0)
	e.next(t, "first0")
	e.begins(t, bobID)
	if s := e.get(t, aliceID); s.Phase != spawn.Stopped || len(e.Cluster.List("alice")) != 0 || len(e.Pods()) != SpawnLimit+1 {
		t.Errorf("alice's server: %+v", s)
	}
}

// refusedAtTurn: what keeps one server from being made is told to its user and keeps no other one
// from it; the user may try again.
func refusedAtTurn(t *testing.T, e *Env) {
	e.fill(t)
	e.start(t, alice, "", spawn.Options{Profile: "lab"})
	e.Refuse(true)
	e.next(t, "first0")
	s := e.becomes(t, aliceID, spawn.Failed)
	if s.Now().Message != spawn.MsgQuota || !s.Now().Failed || s.Waiting || s.Options.Profile != "lab" {
		t.Errorf("refused at its turn: %+v", s)
	}
	e.Refuse(false)
	e.start(t, bob, "", spawn.Options{})
	e.begins(t, bobID)
	e.next(t, "bob")
	e.start(t, alice, "", spawn.Options{})
	e.begins(t, aliceID)
}

// quotaAtTurn: room that a group had when a start was asked for may be gone at its turn.
func quotaAtTurn(t *testing.T, e *Env) {
	e.start(t, access.User{Name: "u1", Groups: []string{"crew"}}, "", spawn.Options{})
	e.next(t, "u1")
	e.fill(t)
	for _, user := range []string{"u2", "u3"} {
		e.start(t, access.User{Name: user, Groups: []string{"crew"}}, "", spawn.Options{})
		e.Clock.Advance(time.Second)
	}
	e.next(t, "first0")
	e.begins(t, server.ID{User: "u2"})
	e.next(t, "u2")
	s := e.becomes(t, server.ID{User: "u3"}, spawn.Failed)
	if s.Now().Message != spawn.MsgOverServers || s.Now().Next != spawn.MsgFreeOthers || s.Now().Data["Rule"] != "crew" {
		t.Errorf("refused with %+v", s.Now())
	}
	e.start(t, bob, "", spawn.Options{})
	e.begins(t, bobID)
}

// fullQueue: one user cannot fill the queue.
func fullQueue(t *testing.T, e *Env) {
	e.fill(t)
	e.start(t, alice, "", spawn.Options{})
	for i := range spawn.MaxServers - 1 {
		e.start(t, alice, fmt.Sprint("s", i), spawn.Options{})
	}
	var p *spawn.Problem
	err := e.Cluster.Start(t.Context(), spawn.Request{ID: server.ID{User: "alice", Name: "more"}, Owner: alice})
	if !errors.As(err, &p) || p.Message != spawn.MsgBusy {
		t.Errorf("one more: %v", err)
	}
	e.start(t, bob, "", spawn.Options{})
	e.waitsBehind(t, bobID, 1)
}

// slowStarts: servers that do not answer, whatever keeps them from it, give their places up.
func slowStarts(t *testing.T, e *Env) {
	e.fill(t)
	e.start(t, alice, "", spawn.Options{})
	e.Clock.Advance(spawn.PlaceFor - 2*time.Second) // Kubernetes' times have whole seconds
	e.waitsBehind(t, aliceID, 0)
	e.Clock.Advance(3 * time.Second)
	e.begins(t, aliceID)
	for i := range SpawnLimit { // they go on
		if s := e.get(t, server.ID{User: fmt.Sprint("first", i)}); s.Phase != spawn.Pending {
			t.Errorf("%s: %+v", s.ID, s.Status)
		}
	}
	for i := range SpawnLimit { // alice has one place, and all others are free
		e.start(t, access.User{Name: fmt.Sprint("more", i)}, "", spawn.Options{})
	}
	e.waitsBehind(t, server.ID{User: fmt.Sprint("more", SpawnLimit-1)}, 0)
}
