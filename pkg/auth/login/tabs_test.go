package login

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
)

// TestTwoTabsLogInAtAProvider: both tabs end logged in where they wanted to go, whichever
// finishes first, and a tab that comes back a second time is led on.
func TestTwoTabsLogInAtAProvider(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]int{"older first": {0, 1}, "newer first": {1, 0}} {
		e, one, _ := withProviders(t)
		b := e.browser(t)
		wanted := []string{"/user/alice/lab?tab=1", "/user/alice/lab?tab=2"}
		callbacks := []string{b.leave(one, "one", wanted[0]), b.leave(one, "one", wanted[1])}
		for _, i := range order {
			if res := b.comeBack(callbacks[i]); res.StatusCode != http.StatusFound || res.Header.Get("Location") != wanted[i] {
				t.Errorf("%s: tab %d: %d to %q", name, i+1, res.StatusCode, res.Header.Get("Location"))
			}
		}
		if _, in := b.session(); !in || len(b.underWay()) != 0 {
			t.Errorf("%s: logged in: %v, %d logins under way", name, in, len(b.underWay()))
		}
		if res := b.comeBack(callbacks[0]); res.StatusCode != http.StatusFound || res.Header.Get("Location") != contract.PathHub {
			t.Errorf("%s: reloaded: %d to %q", name, res.StatusCode, res.Header.Get("Location"))
		}
		// Negative control: without a session a used answer is an error.
		delete(b.cookies, contract.CookieSession+contract.PathHub)
		if res := b.comeBack(callbacks[0]); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: a used answer gives %d", name, res.StatusCode)
		}
	}
}

// TestLoginsUnderWayAreBounded: the oldest of a browser's logins gives way, at both providers
// together, and what is no login of ours goes with it.
func TestLoginsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	e, one, two := withProviders(t)
	b := e.browser(t)
	b.cookies["junk"] = &http.Cookie{Name: contract.CookieOAuth + "junk", Value: "x", Path: "/hub/"}
	var callbacks []string
	for i := range 2 * maxUnderWay {
		op, id := one, "one"
		if i%2 == 0 {
			op, id = two, "two"
		}
		callbacks = append(callbacks, b.leave(op, id, ""))
	}
	delete(b.cookies, "junk") // the browser of this test knows cookies by the path they came with
	if n := len(b.underWay()); n != maxUnderWay {
		t.Errorf("%d logins under way", n)
	}
	if res := b.comeBack(callbacks[len(callbacks)-1]); res.StatusCode != http.StatusFound {
		t.Errorf("the newest: %d", res.StatusCode)
	}
}

// TestStaleFormsAreShownAgain: a form from before a restart of the browser, or from a tab that
// another one overtook, is no dead end.
func TestStaleFormsAreShownAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	b := e.browser(t)
	form := func(xsrf string) string {
		return url.Values{"username": {"alice"}, "password": {"alice-password"}, "next": {"/user/alice/lab?x"}, contract.XSRFName: {xsrf}}.Encode()
	}
	old := token(t, b.do("GET", "/hub/login", "", nil))
	b.cookies = map[string]*http.Cookie{}
	res := b.do("POST", "/hub/login", form(old), nil)
	text := body(t, res)
	if res.StatusCode != http.StatusForbidden || !strings.Contains(text, "out of date") || !strings.Contains(text, `value="alice"`) ||
		!strings.Contains(text, `value="/user/alice/lab?x"`) || strings.Contains(text, "alice-password") || len(e.asked) != 0 {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	again := token(t, b.do("GET", "/hub/login", "", nil))
	if res := b.do("POST", "/hub/login", form(again), nil); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/user/alice/lab?x" {
		t.Errorf("the fresh form: %d", res.StatusCode)
	}
	// A second tab's form, after the first has logged in.
	if res := b.do("POST", "/hub/login", form(old), nil); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/user/alice/lab?x" {
		t.Errorf("a stale form of a browser that is logged in: %d %s", res.StatusCode, body(t, res))
	}
	// Negative control: another site's form leads nobody on.
	res = b.do("POST", "/hub/login", form(old), map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"})
	if res.StatusCode != http.StatusForbidden || strings.Contains(body(t, res), `name="password"`) {
		t.Errorf("another site's form: %d", res.StatusCode)
	}
}
