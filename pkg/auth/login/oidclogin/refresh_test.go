package oidclogin

import (
	"errors"
	"testing"

	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/hostileop"
)

func TestO15_Refresh(t *testing.T) {
	p, op, _ := newPair(t)
	l := honest(t, p, op)
	user, next, err := p.Refresh(t.Context(), l.Refresh, l.Subject)
	if err != nil || user.Name != "alice" || next == l.Refresh {
		t.Fatalf("%+v %v", user, err)
	}
	op.Person(map[string]any{"groups": []string{"admins"}})
	if user, next, err = p.Refresh(t.Context(), next, l.Subject); err != nil || !user.Admin {
		t.Errorf("V4: regrouped: %+v %v", user, err)
	}
	op.Person(map[string]any{"groups": []string{"others"}})
	if _, next, err = p.Refresh(t.Context(), next, l.Subject); !errors.Is(err, access.ErrNotAllowed) {
		t.Errorf("V4: out of all groups: %v", err)
	}
	op.Person(map[string]any{"groups": []string{"students"}})
	for name, lie := range map[string]hostileop.Switches{
		"an ID token about somebody else": {Claims: func(c map[string]any) { c["sub"] = "other" }},
		"user info about somebody else":   {Answer: func(a map[string]any) { delete(a, "id_token") }, UserInfo: func(c map[string]any) { c["sub"] = "other" }},
		"a forged ID token":               {Token: unsigned},
	} {
		op.Lie(lie)
		if _, next, err = p.Refresh(t.Context(), next, l.Subject); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	op.Lie(hostileop.Switches{RefuseToken: "temporarily_unavailable"})
	kept := next
	if _, next, err = p.Refresh(t.Context(), next, l.Subject); !errors.Is(err, access.ErrUnavailable) || next != kept {
		t.Errorf("a provider with trouble of its own: %v", err)
	}
	l = honest(t, p, op)
	op.Revoke()
	if _, _, err := p.Refresh(t.Context(), l.Refresh, l.Subject); !errors.Is(err, access.ErrNotAllowed) {
		t.Errorf("revoked: %v", err)
	}
	other := newProvider(t, op, "other", newClock())
	l = honest(t, p, op)
	for name, try := range map[string]struct {
		p      *Provider
		sealed string
	}{"none": {p, ""}, "another provider's": {other, l.Refresh}, "not sealed": {p, "refresh-x"}, "another box": {p, l.Hint}} {
		if _, _, err := try.p.Refresh(t.Context(), try.sealed, l.Subject); !errors.Is(err, ErrNoRefresh) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
