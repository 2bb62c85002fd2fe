package liveness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

// atProvider records a login with a refresh token of its own.
func (e *env) atProvider(t *testing.T, k *Keeper, id string) session.Session {
	t.Helper()
	s := e.session(id)
	l := loginOf(s)
	l.Session.Refresh, l.Session.Checked = id+"-0", s.Since
	if _, err := k.LogIn(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	return s
}

// rotating is a provider that gives a new token each time and refuses those that begin with a
// revoked name.
func rotating(revoked map[string]bool, err *error) Rechecker {
	return func(_ context.Context, a account.Account, _ time.Time) (Answer, error) {
		name, n, _ := strings.Cut(a.Refresh, "-")
		if revoked[name] {
			return Answer{}, fmt.Errorf("%w: %w", ErrTokenRefused, access.ErrNotAllowed)
		}
		return Answer{User: access.User{Name: "alice", Groups: []string{"staff", name}}, Refresh: name + "-" + n + "x"}, *err
	}
}

// TestS4_OneBrowsersLogoutEndsNoOther: alice logs out at the provider in one browser. The
// provider refuses that session's refresh token; the other browser and her scripts go on.
func TestS4_OneBrowsersLogoutEndsNoOther(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	revoked, err := map[string]bool{}, error(nil)
	e.ask = rotating(revoked, &err)
	a, b := e.atProvider(t, k, "a"), e.atProvider(t, k, "b")
	token, hash := tokens.New()
	if err := k.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: e.now(), Expires: e.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	recheck := func() {
		e.pass(each)
		k.Seen(a, false)
		k.Seen(b, false)
		k.RecheckActive(t.Context())
	}
	recheck()
	if stored, _, err := k.accounts.Load(t.Context(), "alice"); err != nil || refreshOf(stored, "a") != "a-0x" || refreshOf(stored, "b") != "b-0x" {
		t.Errorf("each session keeps its own next token: %+v %v", stored.Sessions, err)
	}
	revoked["b"] = true
	recheck()
	if _, _, ok := k.Token(token); ended(k, a) || !ended(k, b) || !ok {
		t.Errorf("a is over: %v, b: %v, the API token is good: %v", ended(k, a), ended(k, b), ok)
	}
	logs.Audited(t, e.log.String(), telemetry.SessionRevoked)
	// The last session's token is refused: nothing is left that could tell whether she may.
	revoked["a"] = true
	recheck()
	if _, _, ok := k.Token(token); !ended(k, a) || ok {
		t.Errorf("a is over: %v, the API token is good: %v", ended(k, a), ok)
	}
	logs.Audited(t, e.log.String(), telemetry.UserRefused)
}

func refreshOf(a account.Account, id string) string {
	s, _ := a.Session(id)
	return s.Refresh
}

// TestV4_ARuleThatSaysNoEndsAll: the provider describes the user, and the groups are wrong now.
func TestV4_ARuleThatSaysNoEndsAll(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	var no error
	e.ask = rotating(nil, &no)
	a, b := e.atProvider(t, k, "a"), e.atProvider(t, k, "b")
	for _, c := range []struct {
		err  error
		over bool
	}{{errors.New("nonsense"), false}, {access.ErrUnavailable, false}, {access.ErrNotAllowed, true}} {
		no = c.err
		e.pass(each)
		k.Seen(a, false)
		k.RecheckActive(t.Context())
		if ended(k, a) != c.over || ended(k, b) != c.over {
			t.Errorf("%v: a is over: %v, b: %v", c.err, ended(k, a), ended(k, b))
		}
	}
}

// TestEachReplicaAsksAboutItsSessions: the sessions of one user are used on two replicas. Each
// asks about those that it sees, though the other has just asked about its own.
func TestEachReplicaAsksAboutItsSessions(t *testing.T) {
	e := newEnv(t)
	one, two := e.replica(t), e.replica(t)
	var none error
	e.ask = rotating(nil, &none)
	a, b := e.atProvider(t, one, "a"), e.atProvider(t, one, "b")
	wait.Until(t, "the other replica hears of both", func() bool { return len(two.Sessions("alice")) == 2 })
	e.pass(each)
	one.Seen(a, false)
	two.Seen(b, false)
	one.RecheckActive(t.Context())
	two.RecheckActive(t.Context())
	two.RecheckActive(t.Context()) // not again at once
	if got := e.asked.Load(); got != 2 {
		t.Errorf("asked %d times about two sessions", got)
	}
	e.pass(each) // nobody was here since
	one.RecheckActive(t.Context())
	if got := e.asked.Load(); got != 2 {
		t.Errorf("asked about sessions that nobody uses: %d", got)
	}
}
