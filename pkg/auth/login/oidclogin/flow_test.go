package oidclogin

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/hostileop"
)

const callback = "https://hub.test/hub/oauth_callback/op"

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func ring(t *testing.T) *session.Ring {
	t.Helper()
	r, err := session.NewRing(bytes.Repeat([]byte{7}, session.MinSecret))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newPair is a provider that can lie and our view of it.
func newPair(t *testing.T) (*Provider, *hostileop.OP, *clock) {
	t.Helper()
	c := newClock()
	op := hostileop.Start(t, c.now)
	return newProvider(t, op, "op", c), op, c
}

func newProvider(t *testing.T, op *hostileop.OP, id string, c *clock) *Provider {
	t.Helper()
	cfg := strict()
	cfg.ID, cfg.Name, cfg.Issuer, cfg.ClientID, cfg.Scopes = id, "Provider", op.Issuer(), hostileop.ClientID, []string{"profile", "openid"}
	cfg.ClientSecretFile, cfg.CAFile = op.Files()
	var f config.Faults
	cfg.Validate("oidc[0]", &f)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	return patient(New(cfg, ring(t), c.now))
}

// patient takes time out of the tests: a busy machine is not a slow provider.
func patient(p *Provider) *Provider {
	p.callTimeout, p.wholeTimeout = time.Minute, 2*time.Minute
	return p
}

// approve goes to the provider as the browser does and returns what it brings back.
func approve(t *testing.T, op *hostileop.OP, location string) url.Values {
	t.Helper()
	res, err := op.Client().Get(location)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only its header is read
	back, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusFound || !strings.HasPrefix(back.String(), callback) {
		t.Fatalf("authorize: %d %v %v", res.StatusCode, back, err)
	}
	return back.Query()
}

func begin(t *testing.T, p *Provider, op *hostileop.OP) (answer url.Values, sealed string) {
	t.Helper()
	location, sealed, err := p.Begin(t.Context(), callback, "/user/alice/lab")
	if err != nil {
		t.Fatal(err)
	}
	return approve(t, op, location), sealed
}

// login is a whole login.
func login(t *testing.T, p *Provider, op *hostileop.OP) (Login, error) {
	t.Helper()
	answer, sealed := begin(t, p, op)
	l, _, err := p.Finish(t.Context(), answer, sealed)
	return l, err
}

// honest is the negative control of every test here: without the lie the login succeeds.
func honest(t *testing.T, p *Provider, op *hostileop.OP) Login {
	t.Helper()
	op.Lie(hostileop.Switches{})
	l, err := login(t, p, op)
	if err != nil {
		t.Fatalf("the honest login fails: %v", err)
	}
	return l
}

func TestHonestLogin(t *testing.T) {
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
	p, op, c := newPair(t)
	location, sealed, err := p.Begin(t.Context(), callback, "")
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

func TestO3_Nonce(t *testing.T) {
	p, op, _ := newPair(t)
	var earlier string
	op.Lie(hostileop.Switches{Claims: func(c map[string]any) { earlier = c["nonce"].(string) }})
	if _, err := login(t, p, op); err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(map[string]any){
		"missing": func(c map[string]any) { delete(c, "nonce") },
		"empty":   func(c map[string]any) { c["nonce"] = "" },
		"other":   func(c map[string]any) { c["nonce"] = session.RandomID() },
		"reused":  func(c map[string]any) { c["nonce"] = earlier },
		"a list":  func(c map[string]any) { c["nonce"] = []any{c["nonce"]} },
	} {
		refused(t, p, op, name, hostileop.Switches{Claims: lie}, ErrToken)
	}
}

// refused shows that the lie ends the login with the error, and nothing else does.
func refused(t *testing.T, p *Provider, op *hostileop.OP, name string, lie hostileop.Switches, want error) {
	t.Helper()
	op.Lie(lie)
	if l, err := login(t, p, op); !errors.Is(err, want) {
		t.Errorf("%s: %+v %v, want %v", name, l.User, err, want)
	} else if text := err.Error(); strings.Contains(text, hostileop.ClientSecret) || len(text) > 600 {
		t.Errorf("S14 %s: error %q", name, text)
	}
	honest(t, p, op)
}

func TestO4_Audience(t *testing.T) {
	p, op, _ := newPair(t)
	for name, c := range map[string]struct {
		aud any
		azp any
		ok  bool
	}{
		"other":                      {"evil", nil, false},
		"ours and another, azp evil": {[]any{hostileop.ClientID, "evil"}, "evil", false},
		"ours and another, no azp":   {[]any{hostileop.ClientID, "evil"}, nil, false},
		"ours, azp evil":             {hostileop.ClientID, "evil", false},
		"ours, azp a list":           {hostileop.ClientID, []any{hostileop.ClientID}, false},
		"none":                       {nil, nil, false},
		"ours and another, azp us":   {[]any{hostileop.ClientID, "other"}, hostileop.ClientID, true},
		"ours in a list":             {[]any{hostileop.ClientID}, nil, true},
	} {
		lie := hostileop.Switches{Claims: func(m map[string]any) {
			m["aud"] = c.aud
			if c.azp != nil {
				m["azp"] = c.azp
			}
		}}
		if !c.ok {
			refused(t, p, op, name, lie, ErrToken)
			continue
		}
		op.Lie(lie)
		if _, err := login(t, p, op); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestO5_Signatures(t *testing.T) {
	p, op, _ := newPair(t)
	strangers := hostileop.Start(t, newClock().now)
	var last map[string]any
	keep := func(c map[string]any) { last = c }
	resign := func(f func(map[string]any) string) hostileop.Switches {
		return hostileop.Switches{Claims: keep, Token: func(string) string { return f(last) }}
	}
	for name, lie := range map[string]hostileop.Switches{
		"alg none":                 {Token: unsigned},
		"alg none, signature left": {Token: func(raw string) string { return unsigned(raw) + raw[strings.LastIndex(raw, ".")+1:] }},
		"HS256 with the RSA key": resign(func(c map[string]any) string {
			return op.SignWith(jose.HS256, op.RSA.N.Bytes(), "rsa", c, nil)
		}),
		"ES256 under the RSA key's id": resign(func(c map[string]any) string { return op.SignWith(jose.ES256, op.EC, "rsa", c, nil) }),
		"RS256 under the EC key's id":  resign(func(c map[string]any) string { return op.SignWith(jose.RS256, op.RSA, "ec", c, nil) }),
		"right id, other key":          resign(func(c map[string]any) string { return strangers.Sign("rsa", c, nil) }),
		"unknown id":                   resign(func(c map[string]any) string { return op.SignWith(jose.RS256, strangers.RSA, "x", c, nil) }),
		"its own key in the header": resign(func(c map[string]any) string {
			return op.SignWith(jose.RS256, strangers.RSA, "rsa", c, map[string]any{"jwk": jose.JSONWebKey{Key: strangers.RSA.Public()}})
		}),
		"jku": resign(func(c map[string]any) string {
			return op.Sign("rsa", c, map[string]any{"jku": strangers.Issuer() + "/keys"})
		}),
		"x5u": resign(func(c map[string]any) string {
			return op.Sign("rsa", c, map[string]any{"x5u": strangers.Issuer() + "/keys"})
		}),
		"crit":               resign(func(c map[string]any) string { return op.Sign("rsa", c, map[string]any{"crit": []string{"exp"}}) }),
		"another issuer":     {Claims: func(c map[string]any) { c["iss"] = strangers.Issuer() }},
		"no issuer":          {Claims: func(c map[string]any) { delete(c, "iss") }},
		"changed afterwards": {Token: func(raw string) string { return strings.Replace(raw, ".e", ".f", 1) }},
		"cut":                {Token: func(raw string) string { return raw[:len(raw)-8] }},
		"no ID token":        {Answer: func(a map[string]any) { delete(a, "id_token") }},
		"a number":           {Answer: func(a map[string]any) { a["id_token"] = 7 }},
	} {
		refused(t, p, op, name, lie, ErrToken)
	}
	if strangers.Asked("/keys") != 0 {
		t.Error("an address that a token named was fetched")
	}
	op.Lie(resign(func(c map[string]any) string { return op.Sign("ec", c, nil) }))
	if _, err := login(t, p, op); err != nil {
		t.Errorf("ES256, honestly: %v", err)
	}
}

// unsigned takes the signature off a token and says so in the header.
func unsigned(raw string) string {
	_, rest, _ := strings.Cut(raw, ".")
	payload, _, _ := strings.Cut(rest, ".")
	return "eyJhbGciOiJub25lIn0." + payload + "."
}

func TestO6_Times(t *testing.T) {
	p, op, c := newPair(t)
	for _, x := range []struct {
		claim  string
		offset time.Duration
		ok     bool
	}{
		{"exp", -59 * time.Second, true}, {"exp", -61 * time.Second, false}, {"exp", -time.Hour, false},
		{"iat", 59 * time.Second, true}, {"iat", 61 * time.Second, false}, {"iat", 24 * time.Hour, false},
		{"nbf", 59 * time.Second, true}, {"nbf", 61 * time.Second, false}, {"nbf", 6 * time.Minute, false},
	} {
		lie := hostileop.Switches{Claims: func(m map[string]any) { m[x.claim] = c.now().Add(x.offset).Unix() }}
		if !x.ok {
			refused(t, p, op, x.claim+" "+x.offset.String(), lie, ErrToken)
			continue
		}
		op.Lie(lie)
		if _, err := login(t, p, op); err != nil {
			t.Errorf("%s %v: %v", x.claim, x.offset, err)
		}
	}
	for name, lie := range map[string]func(map[string]any){
		"no exp":           func(m map[string]any) { delete(m, "exp") },
		"no iat":           func(m map[string]any) { delete(m, "iat") },
		"no sub":           func(m map[string]any) { delete(m, "sub") },
		"exp 0":            func(m map[string]any) { m["exp"] = 0 },
		"exp in ms":        func(m map[string]any) { m["exp"] = c.now().Add(time.Hour).UnixMilli() },
		"exp as text":      func(m map[string]any) { m["exp"] = "4102444800" },
		"exp without end":  func(m map[string]any) { m["exp"] = 1e300 },
		"nbf as text":      func(m map[string]any) { m["nbf"] = "now" },
		"an empty sub":     func(m map[string]any) { m["sub"] = "" },
		"a long sub":       func(m map[string]any) { m["sub"] = strings.Repeat("s", 256) },
		"sub of controls":  func(m map[string]any) { m["sub"] = "a\x00b" },
		"sub is a number":  func(m map[string]any) { m["sub"] = 7 },
		"sub is not ASCII": func(m map[string]any) { m["sub"] = "\u0430lice" },
	} {
		refused(t, p, op, name, hostileop.Switches{Claims: lie}, ErrToken)
	}
}

func TestO7_MixUp(t *testing.T) {
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

func TestO7_Discovery(t *testing.T) {
	for name, lie := range map[string]func(map[string]any){
		"another issuer":        func(d map[string]any) { d["issuer"] = "https://evil.test" },
		"issuer with a slash":   func(d map[string]any) { d["issuer"] = d["issuer"].(string) + "/" },
		"no issuer":             func(d map[string]any) { delete(d, "issuer") },
		"token in clear":        func(d map[string]any) { d["token_endpoint"] = "http://127.0.0.1/token" },
		"keys in clear":         func(d map[string]any) { d["jwks_uri"] = "http://169.254.169.254/latest" },
		"keys in a file":        func(d map[string]any) { d["jwks_uri"] = "file:///etc/passwd" },
		"authorize is a script": func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)" },
		"no keys":               func(d map[string]any) { delete(d, "jwks_uri") },
		"with a password":       func(d map[string]any) { d["token_endpoint"] = "https://u:p@op.test/token" },
	} {
		p, op, _ := newPair(t)
		op.Lie(hostileop.Switches{Discovery: lie})
		if _, _, err := p.Begin(t.Context(), callback, ""); !errors.Is(err, access.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		honest(t, p, op) // and a fault does not stay
	}
	// A list of weak algorithms does not make us weaker.
	p, op, _ := newPair(t)
	op.Lie(hostileop.Switches{Discovery: func(d map[string]any) { d["id_token_signing_alg_values_supported"] = []string{"none", "HS256"} }, Token: unsigned})
	if _, err := login(t, p, op); !errors.Is(err, ErrToken) {
		t.Errorf("alg none offered and used: %v", err)
	}
}

// TestO12_NobodyFollowsAClaimSource: the overage's address is a stranger's.
func TestO12_NobodyFollowsAClaimSource(t *testing.T) {
	p, op, _ := newPair(t)
	stranger := hostileop.Start(t, newClock().now)
	overage := func(c map[string]any) {
		delete(c, "groups")
		c["_claim_names"] = map[string]any{"groups": "src1"}
		c["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": stranger.Issuer() + "/groups"}}
	}
	refused(t, p, op, "overage", hostileop.Switches{Claims: overage, UserInfo: overage}, access.ErrNotAllowed)
	if stranger.Asked("/groups") != 0 {
		t.Error("the claim source was fetched")
	}
	op.Lie(hostileop.Switches{Claims: overage})
	if l, err := login(t, p, op); err != nil || len(l.User.Groups) != 1 {
		t.Errorf("resolved by the user info: %+v %v", l.User, err)
	}
	refused(t, p, op, "user info about somebody else",
		hostileop.Switches{Claims: overage, UserInfo: func(c map[string]any) { c["sub"] = "other" }}, ErrToken)
	refused(t, p, op, "no groups at all",
		hostileop.Switches{Claims: func(c map[string]any) { delete(c, "groups") }, UserInfo: func(c map[string]any) { delete(c, "groups") }}, access.ErrNotAllowed)
}

func TestDeclinedAndRefused(t *testing.T) {
	p, op, _ := newPair(t)
	refused(t, p, op, "the person says no", hostileop.Switches{Redirect: func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }}, ErrDeclined)
	refused(t, p, op, "an error with text", hostileop.Switches{Redirect: func(v url.Values) { v.Set("error", "<script>"+strings.Repeat("x", 1000)) }}, ErrDeclined)
	refused(t, p, op, "our secret is wrong", hostileop.Switches{RefuseToken: "invalid_client"}, access.ErrUnavailable)
	refused(t, p, op, "the code is refused", hostileop.Switches{RefuseToken: "invalid_grant"}, ErrToken)
	refused(t, p, op, "an error code with a secret", hostileop.Switches{RefuseToken: hostileop.ClientSecret}, access.ErrUnavailable)
}

func TestO14_ProviderDownSlowOrLying(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	hang := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	big := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range 10 << 10 {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<10)); err != nil {
				return
			}
		}
	}
	loop := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/again"+r.URL.Path, http.StatusTemporaryRedirect)
	}
	broken := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	garbage := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(strings.Repeat(`{"a":`, 100_000)))
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/token", "/keys", "/userinfo"} {
		for name, instead := range map[string]http.HandlerFunc{"10 MB": big, "redirect loop": loop, "502": broken, "garbage": garbage, "hang": hang} {
			t.Run(name+" at "+path, func(t *testing.T) {
				t.Parallel()
				p, op, c := newPair(t)
				if name == "hang" {
					p.callTimeout, p.wholeTimeout = time.Second, 2*time.Second
				}
				lie := hostileop.Switches{
					Claims:  func(c map[string]any) { delete(c, "groups") },
					Instead: instead, InsteadOf: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, path) },
				}
				op.Lie(lie)
				location, sealed, err := p.Begin(t.Context(), callback, "")
				if err == nil {
					_, _, err = p.Finish(t.Context(), approve(t, op, location), sealed)
				}
				if !errors.Is(err, access.ErrUnavailable) {
					t.Errorf("%v", err)
				}
				if op.Asked("/again"+path) != 0 {
					t.Error("a redirect was followed")
				}
				honest(t, newProvider(t, op, "op", c), op)
			})
		}
	}
	t.Run("another CA", func(t *testing.T) {
		p, op, c := newPair(t)
		other := hostileop.Start(t, c.now)
		_, p.cfg.CAFile = other.Files()
		// Every httptest server has the same certificate; none is trusted without the file.
		p.cfg.CAFile = ""
		if _, _, err := p.Begin(t.Context(), callback, ""); !errors.Is(err, access.ErrUnavailable) || op.Asked("/.well-known/openid-configuration") != 0 {
			t.Errorf("%v", err)
		}
	})
}

