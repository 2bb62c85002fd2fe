package liveness

import (
	"fmt"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/feed"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/wait"
)

// TestLoginWhileKubernetesIsAway: the login holds, and the session is recorded later.
func TestLoginWhileKubernetesIsAway(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	e.away.Store(true)
	s := e.session("s")
	if err := k.LoggedIn(t.Context(), Login{User: access.User{Name: "alice"}, Session: s}); err == nil {
		t.Fatal("nobody is told")
	}
	if k.Ended("s", "alice", s.Since) {
		t.Error("the login does not hold")
	}
	k.Seen(Use{User: "alice", Session: s, Active: true})
	k.Flush(t.Context())
	e.away.Store(false)
	k.Flush(t.Context())
	if got := k.Sessions("alice"); len(got) != 1 || got[0].ID != "s" {
		t.Errorf("%+v", got)
	}
	e.pass(idleTime)
	if !k.Ended("s", "alice", s.Since) {
		t.Error("it never ends")
	}
}

// TestCheckAsksNobody: what a request needs comes from memory, with the API away too.
func TestCheckAsksNobody(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	s := e.login(t, k, "alice", "s")
	token, hash := tokens.New()
	if err := k.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: e.now(), Expires: e.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	before := e.calls.Load()
	e.away.Store(true)
	if k.Ended("s", "alice", s.Since) {
		t.Error("over")
	}
	k.Seen(Use{User: "alice", Session: s, Active: true})
	if _, _, ok := k.Token(token); !ok {
		t.Error("no token")
	}
	if u := k.Current(access.User{Name: "alice"}); len(u.Groups) != 1 {
		t.Errorf("%+v", u)
	}
	if got := e.calls.Load() - before; got != 0 {
		t.Errorf("%d calls", got)
	}
}

// TestD9_OldestSessionIsRevokedEverywhere: one session too many ends the oldest one.
func TestD9_OldestSessionIsRevokedEverywhere(t *testing.T) {
	e := newEnv(t)
	a, b := e.replica(t), e.replica(t)
	var all []account.Session
	for i := range account.MaxSessions + 1 {
		e.pass(time.Second)
		all = append(all, e.login(t, a, "alice", fmt.Sprint(i)))
	}
	wait.Until(t, "the oldest is over on both", func() bool {
		return a.Ended("0", "alice", all[0].Since) && b.Ended("0", "alice", all[0].Since)
	})
	for _, s := range all[1:] {
		if a.Ended(s.ID, "alice", s.Since) {
			t.Errorf("session %s ended too", s.ID)
		}
	}
}

func TestV3_EndAllAndOne(t *testing.T) {
	e := newEnv(t)
	a, b := e.replica(t), e.replica(t)
	one, two := e.login(t, a, "alice", "1"), e.login(t, b, "alice", "2")
	if err := b.EndSession(t.Context(), "alice", "1", one.Expires); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "one is over on both", func() bool { return a.Ended("1", "alice", one.Since) && b.Ended("1", "alice", one.Since) })
	if a.Ended("2", "alice", two.Since) || len(b.Sessions("alice")) != 1 {
		t.Error("the other one ended too")
	}
	if err := a.EndAll(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "all are over on both", func() bool { return a.Ended("2", "alice", two.Since) && b.Ended("2", "alice", two.Since) })
	e.pass(time.Second)
	if again := e.login(t, a, "alice", "3"); a.Ended("3", "alice", again.Since) {
		t.Error("alice cannot come back")
	}
	// A trace of an ended session must not bring its record back.
	b.Seen(Use{User: "alice", Session: two, Active: true})
	b.Flush(t.Context())
	for _, s := range b.Sessions("alice") {
		if s.ID == "2" {
			t.Error("an ended session is listed again")
		}
	}
}

// TestV7_Modes: with the feed cut for more than a minute, strict lets nobody in, and
// best effort goes on with what it knows.
func TestV7_Modes(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	s := e.login(t, k, "alice", "s")
	for _, strict := range []bool{true, false} {
		k.Strict = strict
		if k.Refuse() || k.Stale() {
			t.Error("refuses for no reason")
		}
	}
	e.away.Store(true)
	e.pass(feed.MaxAge + time.Second)
	for _, strict := range []bool{true, false} {
		k.Strict = strict
		if k.Refuse() != strict || !k.Stale() || k.Ended("s", "alice", s.Since) {
			t.Errorf("strict %v: refuses %v", strict, k.Refuse())
		}
	}
}
