package liveness

import (
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/test/wait"
)

func TestS12_TokensStandOrFall(t *testing.T) {
	e := newEnv(t)
	a, b := e.replica(t), e.replica(t)
	e.login(t, a, "s")
	token, hash := tokens.New()
	if err := a.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Scopes: []string{"self"}, Created: e.now(), Expires: e.now().Add(time.Hour)}); err != nil {
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
		e.pass(map[int]time.Duration{0: time.Second, 1: time.Minute, 2: 5 * time.Minute}[i])
		a.UsedToken("alice", account.Token{ID: "t"})
		before := a.Tokens("alice")[0].LastUsed
		a.Flush(t.Context())
		if after := a.Tokens("alice")[0].LastUsed; after.Equal(e.now()) != want || !want && !after.Equal(before) {
			t.Errorf("use %d: last used %s at %s", i, after, e.now())
		}
	}
	e.pass(time.Hour)
	if _, _, ok := a.Token(token); ok {
		t.Error("an expired token is taken")
	}
	e.clock.Store(0)
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
	e := newEnv(t)
	k := e.replica(t)
	for range 3 {
		token, hash := tokens.New()
		if err := k.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: e.now(), Expires: e.now().Add(tokens.MaxLifetime)}); err != nil {
			t.Fatal(err)
		}
		if _, err := k.EndToken(t.Context(), "alice", "t"); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := k.Token(token); ok {
			t.Error("a revoked token is taken")
		}
	}
	if k.revoked.Revoked(tokenID("t"), tokensOf("alice"), e.now()) || len(k.Tokens("alice")) != 0 {
		t.Error("something is left")
	}
}

// TestS12_RevokedTokenWhileKubernetesIsAway: on the replica that was asked it is dead at
// once, on the others as soon as it can be written.
func TestS12_RevokedTokenWhileKubernetesIsAway(t *testing.T) {
	e := newEnv(t)
	a, b := e.replica(t), e.replica(t)
	token, hash := tokens.New()
	if err := a.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: e.now(), Expires: e.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the other replica takes it", func() bool { _, _, ok := b.Token(token); return ok })
	e.away.Store(true)
	if _, err := a.EndToken(t.Context(), "alice", "t"); err == nil {
		t.Error("nobody is told")
	}
	if _, _, ok := a.Token(token); ok {
		t.Error("still good")
	}
	e.away.Store(false)
	wait.Until(t, "the other replica refuses it", func() bool { _, _, ok := b.Token(token); return !ok })
}
