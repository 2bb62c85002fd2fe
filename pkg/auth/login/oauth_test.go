package login

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/hostileop"
	"github.com/perijove/perijove/test/logs"
)

// withProviders is a site with the directory and the providers "one" and "two".
func withProviders(t *testing.T) (s *env, one, two *hostileop.OP) {
	t.Helper()
	s = newEnv(t)
	s.keeper = s.list.Keeper
	site, err := origin.Parse("https://hub.test", []string{"other.test"})
	if err != nil {
		t.Fatal(err)
	}
	s.Site = site
	one, two = hostileop.Start(t, now), hostileop.Start(t, now)
	for id, op := range map[string]*hostileop.OP{"one": one, "two": two} {
		cfg := oidclogin.Config{
			ID: id, Name: "Provider " + id, Issuer: op.Issuer(), ClientID: hostileop.ClientID,
			Claims:        oidclogin.Claims{Username: "preferred_username", DisplayName: "name", Groups: "groups"},
			AllowedGroups: []string{"students"}, AdminGroups: []string{"admins"},
		}
		cfg.ClientSecretFile, cfg.CAFile = op.Files()
		s.Providers = append(s.Providers, oidclogin.New(cfg, s.sessions, now))
	}
	return s, one, two
}

// leave presses a provider's button and returns what the provider sends back with.
func (b *browser) leave(op *hostileop.OP, id, next string) (callback string) {
	b.t.Helper()
	res := b.do("GET", "/hub/oauth_login/"+id+"?next="+url.QueryEscape(next), "", nil)
	if res.StatusCode != http.StatusFound || !strings.HasPrefix(res.Header.Get("Location"), op.Issuer()+"/authorize?") {
		b.t.Fatalf("the button leads to %d %s", res.StatusCode, res.Header.Get("Location"))
	}
	return b.approve(op, res.Header.Get("Location"))
}

// approve follows the browser to the provider, which lets the user in.
func (b *browser) approve(op *hostileop.OP, location string) (callback string) {
	b.t.Helper()
	back, err := op.Client().Get(location)
	if err != nil {
		b.t.Fatal(err)
	}
	defer back.Body.Close() //nolint:errcheck // only its header is read
	return strings.TrimPrefix(back.Header.Get("Location"), "https://hub.test")
}

// comeBack follows the provider's redirect, which another site caused.
func (b *browser) comeBack(callback string) *http.Response {
	return b.do("GET", callback, "", map[string]string{"Sec-Fetch-Site": "cross-site"})
}

func (b *browser) loginAt(op *hostileop.OP, id, next string) *http.Response {
	b.t.Helper()
	return b.comeBack(b.leave(op, id, next))
}

// underWay returns the cookies of logins that the browser has begun at providers.
func (b *browser) underWay() (all []*http.Cookie) {
	for _, c := range b.cookies {
		if strings.HasPrefix(c.Name, contract.CookieOAuth) {
			all = append(all, c)
		}
	}
	return all
}

func TestLoginPageOffersWhatThereIs(t *testing.T) {
	t.Parallel()
	s, _, _ := withProviders(t)
	for _, c := range []struct {
		name          string
		form, buttons bool
		prepare       func()
	}{
		{"both", true, true, func() {}},
		{"providers only", false, true, func() { s.Check = nil }},
		{"directory only", true, false, func() { s.Check = s.check; s.Providers = nil }},
	} {
		c.prepare()
		text := body(t, s.browser(t).do("GET", "/hub/login?next=%2Fuser%2Falice%2F", "", nil))
		if strings.Contains(text, `name="password"`) != c.form {
			t.Errorf("%s: form", c.name)
		}
		if strings.Contains(text, `href="/hub/oauth_login/one?next=%2Fuser%2Falice%2F"`) != c.buttons || strings.Contains(text, "Log in with Provider two") != c.buttons {
			t.Errorf("%s: buttons in %s", c.name, text)
		}
	}
	b := s.browser(t)
	form := url.Values{"username": {"alice"}, "password": {"alice-password"}, contract.XSRFName: {token(t, b.do("GET", "/hub/login", "", nil))}}
	s.Check = nil
	if res := b.do("POST", "/hub/login", form.Encode(), nil); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a password without a directory: %d", res.StatusCode)
	}
}

