package liveness

import (
	"fmt"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/feed"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/wait"
)

// TestLoginWhileKubernetesIsAway: whose the name is, is known of a user who was here before.
// The login holds, and the session is recorded later.
func TestLoginWhileKubernetesIsAway(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	first := e.login(t, k, "first")
	e.away.Store(true)
	e.pass(time.Second)
	s := e.session("s")
	if name, err := k.LogIn(t.Context(), loginOf(s)); err == nil || name != "alice" {
		t.Fatalf("%q, %v; want the name and an error", name, err)
	}
	stranger := loginOf(s)
	stranger.User.Name, stranger.Links = "bob", []identity.Link{identity.Named("bob")}
	if name, err := k.LogIn(t.Context(), stranger); err == nil || name != "" {
		t.Errorf("a first login got the name %q (%v) although it may be another's", name, err)
	}
	if ended(k, s) {
		t.Error("the login does not hold")
	}
	k.Seen(s, true)
	k.Flush(t.Context())
	e.away.Store(false)
	k.Flush(t.Context())
	if got := k.Sessions("alice"); len(got) != 2 || got[0].ID != "s" || got[1].ID != first.ID {
		t.Errorf("%+v", got)
	}
	e.pass(idleTime)
	if !ended(k, s) {
		t.Error("it never ends")
	}
}

// TestALoginCostsLittle: a class that logs in at once waits for these calls. A first login is
// one write; a later one reads what only the Secret holds, and writes.
func TestALoginCostsLittle(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	accountCalls := func() (n int) { // beside those of the two stores' own feeds
		for _, action := range e.client.Actions() {
			named, ok := action.(interface{ GetName() string })
			reads := action.GetVerb() == "get" && ok && named.GetName() == "rel-account-alice"
			if reads || action.GetVerb() == "create" || action.GetVerb() == "update" {
				n++
			}
		}
		return n
	}
	for i, want := range []int{1, 2, 2} {
		e.pass(time.Second)
		before := accountCalls()
		e.login(t, k, fmt.Sprint(i))
		if got := accountCalls() - before; got != want {
			t.Errorf("login %d made %d calls, want %d", i+1, got, want)
		}
	}
}

// TestCheckAsksNobody: what a request needs comes from memory, with the API away too.
func TestCheckAsksNobody(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	s := e.login(t, k, "s")
	token, hash := tokens.New()
	if err := k.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: e.now(), Expires: e.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	before := e.calls.Load()
	e.away.Store(true)
	if ended(k, s) {
		t.Error("over")
	}
	k.Seen(s, true)
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
	var all []session.Session
	for i := range account.MaxSessions + 1 {
		e.pass(time.Second)
		all = append(all, e.login(t, a, fmt.Sprint(i)))
	}
	wait.Until(t, "the oldest is over on both", func() bool {
		return ended(a, all[0]) && ended(b, all[0])
	})
	for _, s := range all[1:] {
		if ended(a, s) {
			t.Errorf("session %s ended too", s.ID)
		}
	}
}

func TestV3_EndAllAndOne(t *testing.T) {
	e := newEnv(t)
	a, b := e.replica(t), e.replica(t)
	one, two := e.login(t, a, "1"), e.login(t, b, "2")
	if err := b.EndSession(t.Context(), "alice", recorded(one)); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "one is over on both", func() bool { return ended(a, one) && ended(b, one) })
	if ended(a, two) || len(b.Sessions("alice")) != 1 {
		t.Error("the other one ended too")
	}
	if err := a.EndAll(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "all are over on both", func() bool { return ended(a, two) && ended(b, two) })
	e.pass(time.Second)
	if again := e.login(t, a, "3"); ended(a, again) {
		t.Error("alice cannot come back")
	}
	// A trace of an ended session must not bring its record back.
	b.Seen(two, true)
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
	s := e.login(t, k, "s")
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
		if k.Refuse() != strict || !k.Stale() || ended(k, s) {
			t.Errorf("strict %v: refuses %v", strict, k.Refuse())
		}
	}
}