// TestO14_KnownProviderGoesDown: discovery that was done stays good.
func TestO14_KnownProviderGoesDown(t *testing.T) {
	p, op, c := newPair(t)
	honest(t, p, op)
	c.add(2 * knownFor)
	op.Lie(hostileop.Switches{
		Instead:   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		InsteadOf: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/.well-known") },
	})
	if _, err := login(t, p, op); err != nil {
		t.Errorf("%v", err)
	}
}

func TestO16_TokensAreBounded(t *testing.T) {
	p, op, _ := newPair(t)
	say := func(raw string) hostileop.Switches {
		return hostileop.Switches{Token: func(string) string { return raw }}
	}
	for name, raw := range map[string]string{
		"300 KB of dots": strings.Repeat(".", 300<<10),
		"many parts":     strings.Repeat("a.", 1000) + "a",
		"a JWE":          "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00iLCJ6aXAiOiJERUYifQ.a.b.c.d",
		"200 KB":         "eyJhbGciOiJSUzI1NiJ9." + strings.Repeat("A", 200<<10) + ".AAAA",
		"empty":          "",
		"JSON":           `{"payload":"e30","signatures":[]}`,
	} {
		refused(t, p, op, name, say(raw), ErrToken)
	}
	refused(t, p, op, "1 MB", say(strings.Repeat(".", 1<<20)), access.ErrUnavailable)
	deep := json.RawMessage(strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000))
	refused(t, p, op, "deep JSON", hostileop.Switches{Claims: func(c map[string]any) { c["deep"] = deep }}, ErrToken)
}

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

// TestO5_Algorithms: a provider's list makes ours shorter and never longer.
func TestO5_Algorithms(t *testing.T) {
	for _, theirs := range [][]string{nil, {"none"}, {"HS256", "none"}, {"ES256", "HS256"}, {"RS256", "ES256", "none"}} {
		both := signatures(theirs)
		if len(both) == 0 {
			t.Errorf("%v: nothing, which the library reads as its default", theirs)
		}
		for _, alg := range both {
			if alg == "none" || strings.HasPrefix(alg, "HS") {
				t.Errorf("%v: %s", theirs, alg)
			}
		}
	}
	if got := signatures([]string{"ES256", "HS256"}); len(got) != 1 || got[0] != "ES256" {
		t.Errorf("%v", got)
	}
}

// TestR13_SlowProvider: logins that wait for it are bounded, and the next one is told.
func TestR13_SlowProvider(t *testing.T) {
	p, op, _ := newPair(t)
	for range maxAtOnce {
		p.slots <- struct{}{}
	}
	if _, err := login(t, p, op); !errors.Is(err, ErrBusy) || op.Asked("/token") != 0 {
		t.Errorf("%v", err)
	}
	<-p.slots
	honest(t, p, op)
	honest(t, p, op) // and the place is given back
}