func TestOAuthLogin(t *testing.T) {
	t.Parallel()
	s, one, _ := withProviders(t)
	b := s.browser(t)
	res := b.loginAt(one, "one", "/user/alice/lab?reset")
	if res.StatusCode != http.StatusFound || res.Header.Get("Location") != "/user/alice/lab?reset" {
		t.Fatalf("%d %s %s", res.StatusCode, res.Header.Get("Location"), body(t, res))
	}
	session, ok := b.session()
	if !ok || session.User.Name != "alice" || session.Method != "oidc" || b.cookies[contract.CookiePass+"/user/alice/"] == nil {
		t.Errorf("session %+v", session)
	}
	account, ok := s.list.Session(context.Background(), "alice", session.ID)
	if !ok || account.ProviderSID != hostileop.SID || account.Provider != "one" || account.IDTokenHint == "" {
		t.Errorf("session %+v", account)
	}
	if !strings.Contains(s.log.String(), `"msg":"login","audit":true,"event":"login.succeeded","user":"alice","method":"oidc"`) {
		t.Errorf("no audit line in %s", s.log)
	}
	if res := b.do("GET", "/hub/oauth_login/three", "", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("unknown provider: %d", res.StatusCode)
	}
	// By another of our names the browser comes back to that name, and to no stranger's.
	for host, want := range map[string]string{"hub.test": "https://hub.test", "other.test": "https://other.test", "evil.test": "https://hub.test", "": "https://hub.test"} {
		if got := s.ownOrigin(&http.Request{Host: host}); got != want {
			t.Errorf("from %q back to %s", host, got)
		}
	}
}

func TestO1_CallbackNeedsThisBrowsersLogin(t *testing.T) {
	t.Parallel()
	s, one, two := withProviders(t)
	alice, mallory := s.browser(t), s.browser(t)
	callback := alice.leave(one, "one", "")
	for name, try := range map[string]func() (*browser, *http.Response){
		"another browser": func() (*browser, *http.Response) { return mallory, mallory.comeBack(callback) },
		"another browser with a login of its own": func() (*browser, *http.Response) {
			mallory.leave(one, "one", "")
			return mallory, mallory.comeBack(callback)
		},
		"another provider's address": func() (*browser, *http.Response) {
			b := s.browser(t)
			there := b.leave(two, "two", "")
			return b, b.comeBack(strings.Replace(there, "/two?", "/one?", 1))
		},
		"no answer": func() (*browser, *http.Response) { b := s.browser(t); return b, b.comeBack("/hub/oauth_callback/one") },
		"a second cookie": func() (*browser, *http.Response) {
			b := s.browser(t)
			there := b.leave(one, "one", "")
			own := b.underWay()[0]
			b.cookies["planted"] = &http.Cookie{Name: own.Name, Value: own.Value, Path: "/hub"}
			return b, b.comeBack(there)
		},
	} {
		b, res := try()
		if _, in := b.session(); in || res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d, logged in: %v", name, res.StatusCode, in)
		}
		if text := body(t, res); !strings.Contains(text, "could not be finished") || !strings.Contains(text, `href="/hub/login`) {
			t.Errorf("%s: the page does not say what to do", name)
		}
	}
	kept := alice.underWay()[0]
	if res := alice.comeBack(callback); res.StatusCode != http.StatusFound {
		t.Fatalf("the honest one: %d", res.StatusCode)
	}
	if len(alice.underWay()) != 0 {
		t.Error("the cookie stays")
	}
	thief := s.browser(t)
	thief.cookies["kept"] = kept
	if res := thief.comeBack(callback); res.StatusCode != http.StatusBadRequest {
		t.Errorf("used again with a copied cookie: %d", res.StatusCode)
	}
}

