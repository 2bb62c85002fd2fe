package oidclogin

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/hostileop"
)

func TestHonestLogin(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	l := honest(t, p, op)
	if l.User.Name != "alice" || l.User.DisplayName != "Alice Adams" || l.User.Admin || l.Issuer != op.Issuer() || l.Subject != "subject-of-alice" || l.SID != hostileop.SID || l.Next != "/user/alice/lab" {
		t.Errorf("%+v", l)
	}
	if l.Refresh == "" || l.Hint == "" || strings.Contains(l.Refresh+l.Hint, "refresh-") {
		t.Errorf("refresh %q hint %q", l.Refresh, l.Hint)
	}
	if op.Asked("/userinfo") != 0 {
		t.Error("the user info is asked for nothing")
	}
	honest(t, p, op)
	if op.Asked("/.well-known/openid-configuration") != 1 || op.Asked("/keys") != 1 {
		t.Error("discovery or keys are not kept")
	}
}

func TestO1_StateIsBound(t *testing.T) {
	t.Parallel()
	p, op, c := newPair(t)
	other := newProvider(t, op, "other", c)
	set := func(name, value string) func(url.Values, *string) {
		return func(a url.Values, _ *string) { a.Set(name, value) }
	}
	for name, change := range map[string]func(answer url.Values, sealed *string){
		"no state":           func(a url.Values, _ *string) { a.Del("state") },
		"an empty state":     set("state", ""),
		"another state":      set("state", session.RandomID()),
		"two states":         func(a url.Values, _ *string) { a.Add("state", a.Get("state")) },
		"no cookie":          func(_ url.Values, s *string) { *s = "" },
		"a changed cookie":   func(_ url.Values, s *string) { *s = (*s)[:len(*s)-4] + "AAAA" },
		"another login's":    func(_ url.Values, s *string) { _, *s = begin(t, p, op) },
		"another provider's": func(_ url.Values, s *string) { _, *s = begin(t, other, op) },
		"another provider's, whole": func(a url.Values, s *string) {
			var theirs url.Values
			theirs, *s = begin(t, other, op)
			a.Set("state", theirs.Get("state"))
			a.Set("code", theirs.Get("code"))
		},
		"no code":              func(a url.Values, _ *string) { a.Del("code") },
		"a code without end":   set("code", strings.Repeat("x", maxCode+1)),
		"two codes":            func(a url.Values, _ *string) { a.Add("code", "x") },
		"expired after 10 min": func(url.Values, *string) { c.add(10 * time.Minute) },
	} {
		answer, sealed := begin(t, p, op)
		asked := op.Asked("/token")
		change(answer, &sealed)
		if _, _, err := p.Finish(t.Context(), answer, sealed); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
		if op.Asked("/token") != asked {
			t.Errorf("%s: the code was shown to the provider", name)
		}
		honest(t, p, op)
	}
	answer, sealed := begin(t, p, op)
	c.add(10*time.Minute - time.Second)
	if _, _, err := p.Finish(t.Context(), answer, sealed); err != nil {
		t.Errorf("within ten minutes: %v", err)
	}
	if _, _, err := p.Finish(t.Context(), answer, sealed); !errors.Is(err, ErrState) {
		t.Errorf("reused: %v", err)
	}
}

func TestO2_OneLoginPerCodeWithPKCE(t *testing.T) {
	t.Parallel()
	p, op, c := newPair(t)
	location, sealed, err := p.Begin(t.Context(), callback, "", false)
	if err != nil {
		t.Fatal(err)
	}
	if q, err := url.Parse(location); err != nil || q.Query().Get("code_challenge_method") != "S256" || len(q.Query().Get("code_challenge")) != 43 {
		t.Errorf("location %s", location)
	}
	answer := approve(t, op, location)
	// A second replica knows nothing of the first one's memory; the provider does.
	second := newProvider(t, op, "op", c)
	if _, _, err := p.Finish(t.Context(), answer, sealed); err != nil {
		t.Fatal(err)
	}
	if _, _, err := second.Finish(t.Context(), answer, sealed); !errors.Is(err, ErrToken) {
		t.Errorf("code replayed at another replica: %v", err)
	}
	// A stolen code brought into another login has the wrong verifier.
	stolen, _ := begin(t, p, op)
	mine, sealed := begin(t, p, op)
	mine.Set("code", stolen.Get("code"))
	if _, _, err := p.Finish(t.Context(), mine, sealed); !errors.Is(err, ErrToken) {
		t.Errorf("another login's code: %v", err)
	}
	for _, form := range op.Forms() {
		if len(form.Get("code_verifier")) < 43 {
			t.Errorf("a code without a verifier: %v", form)
		}
	}
}

