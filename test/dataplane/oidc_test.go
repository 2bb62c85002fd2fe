package dataplane

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	authzapp "github.com/perijove/perijove/cmd/authz/app"
	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/provider"
	"github.com/perijove/perijove/test/wait"
)

// withProvider is an env whose people log in with a password or with a certified
// OpenID Connect provider.
func withProvider(t *testing.T) (*env, *provider.Provider) {
	t.Helper()
	op := provider.Start(t, provider.Options{
		Callback: "http://" + publicHost + "/hub/oauth_callback/op",
		// The provider finds our name in no DNS; Envoy answers by its address too.
		LogoutMessages: "http://" + publicAddr + "/hub/oauth_logout/op",
	})
	s := newEnvWith(t, func(s *env) {
		s.adjust = func(cfg *xdsapp.Config) { cfg.ExtraHosts = []string{publicAddr} }
		s.adjustAuthz = func(cfg *authzapp.Config) {
			cfg.ExtraHosts = []string{publicAddr}
			cfg.OIDC = []oidclogin.Config{{
				ID: "op", Name: "Provider", Issuer: op.Issuer, ClientID: provider.ClientID, ClientSecretFile: op.SecretFile,
				Scopes: []string{"profile", "groups"}, Claims: oidclogin.Claims{Username: "preferred_username", DisplayName: "name", Groups: "groups"},
				AllowedGroups: []string{"students", "staff"}, AdminGroups: []string{"admins"},
			}}
		}
		s.secrets.add("the client's secret", provider.ClientSecret)
	})
	return s, op
}

// loginAt goes to the provider and back as a browser does.
func (p *person) loginAt(op *provider.Provider, browser *http.Client, name, next string) reply {
	p.s.t.Helper()
	page := p.visit("/hub/login?next=" + next)
	if !strings.Contains(page.body, `href="/hub/oauth_login/op`) {
		p.s.t.Fatalf("no button on the login page:\n%s", page.body)
	}
	leave := p.send("GET", "/hub/oauth_login/op?next="+next, nil, false)
	if leave.code != http.StatusFound {
		p.s.t.Fatalf("the button answers %d\n%s", leave.code, leave.body)
	}
	back, ours := strings.CutPrefix(op.Login(browser, leave.get("location"), name), "http://"+publicHost)
	if !ours {
		p.s.t.Fatalf("the provider sends people to %s", back)
	}
	if u, err := url.Parse(back); err == nil { // S14: the sweep at the end looks for them
		p.s.secrets.add("a code", u.Query().Get("code"))
		p.s.secrets.add("a state", u.Query().Get("state"))
	}
	return p.request("GET", back, nil, false, "Accept: text/html", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
}

func TestOIDCThroughEnvoy(t *testing.T) {
	s, op := withProvider(t)
	up := newUpstream(t, "10.99.0.7", "dora")
	s.addPod("jupyter-dora", server.ID{User: "dora"}, up.addr)
	s.routed("/user/dora/api", true)

	dora := s.newPerson()
	if r := dora.loginAt(op, op.Browser(), "dora", "/user/dora/lab"); r.code != http.StatusFound || r.get("location") != "/user/dora/lab" {
		t.Fatalf("dora: %d %s\n%s", r.code, r.get("location"), r.body)
	}
	if r := dora.visit("/user/dora/lab"); r.code != http.StatusOK || !strings.Contains(r.body, "dora") {
		t.Errorf("dora at her server: %d %s", r.code, r.body)
	}
	if cookies := dora.cookies("/user/dora/lab"); strings.Contains(cookies, contract.CookieOAuth) || strings.Contains(cookies, contract.CookieSession) {
		t.Errorf("S4: a server would get %s", cookies)
	}
	if r := s.newPerson().loginAt(op, op.Browser(), "hugo", "/hub/home"); r.code != http.StatusForbidden {
		t.Errorf("O12 hugo, in no group: %d", r.code)
	}
	alice := s.login("alice")
	if r := alice.visit("/hub/home"); r.code != http.StatusOK {
		t.Errorf("alice, with a password beside the provider: %d", r.code)
	}

	// The button of a login page that may keep logins posts a form.
	button := s.newPerson().send("POST", "/hub/oauth_login/op", url.Values{"next": {"/hub/home"}, "keep": {"true"}}, false)
	if button.code != http.StatusOK || !strings.HasPrefix(button.get("Refresh"), "0; url="+op.Issuer+"/") {
		t.Errorf("the posted button: %d, Refresh %q", button.code, button.get("Refresh"))
	}

	t.Run("U3", func(t *testing.T) {
		for _, next := range []string{"//evil.test", "https:%2F%2Fevil.test", "/%255cevil.test", "%2F%2Fe%2F..%252f"} {
			if r := s.newPerson().loginAt(op, op.Browser(), "emil", next); r.get("location") != contract.PathHub {
				t.Errorf("next=%s leads to %d %s", next, r.code, r.get("location"))
			}
		}
	})
	t.Run("V6", func(t *testing.T) { testBackChannel(t, s, op) })
}

// testBackChannel: emil logs out at the provider, which tells us.
func testBackChannel(t *testing.T, s *env, op *provider.Provider) {
	first, browser := s.newPerson(), op.Browser()
	if r := first.loginAt(op, browser, "emil", "/hub/home"); r.code != http.StatusFound {
		t.Fatalf("emil: %d", r.code)
	}
	for name, request := range map[string]string{
		"GET":        "GET /hub/oauth_logout/op HTTP/1.1\r\nHost: " + publicHost + "\r\n\r\n",
		"no token":   "POST /hub/oauth_logout/op HTTP/1.1\r\nHost: " + publicHost + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 2\r\n\r\nx=",
		"a stranger": "POST /hub/oauth_logout/op HTTP/1.1\r\nHost: " + publicHost + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 18\r\n\r\nlogout_token=a.b.c",
	} {
		if r := s.rawBytes(request); r.code < 400 || r.code >= 500 || r.get("cache-control") != "no-store" {
			t.Errorf("%s: %d %v", name, r.code, r.header)
		}
	}
	if r := first.send("GET", "/hub/home", nil, false); r.code != http.StatusOK {
		t.Fatalf("emil before: %d", r.code)
	}
	// He logs in anew in the same session at the provider, and out again. The logout goes
	// on there, and the provider ends everything that began in its session.
	second := s.newPerson()
	if r := second.loginAt(op, browser, "emil", "/hub/home"); r.code != http.StatusFound {
		t.Fatalf("his second browser: %d", r.code)
	}
	out := second.send("GET", contract.PathLogout, nil, false)
	address, ok := strings.CutPrefix(out.get("refresh"), "0; url=")
	if !ok {
		t.Fatalf("the logout does not go on: %d %v", out.code, out.header)
	}
	if back := op.Logout(browser, address); back != "http://"+publicHost+contract.PathLogout {
		t.Errorf("back at %s", back)
	}
	wait.Until(s.t, "emil's first browser is logged out", func() bool {
		return first.send("GET", "/hub/home", nil, false).code == http.StatusFound
	})
}