// TestS1_OAuth: the session from before the login ends with it.
func TestS1_OAuthEndsTheOldSession(t *testing.T) {
	t.Parallel()
	s, one, _ := withProviders(t)
	b := s.browser(t)
	b.post("bob", "bob-password", "", nil)
	before := *b.cookies[contract.CookieSession+contract.PathHub]
	b.loginAt(one, "one", "")
	if session, _ := b.session(); session.User.Name != "alice" {
		t.Fatalf("%+v", session)
	}
	if old, ok := s.open(before.Value); ok {
		t.Errorf("the old session lives: %+v", old)
	}
}

// TestS7_NobodyElseBeginsALogin: a page of another site cannot start one, nor a prefetch.
func TestS7_NobodyElseBeginsALogin(t *testing.T) {
	t.Parallel()
	s, _, _ := withProviders(t)
	for name, header := range map[string]map[string]string{
		"another site": {"Sec-Fetch-Site": "cross-site"}, "a sibling": {"Sec-Fetch-Site": "same-site"}, "prefetch": {"Sec-Purpose": "prefetch;prerender"},
	} {
		b := s.browser(t)
		res := b.do("GET", "/hub/oauth_login/one?next=%2Fhub%2Fhome", "", header)
		if res.Header.Get("Location") != "/hub/login?next=%2Fhub%2Fhome" || len(b.cookies) != 0 {
			t.Errorf("%s: %s %v", name, res.Header.Get("Location"), b.cookies)
		}
	}
	for name, header := range map[string]map[string]string{"ours": {}, "typed": {"Sec-Fetch-Site": "none"}, "a browser that says nothing": {"Sec-Fetch-Site": ""}} {
		if b := s.browser(t); b.do("GET", "/hub/oauth_login/one", "", header).StatusCode != http.StatusFound || len(b.cookies) != 1 {
			t.Errorf("%s cannot begin", name)
		}
	}
}

func TestU3_NextThroughTheState(t *testing.T) {
	t.Parallel()
	s, one, _ := withProviders(t)
	for next, want := range map[string]string{
		"/user/alice/": "/user/alice/", "/hub/spawn?x=1": "/hub/spawn?x=1",
		"//evil.test": "/hub/", `/\evil.test`: "/hub/", "https://evil.test": "/hub/", "javascript:alert(1)": "/hub/", "/%09/evil.test": "/hub/",
		"//e/..%2f": "/hub/", "/hub/oauth_login/one": "/hub/", "/hub/oauth_callback/one?x": "/hub/", "/hub/logout": "/hub/",
		"/user/alice/" + strings.Repeat("x", 3000): "/hub/",
	} {
		if res := s.browser(t).loginAt(one, "one", next); res.Header.Get("Location") != want {
			t.Errorf("%.40q leads to %d %q", next, res.StatusCode, res.Header.Get("Location"))
		}
	}
}

