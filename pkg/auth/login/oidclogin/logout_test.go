package oidclogin

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/hostileop"
)

const typLogout = "logout+jwt"

func TestV6_LogoutTokens(t *testing.T) {
	t.Parallel()
	p, op, c := newPair(t)
	strangers := hostileop.Start(t, c.now)
	typ := func(s string) map[string]any { return map[string]any{"typ": s} }
	for _, x := range []struct {
		name   string
		change func(map[string]any)
		header map[string]any
		ok     bool
	}{
		{"honest", nil, typ(typLogout), true},
		{"an older provider's type", nil, typ("JWT"), true},
		{"no type", nil, nil, true},
		{"sub only", func(m map[string]any) { delete(m, "sid") }, nil, true},
		{"sid only", func(m map[string]any) { delete(m, "sub") }, nil, true},
		{"neither", func(m map[string]any) { delete(m, "sid"); delete(m, "sub") }, nil, false},
		{"empty sub and no sid", func(m map[string]any) { delete(m, "sid"); m["sub"] = "" }, nil, false},
		{"another type", nil, typ("at+jwt"), false},
		{"a nonce", func(m map[string]any) { m["nonce"] = "x" }, nil, false},
		{"a nonce of nothing", func(m map[string]any) { m["nonce"] = nil }, nil, false},
		{"no events", func(m map[string]any) { delete(m, "events") }, nil, false},
		{"another event", func(m map[string]any) { m["events"] = map[string]any{"x": map[string]any{}} }, nil, false},
		{"an event that is no object", func(m map[string]any) { m["events"] = map[string]any{logoutEvent: "x"} }, nil, false},
		{"events in another case", func(m map[string]any) { m["Events"] = m["events"]; delete(m, "events") }, nil, false},
		{"another audience", func(m map[string]any) { m["aud"] = "evil" }, nil, false},
		{"no audience", func(m map[string]any) { delete(m, "aud") }, nil, false},
		{"another issuer", func(m map[string]any) { m["iss"] = strangers.Issuer() }, nil, false},
		{"no jti", func(m map[string]any) { delete(m, "jti") }, nil, false},
		{"no iat", func(m map[string]any) { delete(m, "iat") }, nil, false},
		{"no exp", func(m map[string]any) { delete(m, "exp") }, nil, false},
		{"expired", func(m map[string]any) { m["exp"] = c.now().Add(-61 * time.Second).Unix() }, nil, false},
		{"from the future", func(m map[string]any) { m["iat"] = c.now().Add(61 * time.Second).Unix() }, nil, false},
		{"too old", func(m map[string]any) { m["iat"] = c.now().Add(-12 * time.Minute).Unix() }, nil, false},
		{"jku", nil, map[string]any{"jku": strangers.Issuer() + "/keys"}, false},
	} {
		claims := op.LogoutClaims()
		if x.change != nil {
			x.change(claims)
		}
		ended, err := p.VerifyLogout(t.Context(), op.Sign("rsa", claims, x.header))
		if x.ok && (err != nil || ended.Issuer != op.Issuer() || ended.Subject+ended.SID == "") {
			t.Errorf("%s: %+v %v", x.name, ended, err)
		}
		if !x.ok && !errors.Is(err, ErrToken) {
			t.Errorf("%s: %+v %v", x.name, ended, err)
		}
	}
	for name, raw := range map[string]string{
		"nothing":      "",
		"alg none":     unsigned(op.Sign("rsa", op.LogoutClaims(), nil)),
		"HS256":        op.SignWith(jose.HS256, op.RSA.N.Bytes(), "rsa", op.LogoutClaims(), nil),
		"a strangers'": strangers.Sign("rsa", op.LogoutClaims(), nil),
		"100 KB":       strings.Repeat("A", 100<<10),
	} {
		if _, err := p.VerifyLogout(t.Context(), raw); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestV6_LogoutTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	p, op, c := newPair(t)
	raw := op.Sign("rsa", op.LogoutClaims(), nil)
	ended, err := p.VerifyLogout(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if !ended.Before.Equal(c.now().Add(skew)) {
		t.Errorf("ends what began before %v", ended.Before)
	}
	if _, err := p.VerifyLogout(t.Context(), raw); !errors.Is(err, ErrToken) {
		t.Errorf("replayed: %v", err)
	}
	ended.Again()
	if _, err := p.VerifyLogout(t.Context(), raw); err != nil {
		t.Errorf("sent again after a failure of ours: %v", err)
	}
}

// TestV6_IDTokenIsNoLogoutToken: whoever holds an ID token cannot log its person out.
func TestV6_IDTokenIsNoLogoutToken(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	var token string
	op.Lie(hostileop.Switches{Token: func(raw string) string { token = raw; return raw }})
	if _, err := login(t, p, op); err != nil {
		t.Fatal(err)
	}
	if _, err := p.VerifyLogout(t.Context(), token); !errors.Is(err, ErrToken) {
		t.Errorf("%v", err)
	}
	logout := op.Sign("rsa", op.LogoutClaims(), nil)
	op.Lie(hostileop.Switches{Token: func(string) string { return logout }})
	if _, err := login(t, p, op); !errors.Is(err, ErrToken) {
		t.Errorf("a logout token as ID token: %v", err)
	}
}

// TestV6_NoFloodOfKeyRequests: strangers send tokens with new key ids to the open address.
func TestV6_NoFloodOfKeyRequests(t *testing.T) {
	t.Parallel()
	p, op, c := newPair(t)
	stranger := hostileop.Start(t, c.now)
	for range 50 {
		if _, err := p.VerifyLogout(t.Context(), stranger.SignWith(jose.RS256, stranger.RSA, stranger.LogoutClaims()["jti"].(string), op.LogoutClaims(), nil)); !errors.Is(err, ErrToken) {
			t.Fatal(err)
		}
	}
	if n := op.Asked("/keys"); n != 1 {
		t.Errorf("keys were fetched %d times", n)
	}
	c.add(keysEvery)
	honest(t, p, op)
	if _, err := p.VerifyLogout(t.Context(), stranger.SignWith(jose.RS256, stranger.RSA, "new", op.LogoutClaims(), nil)); !errors.Is(err, ErrToken) || op.Asked("/keys") != 2 {
		t.Errorf("a new key is never looked for: %v, %d", err, op.Asked("/keys"))
	}
}

func TestLogoutURL(t *testing.T) {
	t.Parallel()
	p, op, _ := newPair(t)
	l := honest(t, p, op)
	const redirect = "https://hub.test/hub/logout"
	address, ok := p.LogoutURL(t.Context(), l.Hint, redirect)
	u, err := url.Parse(address)
	if err != nil || !ok {
		t.Fatal(address, err)
	}
	q := u.Query()
	if !strings.HasPrefix(address, op.Issuer()+"/end?") || q.Get("post_logout_redirect_uri") != redirect || q.Get("client_id") != hostileop.ClientID || strings.Count(q.Get("id_token_hint"), ".") != 2 {
		t.Errorf("%s", address)
	}
	if address, ok := p.LogoutURL(t.Context(), "", redirect); !ok || strings.Contains(address, "id_token_hint") {
		t.Errorf("without a hint: %s", address)
	}
	for name, lie := range map[string]hostileop.Switches{
		"none":        {Discovery: func(d map[string]any) { delete(d, "end_session_endpoint") }},
		"in clear":    {Discovery: func(d map[string]any) { d["end_session_endpoint"] = "http://op.test/" }},
		"a script":    {Discovery: func(d map[string]any) { d["end_session_endpoint"] = "javascript:alert(1)" }},
		"unavailable": {Instead: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }},
	} {
		p, op, _ := newPair(t)
		op.Lie(lie)
		if address, ok := p.LogoutURL(t.Context(), "", redirect); ok {
			t.Errorf("%s: %s", name, address)
		}
	}
	op.Lie(hostileop.Switches{Instead: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }})
	if _, err := newProvider(t, op, "x", newClock()).VerifyLogout(t.Context(), op.Sign("rsa", op.LogoutClaims(), nil)); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("a logout message while the provider is away: %v", err)
	}
}
