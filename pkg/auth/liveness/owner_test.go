package liveness

import (
	"context"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/wait"
)

// as is the login that s began with, of the entry with that id.
func as(s session.Session, id string) Login {
	l := loginOf(s)
	l.Links = []identity.Link{identity.Entry("entryUUID", id), identity.Named(s.User.Name)}
	return l
}

// TestL9_ANameIsHandedOver: an administrator deletes the account so that a new alice may log
// in. Cookies of the old one are good for hours, and name alice.
func TestL9_ANameIsHandedOver(t *testing.T) {
	e := newEnv(t)
	a, b := e.replica(t), e.replica(t)
	old := e.session("old")
	if _, err := a.LogIn(t.Context(), as(old, "1")); err != nil {
		t.Fatal(err)
	}
	token, hash := tokens.New()
	if err := a.AddToken(t.Context(), "alice", account.Token{ID: "t", Hash: hash, Created: e.now(), Expires: e.now().Add(24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	e.pass(time.Minute)
	fresh := e.session("fresh")
	if name, err := b.LogIn(t.Context(), as(fresh, "2")); err == nil || name != "" {
		t.Fatalf("%q %v: nothing was handed over yet", name, err)
	}
	if ended(a, old) {
		t.Fatal("the other person's try ended the session")
	}
	if err := e.client.CoreV1().Secrets(ns).Delete(t.Context(), "rel-account-alice", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the account is gone", func() bool { return !a.Known("alice") && !b.Known("alice") })
	a.Seen(old, true) // the old one is still here: the session is recorded again
	a.Flush(t.Context())
	e.pass(time.Second)
	fresh = e.session("fresh")
	if name, err := b.LogIn(t.Context(), as(fresh, "2")); err != nil || name != "alice" {
		t.Fatal(name, err)
	}
	knows(t, a, "alice", func(x account.Account) bool { _, ok := x.Session("fresh"); return ok })
	a.Seen(old, true)
	a.Flush(t.Context())
	for _, k := range []*Keeper{a, b} {
		if !ended(k, old) || ended(k, fresh) {
			t.Errorf("the old session is over: %v, the new one: %v", ended(k, old), ended(k, fresh))
		}
		if _, _, ok := k.Token(token); ok {
			t.Error("the old alice's token is the new one's")
		}
		if got := k.Sessions("alice"); len(got) != 1 || got[0].ID != "fresh" {
			t.Errorf("%+v", got)
		}
	}
}

// TestL9_ARecheckTakesTheID: a user who only uses tokens never logs in again. The account is
// tied to the entry nevertheless, and not to the next one of that name.
func TestL9_ARecheckTakesTheID(t *testing.T) {
	e := newEnv(t)
	k := e.replica(t)
	s := e.login(t, k, "s")
	links := func(id string) []identity.Link { return as(s, id).Links }
	for _, c := range []struct{ shown, want []identity.Link }{
		{links("1"), links("1")[:1]},
		{links("2"), links("1")[:1]}, // a Rechecker that does not compare
		{nil, links("1")[:1]},
	} {
		e.ask = func(_ context.Context, a account.Account, _ time.Time) (Answer, error) {
			return Answer{User: access.User{Name: "alice", Groups: []string{"staff"}}, Links: c.shown}, nil
		}
		e.pass(each)
		k.Seen(s, true)
		k.RecheckActive(t.Context())
		if a, _ := k.accounts.Get("alice"); !slices.Equal(a.Links, c.want) {
			t.Errorf("%v: %v", c.shown, a.Links)
		}
	}
}