func TestO9_ANameBelongsToOneLogin(t *testing.T) {
	t.Parallel()
	s, one, two := withProviders(t)
	if res := s.browser(t).post("alice", "alice-password", "", nil); res.StatusCode != http.StatusSeeOther {
		t.Fatalf("LDAP: %d", res.StatusCode)
	}
	refused := func(name, why string, res *http.Response, b *browser) {
		t.Helper()
		if _, in := b.session(); in || res.StatusCode != http.StatusForbidden || !strings.Contains(body(t, res), why) {
			t.Errorf("%s: %d, logged in: %v", name, res.StatusCode, in)
		}
	}
	b := s.browser(t)
	const taken, reused = "belongs to another login", "belongs to another person here"
	refused("a provider's alice after the directory's", taken, b.loginAt(one, "one", ""), b)

	one.Person(map[string]any{"preferred_username": "zoe", "sub": "s1", "email": "zoe@example.org"})
	if res := s.browser(t).loginAt(one, "one", ""); res.StatusCode != http.StatusFound {
		t.Fatalf("zoe: %d", res.StatusCode)
	}
	two.Person(map[string]any{"preferred_username": "zoe", "sub": "s1", "email": "zoe@example.org"})
	b = s.browser(t)
	refused("the same subject of another issuer", taken, b.loginAt(two, "two", ""), b)
	one.Person(map[string]any{"sub": "s2"})
	b = s.browser(t)
	refused("the same name and e-mail, another subject", reused, b.loginAt(one, "one", ""), b)
	b = s.browser(t)
	refused("the directory's zoe", taken, b.post("zoe", "zoe-password", "", nil), b)

	// The person keeps the name when the provider renames them, and gets nobody else's.
	one.Person(map[string]any{"sub": "s1", "preferred_username": "alice"})
	b = s.browser(t)
	if res := b.loginAt(one, "one", ""); res.StatusCode != http.StatusFound {
		t.Fatalf("renamed: %d", res.StatusCode)
	}
	if session, _ := b.session(); session.User.Name != "zoe" {
		t.Errorf("renamed to %q", session.User.Name)
	}
	if res := s.browser(t).post("alice", "alice-password", "", nil); res.StatusCode != http.StatusSeeOther {
		t.Errorf("the directory's alice is shut out: %d", res.StatusCode)
	}
}

func TestOAuthFailuresHavePages(t *testing.T) {
	t.Parallel()
	s, one, _ := withProviders(t)
	for name, c := range map[string]struct {
		lie    hostileop.Switches
		status int
		says   string
	}{
		"O3 nonce":      {hostileop.Switches{Claims: func(c map[string]any) { c["nonce"] = "x" }}, 400, "was refused"},
		"O12 no groups": {hostileop.Switches{Claims: func(c map[string]any) { delete(c, "groups") }, UserInfo: func(c map[string]any) { delete(c, "groups") }}, 403, "may not use this platform"},
		"O11 bad name":  {hostileop.Switches{Claims: func(c map[string]any) { c["preferred_username"] = "../alice" }}, 403, "may not use this platform"},
		"declined":      {hostileop.Switches{Redirect: func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }}, 403, "were not logged in"},
		"O14 down":      {hostileop.Switches{Instead: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, InsteadOf: func(r *http.Request) bool { return r.URL.Path == "/token" }}, 503, "does not answer"},
		"O16 many dots": {hostileop.Switches{Token: func(string) string { return strings.Repeat(".", 300<<10) }}, 400, "was refused"},
	} {
		b := s.browser(t)
		one.Lie(c.lie)
		res := b.loginAt(one, "one", "/user/alice/lab")
		text := body(t, res)
		if _, in := b.session(); in || res.StatusCode != c.status || !strings.Contains(text, c.says) || !strings.Contains(text, "/hub/login?next=%2Fuser%2Falice%2Flab") {
			t.Errorf("%s: %d, logged in: %v\n%s", name, res.StatusCode, in, text)
		}
		one.Lie(hostileop.Switches{})
		if res := s.browser(t).loginAt(one, "one", ""); res.StatusCode != http.StatusFound {
			t.Errorf("%s: the honest login: %d", name, res.StatusCode)
		}
	}
	for _, secret := range []string{hostileop.ClientSecret, "access-", "refresh-", "eyJ"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("S14: the log holds %q", secret)
		}
	}
}

// TestO14_ADeadProviderIsNobodyElsesTrouble: the form and the other provider go on.
func TestO14_ADeadProviderIsNobodyElsesTrouble(t *testing.T) {
	t.Parallel()
	s, one, two := withProviders(t)
	one.Lie(hostileop.Switches{Instead: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }})
	b := s.browser(t)
	if res := b.do("GET", "/hub/oauth_login/one", "", nil); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("the dead one: %d", res.StatusCode)
	}
	if res := b.post("bob", "bob-password", "", nil); res.StatusCode != http.StatusSeeOther {
		t.Errorf("the form: %d", res.StatusCode)
	}
	if res := s.browser(t).loginAt(two, "two", ""); res.StatusCode != http.StatusFound {
		t.Errorf("the other provider: %d", res.StatusCode)
	}
}

