package oidclogin

import (
	"errors"
	"testing"

	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/hostileop"
)

// TestO15_Refresh asks again and again with what the time before gave, as re-checks do:
// the next refresh token is kept through every answer.
func TestO15_Refresh(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	l := honest(t, p, op)
	groups := func(names ...string) func() { return func() { op.Person(map[string]any{"groups": names}) } }
	lies := func(lie hostileop.Switches) func() { return func() { groups("students")(); op.Lie(lie) } }
	sealed := l.Refresh
	for _, c := range []struct {
		name   string
		before func()
		want   error
		admin  bool
		same   bool // the provider did not use the token up
	}{
		{"nothing has changed", groups("students"), nil, false, false},
		{"V4: regrouped", groups("admins"), nil, true, false},
		{"V4: out of all groups", groups("others"), access.ErrNotAllowed, false, false},
		{"an ID token about another person", lies(hostileop.Switches{Claims: func(c map[string]any) { c["sub"] = "other" }}), ErrToken, false, false},
		{"user info about another person", lies(hostileop.Switches{
			Answer: func(a map[string]any) { delete(a, "id_token") }, UserInfo: func(c map[string]any) { c["sub"] = "other" },
		}), ErrToken, false, false},
		{"a forged ID token", lies(hostileop.Switches{Token: unsigned}), ErrToken, false, false},
		{"the provider has trouble of its own", lies(hostileop.Switches{RefuseToken: "temporarily_unavailable"}), access.ErrUnavailable, false, true},
		{"and none any more", lies(hostileop.Switches{}), nil, false, false},
		{"revoked", op.Revoke, access.ErrNotAllowed, false, false},
	} {
		c.before()
		user, next, err := p.Refresh(t.Context(), sealed, l.Subject)
		if !errors.Is(err, c.want) || err == nil && user.Name != "alice" || user.Admin != c.admin {
			t.Fatalf("%s: %+v %v, want %v", c.name, user, err, c.want)
		}
		if c.want == nil && next == sealed || c.same && next != sealed {
			t.Errorf("%s: the next refresh token is the same: %v", c.name, next == sealed)
		}
		sealed = next
	}
}

// TestO15_ForeignRefreshTokens: what this provider did not seal as a refresh token is not
// shown to it.
func TestO15_ForeignRefreshTokens(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	l := honest(t, p, op)
	other := newProvider(t, op, "other", newClock())
	asked := op.Asked("/token")
	for name, try := range map[string]struct {
		p      *Provider
		sealed string
	}{"none": {p, ""}, "another provider's": {other, l.Refresh}, "not sealed": {p, "refresh-x"}, "another box": {p, l.Hint}} {
		if _, _, err := try.p.Refresh(t.Context(), try.sealed, l.Subject); !errors.Is(err, ErrNoRefresh) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if op.Asked("/token") != asked {
		t.Error("the provider was asked")
	}
	if _, _, err := p.Refresh(t.Context(), l.Refresh, l.Subject); err != nil {
		t.Errorf("negative control: %v", err)
	}
}
