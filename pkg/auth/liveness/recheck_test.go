package liveness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

func answers(user access.User, err error) Rechecker {
	return func(context.Context, account.Account, time.Time) (Answer, error) { return Answer{User: user}, err }
}

// TestV4_RefusedAtTheNextCheck: disabled, or thrown out of every allowed group.
func TestV4_RefusedAtTheNextCheck(t *testing.T) {
	for _, reason := range []error{access.ErrNotAllowed, access.ErrCredentials} {
		e := newEnv(t)
		a, b := e.replica(t), e.replica(t)
		s := e.login(t, a, "s")
		token, hash := tokens.New()
		if err := a.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: e.now(), Expires: e.now().Add(24 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		e.ask = answers(access.User{}, fmt.Errorf("wrapped: %w", reason))
		e.pass(each - time.Second)
		a.Seen(s, false)
		a.RecheckActive(t.Context())
		if e.asked.Load() != 0 {
			t.Error("asked too early")
		}
		e.pass(time.Second)
		a.RecheckActive(t.Context())
		wait.Until(t, "both replicas refuse", func() bool {
			_, _, there := b.Token(token)
			return ended(a, s) && ended(b, s) && !there
		})
		if _, _, ok := a.Token(token); ok {
			t.Error("the token of a disabled user is taken")
		}
		if _, ok := a.Person("alice"); ok {
			t.Error("an administrator may start for a disabled user")
		}
		logs.Audited(t, e.log.String(), telemetry.UserRefused)
		e.pass(time.Minute)
		again := e.login(t, b, "again")
		if _, _, ok := b.Token(token); !ok || ended(b, again) {
			t.Error("a person who may log in again is not welcome")
		}
	}
}

func TestV4_RegroupedFollows(t *testing.T) {
	e := newEnv(t)
	a, b := e.replica(t), e.replica(t)
	s := e.login(t, a, "s")
	e.ask = answers(access.User{Name: "ALICE", DisplayName: "Alice", Groups: []string{"admins"}, Admin: true}, nil)
	e.pass(each)
	a.Seen(s, false)
	a.RecheckActive(t.Context())
	cookie := access.User{Name: "alice", DisplayName: "as it was"}
	wait.Until(t, "both replicas follow", func() bool {
		return a.Current(cookie).Admin && b.Current(cookie).Admin && b.Current(cookie).DisplayName == "Alice"
	})
	if u, ok := b.Person("alice"); !ok || u.Name != "alice" || u.Groups[0] != "admins" {
		t.Errorf("%+v %v", u, ok)
	}
	if _, ok := b.Person("alcie"); ok {
		t.Error("a name that nobody has is somebody's")
	}
	if u := b.Current(cookie); u.Name != "alice" || u.Groups[0] != "admins" {
		t.Errorf("%+v", u)
	}
	e.ask = answers(access.User{Name: "alice"}, nil)
	e.pass(each)
	a.Seen(s, false)
	a.RecheckActive(t.Context())
	if u := a.Current(access.User{Name: "alice", Admin: true}); u.Admin || len(u.Groups) != 0 {
		t.Errorf("still %+v: the cookie's word counts", u)
	}
	if u := a.Current(access.User{Name: "carol", Admin: true}); !u.Admin {
		t.Error("of carol nothing is known but the cookie")
	}
}

// TestAskedOnceByAllReplicas: a refresh token that two replicas use at once looks stolen.
func TestAskedOnceByAllReplicas(t *testing.T) {
	e := newEnv(t)
	replicas := []*Keeper{e.replica(t), e.replica(t), e.replica(t)}
	s := e.login(t, replicas[0], "s")
	e.ask = answers(access.User{Name: "alice"}, nil)
	for _, k := range replicas {
		knows(t, k, "alice", hasSession("s", s.Since))
	}
	for round := 1; round <= 3; round++ {
		e.pass(each)
		var running sync.WaitGroup
		for _, k := range replicas {
			k.Seen(s, false)
			running.Go(func() { k.RecheckActive(context.Background()) })
		}
		running.Wait()
		if got := e.asked.Load(); got != int64(round) {
			t.Fatalf("asked %d times in %d rounds", got, round)
		}
	}
	e.pass(each) // nobody was here since
	replicas[0].RecheckActive(t.Context())
	if got := e.asked.Load(); got != 3 {
		t.Errorf("asked about somebody who is not here: %d", got)
	}
}

func TestO14_NoAnswerChangesNothing(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	s := e.login(t, k, "s")
	for _, err := range []error{access.ErrUnavailable, errors.New("nonsense"), context.DeadlineExceeded} {
		e.ask = func(context.Context, account.Account, time.Time) (Answer, error) {
			return Answer{Refresh: "next"}, err
		}
		e.pass(each)
		k.Seen(s, false)
		k.RecheckActive(t.Context())
		if ended(k, s) || len(k.Current(access.User{Name: "alice"}).Groups) != 1 {
			t.Errorf("%v ended a session", err)
		}
	}
	if got := e.asked.Load(); got != 3 {
		t.Errorf("asked %d times", got)
	}
	if a, _, err := k.accounts.Load(t.Context(), "alice"); err != nil || a.Refresh != "next" {
		t.Errorf("the next refresh token is lost: %q %v", a.Refresh, err)
	}
}

// TestV4_ChangedPasswordEndsOlderSessions: the thief's session ends, the owner's, begun
// with the new password, goes on.
func TestV4_ChangedPasswordEndsOlderSessions(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	old := e.login(t, k, "old")
	e.pass(time.Minute)
	changed := e.now()
	e.pass(time.Minute)
	fresh := e.login(t, k, "fresh")
	e.ask = func(_ context.Context, a account.Account, since time.Time) (Answer, error) {
		if changed.After(since) {
			return Answer{}, access.ErrNotAllowed
		}
		return Answer{User: access.User{Name: a.Name}}, nil
	}
	e.pass(each)
	k.Seen(fresh, false)
	k.RecheckActive(t.Context())
	if !ended(k, old) || ended(k, fresh) {
		t.Errorf("old is over: %v, fresh: %v", ended(k, old), ended(k, fresh))
	}
	logs.Audited(t, e.log.String(), telemetry.PasswordChanged)
}

// TestAStopFinishesARecheck: SIGTERM comes while the provider answers with a rotated refresh
// token. The provider takes nothing but the new one from now on, so it must be kept.
func TestAStopFinishesARecheck(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	login := loginOf(e.session("s"))
	login.Refresh = "old"
	if _, err := k.LogIn(t.Context(), login); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	e.ask = func(ctx context.Context, _ account.Account, _ time.Time) (Answer, error) {
		stop()
		return Answer{User: access.User{Name: "alice"}, Refresh: "new"}, ctx.Err()
	}
	e.pass(each)
	k.Seen(e.session("s"), false)
	k.RecheckActive(ctx)
	if a, _, err := k.accounts.Load(t.Context(), "alice"); err != nil || a.Refresh != "new" || len(a.Groups) != 0 {
		t.Errorf("kept is %+v (%v)", a, err)
	}
	e.pass(each)
	k.Seen(e.session("s"), false)
	k.RecheckActive(ctx)
	if got := e.asked.Load(); got != 1 {
		t.Errorf("a replica that stops asked %d times", got)
	}
}