func TestLogoutGoesOnAtTheProvider(t *testing.T) {
	t.Parallel()
	s, one, _ := withProviders(t)
	b := s.browser(t)
	b.loginAt(one, "one", "")
	res := b.do("GET", "/hub/logout", "", nil)
	refresh := res.Header.Get("Refresh")
	at, err := url.Parse(strings.TrimPrefix(refresh, "0; url="))
	if err != nil || !strings.HasPrefix(refresh, "0; url="+one.Issuer()+"/end?") {
		t.Fatalf("Refresh %q", refresh)
	}
	if q := at.Query(); q.Get("id_token_hint") == "" || q.Get("post_logout_redirect_uri") != "https://hub.test/hub/logout" {
		t.Errorf("%v", q)
	}
	if _, in := b.session(); in || !strings.Contains(body(t, res), "Continue to Provider one") {
		t.Error("not logged out, or nothing to press")
	}
	// Back from the provider there is nobody to log out, and no circle.
	if res := b.do("GET", "/hub/logout", "", map[string]string{"Sec-Fetch-Site": "cross-site"}); res.Header.Get("Refresh") != "" || !strings.Contains(body(t, res), "You are logged out") {
		t.Error("after the return")
	}
	b.post("bob", "bob-password", "", nil)
	if res := b.do("GET", "/hub/logout", "", nil); res.Header.Get("Refresh") != "" {
		t.Error("a directory's person is sent to a provider")
	}
}

// tell sends a logout message as the provider does: no cookie, no browser's headers.
func (s *env) tell(t *testing.T, method, id, token string) *http.Response {
	t.Helper()
	return s.browser(t).do(method, "/hub/oauth_logout/"+id, url.Values{"logout_token": {token}}.Encode(),
		map[string]string{"Origin": "", "Sec-Fetch-Site": "", "Sec-Fetch-Mode": "", "Sec-Fetch-Dest": "", "Content-Type": "application/x-www-form-urlencoded"})
}

// TestV6_RefusedLogoutMessages: a message that is not wholly right ends no session.
func TestV6_RefusedLogoutMessages(t *testing.T) {
	t.Parallel()
	s, one, two := withProviders(t)
	b := s.browser(t)
	b.loginAt(one, "one", "")
	nonce := one.LogoutClaims()
	nonce["nonce"] = "x"
	for name, res := range map[string]*http.Response{
		"GET":                  s.tell(t, "GET", "one", one.Sign("rsa", one.LogoutClaims(), nil)),
		"PUT":                  s.tell(t, "PUT", "one", one.Sign("rsa", one.LogoutClaims(), nil)),
		"a nonce":              s.tell(t, "POST", "one", one.Sign("rsa", nonce, nil)),
		"nothing":              s.tell(t, "POST", "one", ""),
		"too long":             s.tell(t, "POST", "one", strings.Repeat("x", 70<<10)),
		"another provider's":   s.tell(t, "POST", "one", two.Sign("rsa", two.LogoutClaims(), nil)),
		"at another's address": s.tell(t, "POST", "two", one.Sign("rsa", one.LogoutClaims(), nil)),
		"nobody's address":     s.tell(t, "POST", "three", one.Sign("rsa", one.LogoutClaims(), nil)),
	} {
		if res.StatusCode == http.StatusOK || res.StatusCode >= 500 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, res.StatusCode, res.Header)
		}
		if _, in := b.session(); !in {
			t.Fatalf("%s ended the session", name)
		}
	}
	long := url.Values{"logout_token": {one.Sign("rsa", one.LogoutClaims(), nil)}, "padding": {strings.Repeat("x", maxLogoutMessage)}}
	if res := s.browser(t).do("POST", "/hub/oauth_logout/one", long.Encode(), map[string]string{"Origin": "", "Sec-Fetch-Site": ""}); res.StatusCode != http.StatusBadRequest {
		t.Errorf("more than 64 KiB: %d", res.StatusCode)
	}
	logs.Audited(t, s.log.String(), telemetry.ProviderLogoutRefused)
	// The negative control: the same message without a fault.
	if res := s.tell(t, "POST", "one", one.Sign("rsa", one.LogoutClaims(), nil)); res.StatusCode != http.StatusOK {
		t.Errorf("a right message: %d", res.StatusCode)
	}
	if _, in := b.session(); in {
		t.Error("a right message ended nothing")
	}
}