func TestO7_MixUp(t *testing.T) {
	t.Parallel()
	p, op, c := newPair(t)
	evil := hostileop.Start(t, c.now)
	for name, lie := range map[string]func(url.Values){
		"iss of another":   func(v url.Values) { v.Set("iss", evil.Issuer()) },
		"iss empty":        func(v url.Values) { v.Set("iss", "") },
		"iss twice":        func(v url.Values) { v.Add("iss", evil.Issuer()) },
		"iss with a slash": func(v url.Values) { v.Set("iss", op.Issuer()+"/") },
		"iss left out by a provider that promised it": func(v url.Values) { v.Del("iss") },
	} {
		refused(t, p, op, name, hostileop.Switches{Redirect: lie}, ErrState)
	}
	op.Lie(hostileop.Switches{Redirect: func(v url.Values) { v.Del("iss") }, Discovery: func(d map[string]any) { delete(d, "authorization_response_iss_parameter_supported") }})
	old := newProvider(t, op, "old", c)
	if _, err := login(t, old, op); err != nil {
		t.Errorf("a provider that never promised iss: %v", err)
	}
	// A code of the honest provider that is brought to the hostile one's callback must
	// not be shown to the hostile one.
	op.Lie(hostileop.Switches{})
	evilProvider := newProvider(t, evil, "evil", c)
	answer, _ := begin(t, p, op)
	_, evilSealed := begin(t, evilProvider, evil)
	if _, _, err := evilProvider.Finish(t.Context(), answer, evilSealed); !errors.Is(err, ErrState) {
		t.Errorf("code of one provider at the other's callback: %v", err)
	}
	for _, form := range evil.Forms() {
		if form.Get("code") == answer.Get("code") {
			t.Error("the code was shown to the wrong provider")
		}
	}
}

func TestDeclinedAndRefused(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	refused(t, p, op, "the person says no", hostileop.Switches{Redirect: func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }}, ErrDeclined)
	refused(t, p, op, "an error with text", hostileop.Switches{Redirect: func(v url.Values) { v.Set("error", "<script>"+strings.Repeat("x", 1000)) }}, ErrDeclined)
	refused(t, p, op, "our secret is wrong", hostileop.Switches{RefuseToken: "invalid_client"}, access.ErrUnavailable)
	refused(t, p, op, "the code is refused", hostileop.Switches{RefuseToken: "invalid_grant"}, ErrToken)
	refused(t, p, op, "an error code with a secret", hostileop.Switches{RefuseToken: hostileop.ClientSecret}, access.ErrUnavailable)
}

// TestR13_SlowProvider: logins that ask it, and those that wait for their turn, are bounded.
// The next one is told.
func TestR13_SlowProvider(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	whole := p.wholeTimeout
	for name, slots := range map[string]chan struct{}{"no turn comes": p.slots, "too many wait": p.queue} {
		answer, sealed := begin(t, p, op)
		for range cap(slots) {
			slots <- struct{}{}
		}
		p.wholeTimeout = 10 * time.Millisecond
		if _, _, err := p.Finish(t.Context(), answer, sealed); !errors.Is(err, ErrBusy) || op.Asked("/token") != 0 {
			t.Errorf("%s: %v", name, err)
		}
		p.wholeTimeout = whole
		for range cap(slots) {
			<-slots
		}
	}
	honest(t, p, op)
	if len(p.slots)+len(p.queue) != 0 {
		t.Error("a place is not given back")
	}
}
