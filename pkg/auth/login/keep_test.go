package login

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/hostileop"
)

// ways are the ways to log in that have a box to tick.
func ways() map[string]func(b *browser, op *hostileop.OP, keep string) *http.Response {
	return map[string]func(b *browser, op *hostileop.OP, keep string) *http.Response{
		"password": func(b *browser, _ *hostileop.OP, keep string) *http.Response {
			return b.do("POST", "/hub/login", loginForm(b, "alice-password", keep).Encode(), nil)
		},
		"provider": func(b *browser, op *hostileop.OP, keep string) *http.Response {
			page := b.do("POST", "/hub/oauth_login/one?next=%2Fhub%2Fhome", loginForm(b, "", keep).Encode(), nil)
			target, ok := strings.CutPrefix(page.Header.Get("Refresh"), "0; url=")
			if !ok || page.StatusCode != http.StatusOK {
				b.t.Fatalf("the button answers %d, Refresh %q", page.StatusCode, page.Header.Get("Refresh"))
			}
			return b.comeBack(b.approve(op, target))
		},
	}
}

func loginForm(b *browser, password, keep string) url.Values {
	xsrf := token(b.t, b.do("GET", "/hub/login", "", nil))
	form := url.Values{"username": {"alice"}, "password": {password}, "next": {"/hub/home"}, contract.XSRFName: {xsrf}}
	if keep != "" {
		form.Set("keep", keep)
	}
	return form
}

// A session's cookie outlives the browser where the site allows it and the user wants it, and
// no longer than the session. A form that asks for it unasked changes nothing.
func TestKeptLogins(t *testing.T) {
	t.Parallel()
	for way, login := range ways() {
		for name, c := range map[string]struct {
			allowed bool
			keep    string
			perUser string
			maxAge  int
		}{
			"ticked":                        {true, "true", "", 3600},
			"not ticked":                    {true, "", "", 0},
			"another value":                 {true, "99999999", "", 0},
			"ticked by force":               {false, "true", "", 0},
			"ticked, a host for each":       {true, "true", "hub.test", 3600},
			"not ticked, a host for each":   {true, "", "hub.test", 0},
			"by force, a host for each one": {false, "true", "hub.test", 0},
		} {
			s, op, _ := withProviders(t)
			site, err := s.Site.WithUserDomain(c.perUser)
			if err != nil {
				t.Fatal(err)
			}
			s.Site, s.KeepLoggedIn = site, c.allowed
			b := s.browser(t)
			if res := login(b, op, c.keep); res.Header.Get("Location") != "/hub/home" {
				t.Fatalf("%s, %s: %d to %q", way, name, res.StatusCode, res.Header.Get("Location"))
			}
			cookie := b.cookie(contract.CookieSession)
			if cookie == nil || cookie.MaxAge != c.maxAge || !cookie.Expires.IsZero() {
				t.Errorf("%s, %s: the session's cookie is %v, want Max-Age %d", way, name, cookie, c.maxAge)
			}
			for _, other := range []string{contract.CookiePass, contract.CookieLogin} {
				if got := b.cookie(other); got != nil && got.MaxAge != 0 {
					t.Errorf("%s, %s: %s outlives the browser too", way, name, other)
				}
			}
		}
	}
}

// cookie is the browser's cookie that package contract calls name, nil for none.
func (b *browser) cookie(name string) *http.Cookie {
	for _, c := range b.cookies {
		if c.Name == b.jar().Name(name) {
			return c
		}
	}
	return nil
}

// A later login without the box takes the kept one's place, and a logout removes it.
func TestKeptLoginsEnd(t *testing.T) {
	t.Parallel()
	s, op, _ := withProviders(t)
	s.KeepLoggedIn = true
	b := s.browser(t)
	ways()["password"](b, op, "true")
	kept := b.cookie(contract.CookieSession)
	if kept == nil || kept.MaxAge == 0 {
		t.Fatalf("not kept: %v", kept)
	}
	b.do("GET", "/hub/logout", "", nil)
	if _, in := b.Pages.open(kept.Value); in || b.cookie(contract.CookieSession) != nil {
		t.Errorf("after the logout the cookie is %v, and its session is open: %v", b.cookie(contract.CookieSession), in)
	}
	ways()["password"](b, op, "")
	if c := b.cookie(contract.CookieSession); c == nil || c.MaxAge != 0 {
		t.Errorf("a login without the box: %v", c)
	}
}

func TestTheBoxIsShownWhereItIsAllowed(t *testing.T) {
	t.Parallel()
	s, _, _ := withProviders(t)
	for _, allowed := range []bool{false, true} {
		s.KeepLoggedIn = allowed
		b := s.browser(t)
		text := body(t, b.do("GET", "/hub/login?keep=true", "", nil))
		if strings.Contains(text, `name="keep"`) != allowed || strings.Contains(text, "checked") {
			t.Errorf("allowed %v: %s", allowed, text)
		}
		// A wrong password does not untick it.
		text = body(t, b.do("POST", "/hub/login", loginForm(b, "wrong", "true").Encode(), nil))
		if strings.Contains(text, "checked") != allowed || !strings.Contains(text, "wrong") {
			t.Errorf("allowed %v, after a wrong password: %s", allowed, text)
		}
		for lang, words := range map[string]string{"en": "Keep me logged in", "zh-CN": "保持登录"} {
			if text := body(t, b.do("GET", "/hub/login", "", map[string]string{"Accept-Language": lang})); strings.Contains(text, words) != allowed {
				t.Errorf("allowed %v, in %s: %s", allowed, lang, text)
			}
		}
	}
}

// S7: another site's form begins no login at a provider, kept or not.
func TestS7_ForeignFormsBeginNoLogin(t *testing.T) {
	t.Parallel()
	s, _, _ := withProviders(t)
	s.KeepLoggedIn = true
	for name, header := range map[string]map[string]string{
		"cross-site":     {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"},
		"an old browser": {"Sec-Fetch-Site": "", "Sec-Fetch-Mode": "", "Sec-Fetch-Dest": "", "Origin": "https://evil.test"},
	} {
		b := s.browser(t)
		res := b.do("POST", "/hub/oauth_login/one", "keep=true&next=%2Fhub%2Fhome", header)
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/hub/login?next=%2Fhub%2Fhome" || len(b.underWay()) != 0 {
			t.Errorf("%s: %d to %q, %d logins under way", name, res.StatusCode, res.Header.Get("Location"), len(b.underWay()))
		}
	}
	b := s.browser(t)
	if res := b.do("POST", "/hub/oauth_login/one", "keep=true&x="+strings.Repeat("x", maxForm), nil); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a form without end: %d", res.StatusCode)
	}
}