func TestV6_BackChannelLogout(t *testing.T) {
	t.Parallel()
	s, one, _ := withProviders(t)
	other := s.browser(t)
	one.Lie(hostileop.Switches{Claims: func(c map[string]any) { c["sid"] = "another" }})
	other.loginAt(one, "one", "")
	one.Lie(hostileop.Switches{})
	b := s.browser(t)
	b.loginAt(one, "one", "")
	bob := s.browser(t)
	bob.post("bob", "bob-password", "", nil)

	message := one.Sign("rsa", one.LogoutClaims(), map[string]any{"typ": "logout+jwt"})
	if res := s.tell(t, "POST", "one", message); res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", res.StatusCode, body(t, res))
	}
	_, in := b.session()
	_, otherIn := other.session()
	_, bobIn := bob.session()
	if in || !otherIn || !bobIn {
		t.Errorf("by session: in %v, the other session %v, bob %v", in, otherIn, bobIn)
	}
	if res := s.tell(t, "POST", "one", message); res.StatusCode != http.StatusBadRequest {
		t.Errorf("replayed: %d", res.StatusCode)
	}
	b.loginAt(one, "one", "")
	bySubject := one.LogoutClaims()
	delete(bySubject, "sid")
	if res := s.tell(t, "POST", "one", one.Sign("rsa", bySubject, nil)); res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
	_, in = b.session()
	_, otherIn = other.session()
	if in || otherIn {
		t.Errorf("by subject: in %v, the other session %v", in, otherIn)
	}
	// An old message ends nothing that began after it.
	b.loginAt(one, "one", "")
	old := one.LogoutClaims()
	old["iat"] = now().Add(-5 * time.Minute).Unix()
	if res := s.tell(t, "POST", "one", one.Sign("rsa", old, nil)); res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
	if _, in := b.session(); !in {
		t.Error("an old message ended a new session")
	}
	bySession := one.LogoutClaims()
	delete(bySession, "sub")
	if res := s.tell(t, "POST", "one", one.Sign("rsa", bySession, nil)); res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
	if _, in := b.session(); in {
		t.Error("by session alone")
	}
	if !bytes.Contains(s.log.Bytes(), []byte(`"msg":"logout by the provider","audit":true,"event":"session.revoked","user":"alice"`)) {
		t.Error("no audit line")
	}
}

// TestO14_TenSeconds: the longest waits of one login, one after the other.
func TestO14_TenSeconds(t *testing.T) {
	t.Parallel()
	if all := oidclogin.WholeTimeout + recordWait + tellReplicas; all > 10*time.Second {
		t.Errorf("a login may take %v", all)
	}
	if oidclogin.CallTimeout >= oidclogin.WholeTimeout {
		t.Error("one slow answer takes the time of all")
	}
}

func TestV6_WhichSessionsAreMeant(t *testing.T) {
	t.Parallel()
	s := account.Session{Provider: "one", ProviderSID: "a", Since: now()}
	for name, c := range map[string]struct {
		provider string
		ended    oidclogin.Ended
		want     bool
	}{
		"that one":           {"one", oidclogin.Ended{SID: "a", Before: now()}, true},
		"all of the subject": {"one", oidclogin.Ended{Before: now()}, true},
		"another session":    {"one", oidclogin.Ended{SID: "b", Before: now()}, false},
		"another provider":   {"two", oidclogin.Ended{SID: "a", Before: now()}, false},
		"an older message":   {"one", oidclogin.Ended{SID: "a", Before: now().Add(-time.Second)}, false},
	} {
		if meant(s, c.provider, c.ended) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}
