package liveness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/locking"
	"github.com/perijove/perijove/test/wait"
)

const (
	ns       = "perijove"
	idleTime = 2 * time.Hour
	lifetime = 12 * time.Hour
	each     = 5 * time.Minute
)

// world is some replicas of authz over one Kubernetes API, with one clock.
type world struct {
	client *fake.Clientset
	away   atomic.Bool // the API
	calls  atomic.Int64
	clock  atomic.Int64
	ask    Rechecker // what the directory answers
	asked  atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{client: locking.NewClientset()}
	w.client.PrependReactor("*", "*", func(clienttest.Action) (bool, runtime.Object, error) {
		w.calls.Add(1)
		if w.away.Load() {
			return true, nil, apierrors.NewServiceUnavailable("away")
		}
		return false, nil, nil
	})
	return w
}

func (w *world) now() time.Time {
	return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Add(time.Duration(w.clock.Load()))
}

func (w *world) pass(d time.Duration) { w.clock.Add(int64(d)) }

// replica starts one more authz. Its Keeper's Run is left to the test.
func (w *world) replica(t *testing.T) *Keeper {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	k := New(Settings{
		Accounts: account.New(w.client, ns, "rel", w.now, log), Revoked: revocation.New(w.client, ns, "rel-revocations", w.now, log),
		Idle: idleTime, Lifetime: lifetime, Every: each, Now: w.now, Log: log,
		Recheck: map[string]Rechecker{"ldap": func(ctx context.Context, a account.Account, since time.Time) (Answer, error) {
			w.asked.Add(1)
			return w.ask(ctx, a, since)
		}},
	}, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = k.Accounts.Run(ctx) })
	running.Go(func() { _ = k.Revoked.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, synced := range []<-chan struct{}{k.Accounts.Synced(), k.Revoked.Synced()} {
		select {
		case <-synced:
		case <-time.After(10 * time.Second):
			t.Fatal("never synced")
		}
	}
	return k
}

func (w *world) session(id string) account.Session {
	return account.Session{ID: id, Method: "ldap", Since: w.now(), Expires: w.now().Add(lifetime), LastSeen: w.now()}
}

func (w *world) login(t *testing.T, k *Keeper, user, id string) account.Session {
	t.Helper()
	s := w.session(id)
	if err := k.LoggedIn(t.Context(), Login{User: access.User{Name: user, Groups: []string{"staff"}}, Session: s}); err != nil {
		t.Fatal(err)
	}
	return s
}

// knows waits until replica k has seen what another wrote of user.
func knows(t *testing.T, k *Keeper, user string, ok func(account.Account) bool) {
	t.Helper()
	wait.Until(t, "the other replica hears of it", func() bool { a, found := k.Accounts.Get(user); return found && ok(a) })
}

func hasSession(id string, seen time.Time) func(account.Account) bool {
	return func(a account.Account) bool { s, ok := a.Session(id); return ok && s.LastSeen.Equal(seen) }
}

func TestIdleSessionEnds(t *testing.T) {
	w := newWorld(t)
	k := w.replica(t)
	s := w.login(t, k, "alice", "s")
	w.pass(idleTime - time.Second)
	k.Seen(Use{User: "alice", Session: s}) // a tab that nobody looks at asks for news
	if k.Ended("s", "alice", s.Since) {
		t.Error("ended before its time")
	}
	w.pass(time.Second)
	if !k.Ended("s", "alice", s.Since) {
		t.Error("what a page asks by itself kept the session alive")
	}
}

func TestActivityKeepsTheSession(t *testing.T) {
	w := newWorld(t)
	k := w.replica(t)
	s := w.login(t, k, "alice", "s")
	w.pass(idleTime - time.Second)
	k.Seen(Use{User: "alice", Session: s, Active: true})
	w.pass(idleTime - time.Second)
	if k.Ended("s", "alice", s.Since) {
		t.Error("a session in use ended")
	}
	w.pass(time.Second)
	if !k.Ended("s", "alice", s.Since) {
		t.Error("it never ends")
	}
}

// TestReplicasAgreeOnIdle: one replica sees all the activity, the other none; both end
// the session at the same moment, and little is written.
func TestReplicasAgreeOnIdle(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(t), w.replica(t)
	s := w.login(t, a, "alice", "s")
	knows(t, b, "alice", hasSession("s", s.Since))
	var last time.Time
	writes := w.calls.Load()
	for range 20 { // 20 minutes of work, a flush after each
		w.pass(time.Minute)
		last = w.now()
		a.Seen(Use{User: "alice", Session: s, Active: true})
		a.Flush(t.Context())
	}
	if got := w.calls.Load() - writes; got > 2 { // one reading and one writing
		t.Errorf("%d calls for 20 minutes of activity", got)
	}
	w.pass(idleTime / 4)
	a.Flush(t.Context()) // nothing new was seen: what was held back is written now
	knows(t, b, "alice", hasSession("s", last))
	w.pass(last.Add(idleTime).Sub(w.now()) - time.Second)
	if a.Ended("s", "alice", s.Since) || b.Ended("s", "alice", s.Since) {
		t.Error("ended too early")
	}
	w.pass(time.Second)
	if !a.Ended("s", "alice", s.Since) || !b.Ended("s", "alice", s.Since) {
		t.Errorf("at one moment it is over here: %v, there: %v", a.Ended("s", "alice", s.Since), b.Ended("s", "alice", s.Since))
	}
}

// TestRestartLosesNothing: what a replica has seen and not written, it writes when it is
// told to stop.
func TestRestartLosesNothing(t *testing.T) {
	w := newWorld(t)
	a := w.replica(t)
	s := w.login(t, a, "alice", "s")
	w.pass(time.Minute)
	a.Seen(Use{User: "alice", Session: s, Active: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	b := w.replica(t)
	knows(t, b, "alice", hasSession("s", w.now()))
}

// TestLoginWhileKubernetesIsAway: the login holds, and the session is recorded later.
func TestLoginWhileKubernetesIsAway(t *testing.T) {
	w := newWorld(t)
	k := w.replica(t)
	w.away.Store(true)
	s := w.session("s")
	if err := k.LoggedIn(t.Context(), Login{User: access.User{Name: "alice"}, Session: s}); err == nil {
		t.Fatal("nobody is told")
	}
	if k.Ended("s", "alice", s.Since) {
		t.Error("the login does not hold")
	}
	k.Seen(Use{User: "alice", Session: s, Active: true})
	k.Flush(t.Context())
	w.away.Store(false)
	k.Flush(t.Context())
	if got := k.Sessions("alice"); len(got) != 1 || got[0].ID != "s" {
		t.Errorf("%+v", got)
	}
	w.pass(idleTime)
	if !k.Ended("s", "alice", s.Since) {
		t.Error("it never ends")
	}
}

// TestCheckAsksNobody: what a request needs comes from memory, with the API away too.
func TestCheckAsksNobody(t *testing.T) {
	w := newWorld(t)
	k := w.replica(t)
	s := w.login(t, k, "alice", "s")
	token, hash := tokens.New()
	if err := k.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: w.now(), Expires: w.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	before := w.calls.Load()
	w.away.Store(true)
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
	if got := w.calls.Load() - before; got != 0 {
		t.Errorf("%d calls", got)
	}
}

// TestD9_OldestSessionIsRevokedEverywhere: one session too many ends the oldest one.
func TestD9_OldestSessionIsRevokedEverywhere(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(t), w.replica(t)
	var all []account.Session
	for i := range account.MaxSessions + 1 {
		w.pass(time.Second)
		all = append(all, w.login(t, a, "alice", fmt.Sprint(i)))
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
	w := newWorld(t)
	a, b := w.replica(t), w.replica(t)
	one, two := w.login(t, a, "alice", "1"), w.login(t, b, "alice", "2")
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
	w.pass(time.Second)
	if again := w.login(t, a, "alice", "3"); a.Ended("3", "alice", again.Since) {
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

func TestS12_TokensStandOrFall(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(t), w.replica(t)
	w.login(t, a, "alice", "s")
	token, hash := tokens.New()
	if err := a.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Scopes: []string{"self"}, Created: w.now(), Expires: w.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the other replica takes it", func() bool { _, _, ok := b.Token(token); return ok })
	for _, bad := range []string{"", hash, token + "x", token[:len(token)-1] + "_", "s"} {
		if _, _, ok := a.Token(bad); ok {
			t.Errorf("%q is taken for a token", bad)
		}
	}
	// Last used: at once the first time, then every five minutes.
	for i, want := range []bool{true, false, true} {
		w.pass(map[int]time.Duration{0: time.Second, 1: time.Minute, 2: 5 * time.Minute}[i])
		a.UsedToken("alice", account.Token{ID: "t"})
		before := a.Tokens("alice")[0].LastUsed
		a.Flush(t.Context())
		if after := a.Tokens("alice")[0].LastUsed; after.Equal(w.now()) != want || !want && !after.Equal(before) {
			t.Errorf("use %d: last used %s at %s", i, after, w.now())
		}
	}
	w.pass(time.Hour)
	if _, _, ok := a.Token(token); ok {
		t.Error("an expired token is taken")
	}
	w.clock.Store(0)
	if _, _, ok := a.Token(token); !ok {
		t.Fatal("negative control: it was good")
	}
	if found, err := b.EndToken(t.Context(), "alice", "t"); err != nil || !found {
		t.Fatalf("%v %v", found, err)
	}
	wait.Until(t, "revoked on both", func() bool {
		_, _, here := a.Token(token)
		_, _, there := b.Token(token)
		return !here && !there && len(a.Tokens("alice")) == 0
	})
	if found, err := b.EndToken(t.Context(), "alice", "t"); err != nil || found {
		t.Errorf("twice: %v %v", found, err)
	}
}

// TestD9_TokensDoNotFillTheList: making and revoking tokens leaves nothing behind.
func TestD9_TokensDoNotFillTheList(t *testing.T) {
	w := newWorld(t)
	k := w.replica(t)
	for range 3 {
		token, hash := tokens.New()
		if err := k.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: w.now(), Expires: w.now().Add(tokens.MaxLifetime)}); err != nil {
			t.Fatal(err)
		}
		if _, err := k.EndToken(t.Context(), "alice", "t"); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := k.Token(token); ok {
			t.Error("a revoked token is taken")
		}
	}
	if k.Revoked.Revoked(tokenID("t"), "", w.now()) || len(k.Tokens("alice")) != 0 {
		t.Error("something is left")
	}
}

// TestS12_RevokedTokenWhileKubernetesIsAway: on the replica that was asked it is dead at
// once, on the others as soon as it can be written.
func TestS12_RevokedTokenWhileKubernetesIsAway(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(t), w.replica(t)
	token, hash := tokens.New()
	if err := a.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: w.now(), Expires: w.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the other replica takes it", func() bool { _, _, ok := b.Token(token); return ok })
	w.away.Store(true)
	if _, err := a.EndToken(t.Context(), "alice", "t"); err == nil {
		t.Error("nobody is told")
	}
	if _, _, ok := a.Token(token); ok {
		t.Error("still good")
	}
	w.away.Store(false)
	wait.Until(t, "the other replica refuses it", func() bool { _, _, ok := b.Token(token); return !ok })
}

func answers(user access.User, err error) Rechecker {
	return func(context.Context, account.Account, time.Time) (Answer, error) { return Answer{User: user}, err }
}

// TestV4_RefusedAtTheNextCheck: disabled, or thrown out of every allowed group.
func TestV4_RefusedAtTheNextCheck(t *testing.T) {
	for _, reason := range []error{access.ErrNotAllowed, access.ErrCredentials} {
		w := newWorld(t)
		a, b := w.replica(t), w.replica(t)
		s := w.login(t, a, "alice", "s")
		token, hash := tokens.New()
		if err := a.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: w.now(), Expires: w.now().Add(24 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		w.ask = answers(access.User{}, fmt.Errorf("wrapped: %w", reason))
		w.pass(each - time.Second)
		a.Seen(Use{User: "alice", Session: s})
		a.RecheckActive(t.Context())
		if w.asked.Load() != 0 {
			t.Error("asked too early")
		}
		w.pass(time.Second)
		a.RecheckActive(t.Context())
		wait.Until(t, "both replicas refuse", func() bool {
			_, _, there := b.Token(token)
			return a.Ended("s", "alice", s.Since) && b.Ended("s", "alice", s.Since) && !there
		})
		if _, _, ok := a.Token(token); ok {
			t.Error("the token of a disabled person is taken")
		}
		w.pass(time.Minute)
		again := w.login(t, b, "alice", "again")
		if _, _, ok := b.Token(token); !ok || b.Ended("again", "alice", again.Since) {
			t.Error("a person who may log in again is not welcome")
		}
	}
}

func TestV4_RegroupedFollows(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(t), w.replica(t)
	s := w.login(t, a, "alice", "s")
	w.ask = answers(access.User{Name: "ALICE", DisplayName: "Alice", Groups: []string{"admins"}, Admin: true}, nil)
	w.pass(each)
	a.Seen(Use{User: "alice", Session: s})
	a.RecheckActive(t.Context())
	cookie := access.User{Name: "alice", DisplayName: "as it was"}
	wait.Until(t, "both replicas follow", func() bool {
		return a.Current(cookie).Admin && b.Current(cookie).Admin && b.Current(cookie).DisplayName == "Alice"
	})
	if u := b.Current(cookie); u.Name != "alice" || u.Groups[0] != "admins" {
		t.Errorf("%+v", u)
	}
	w.ask = answers(access.User{Name: "alice"}, nil)
	w.pass(each)
	a.Seen(Use{User: "alice", Session: s})
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
	w := newWorld(t)
	replicas := []*Keeper{w.replica(t), w.replica(t), w.replica(t)}
	s := w.login(t, replicas[0], "alice", "s")
	w.ask = answers(access.User{Name: "alice"}, nil)
	for _, k := range replicas {
		knows(t, k, "alice", hasSession("s", s.Since))
	}
	for round := 1; round <= 3; round++ {
		w.pass(each)
		var running sync.WaitGroup
		for _, k := range replicas {
			k.Seen(Use{User: "alice", Session: s})
			running.Go(func() { k.RecheckActive(context.Background()) })
		}
		running.Wait()
		if got := w.asked.Load(); got != int64(round) {
			t.Fatalf("asked %d times in %d rounds", got, round)
		}
	}
	w.pass(each) // nobody was here since
	replicas[0].RecheckActive(t.Context())
	if got := w.asked.Load(); got != 3 {
		t.Errorf("asked about somebody who is not here: %d", got)
	}
}

func TestO14_NoAnswerChangesNothing(t *testing.T) {
	w := newWorld(t)
	k := w.replica(t)
	s := w.login(t, k, "alice", "s")
	for _, err := range []error{access.ErrUnavailable, errors.New("nonsense"), context.DeadlineExceeded} {
		w.ask = func(context.Context, account.Account, time.Time) (Answer, error) {
			return Answer{Refresh: "next"}, err
		}
		w.pass(each)
		k.Seen(Use{User: "alice", Session: s})
		k.RecheckActive(t.Context())
		if k.Ended("s", "alice", s.Since) || len(k.Current(access.User{Name: "alice"}).Groups) != 1 {
			t.Errorf("%v ended a session", err)
		}
	}
	if got := w.asked.Load(); got != 3 {
		t.Errorf("asked %d times", got)
	}
	if a, _, err := k.Accounts.Load(t.Context(), "alice"); err != nil || a.Refresh != "next" {
		t.Errorf("the next refresh token is lost: %q %v", a.Refresh, err)
	}
}

// TestV4_ChangedPasswordEndsOlderSessions: the thief's session ends, the owner's, begun
// with the new password, goes on.
func TestV4_ChangedPasswordEndsOlderSessions(t *testing.T) {
	w := newWorld(t)
	k := w.replica(t)
	old := w.login(t, k, "alice", "old")
	w.pass(time.Minute)
	changed := w.now()
	w.pass(time.Minute)
	fresh := w.login(t, k, "alice", "fresh")
	w.ask = func(_ context.Context, a account.Account, since time.Time) (Answer, error) {
		if changed.After(since) {
			return Answer{}, access.ErrNotAllowed
		}
		return Answer{User: access.User{Name: a.Name}}, nil
	}
	w.pass(each)
	k.Seen(Use{User: "alice", Session: fresh})
	k.RecheckActive(t.Context())
	if !k.Ended("old", "alice", old.Since) || k.Ended("fresh", "alice", fresh.Since) {
		t.Errorf("old is over: %v, fresh: %v", k.Ended("old", "alice", old.Since), k.Ended("fresh", "alice", fresh.Since))
	}
}

// TestV7_Modes: with the feed cut for more than a minute, strict lets nobody in, and
// best effort goes on with what it knows.
func TestV7_Modes(t *testing.T) {
	w := newWorld(t)
	k := w.replica(t)
	s := w.login(t, k, "alice", "s")
	for _, strict := range []bool{true, false} {
		k.Strict = strict
		if k.Refuse() || k.Stale() {
			t.Error("refuses for no reason")
		}
	}
	w.away.Store(true)
	w.pass(revocation.MaxAge + time.Second)
	for _, strict := range []bool{true, false} {
		k.Strict = strict
		if k.Refuse() != strict || !k.Stale() || k.Ended("s", "alice", s.Since) {
			t.Errorf("strict %v: refuses %v", strict, k.Refuse())
		}
	}
}

func TestTracesAreForgotten(t *testing.T) {
	w := newWorld(t)
	k := w.replica(t)
	s := w.login(t, k, "alice", "s")
	k.Seen(Use{User: "alice", Session: s, Active: true})
	k.UsedToken("alice", account.Token{ID: "gone"})
	k.Flush(t.Context())
	if len(k.traces) != 2 {
		t.Errorf("%d traces of what was just seen", len(k.traces))
	}
	w.pass(idleTime)
	k.Flush(t.Context())
	k.Flush(t.Context())
	if len(k.traces) != 0 {
		t.Errorf("%d traces are kept for ever", len(k.traces))
	}
}
