package login

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/test/logs"
)

func TestV1_Logout(t *testing.T) {
	t.Parallel()
	b := newEnv(t).browser(t)
	b.post("alice", "alice-password", "/user/alice/lab", nil)
	s, _ := b.session()
	stolen := *b.cookies[contract.CookieSession+contract.PathHub]
	res := b.do("GET", "/hub/logout", "", nil)
	if res.StatusCode != http.StatusOK || !strings.Contains(body(t, res), "You are logged out") || res.Header.Get("Clear-Site-Data") != `"storage"` {
		t.Errorf("%d %q", res.StatusCode, res.Header)
	}
	delete(b.cookies, contract.CookieDevice+contract.PathLogin) // opens nothing
	if len(b.cookies) != 0 {
		t.Errorf("left in the browser: %v", b.cookies)
	}
	logs.Audited(t, b.log.String(), telemetry.LoginSucceeded, telemetry.SessionRevoked)
	if diff := cmp.Diff(map[string]time.Time{s.ID: s.Expires}, b.list.ids); diff != "" {
		t.Error(diff)
	}
	b.cookies[contract.CookieSession+contract.PathHub] = &http.Cookie{Name: stolen.Name, Value: stolen.Value, Path: contract.PathHub}
	if res := b.do("GET", "/hub/login?next=/user/alice/lab", "", nil); res.StatusCode != http.StatusOK || res.Header.Get("Location") != "" {
		t.Errorf("the old cookie still opens the door: %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestLogoutWithoutTheAPI(t *testing.T) {
	t.Parallel()
	b := newEnv(t).browser(t)
	b.list.err = context.DeadlineExceeded
	b.post("alice", "alice-password", "", nil)
	if res := b.do("GET", "/hub/logout", "", nil); res.StatusCode != http.StatusOK || len(b.list.ids) != 1 || !strings.Contains(b.log.String(), "known to this replica only") {
		t.Errorf("%d, log %s", res.StatusCode, b.log)
	}
}

func TestS9_LogoutAsksWhenNobodyAskedForIt(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]map[string]string{
		"another site's link": {"Sec-Fetch-Site": "cross-site"}, "sibling": {"Sec-Fetch-Site": "same-site"},
		"image of our own origin": {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}, "frame": {"Sec-Fetch-Dest": "iframe"},
		"fetch": {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}, "prefetch": {"Sec-Purpose": "prefetch;prerender", "Sec-Fetch-Site": "none"},
		"old browser": {"Sec-Fetch-Site": "", "Sec-Fetch-Mode": "", "Sec-Fetch-Dest": ""},
	} {
		b := newEnv(t).browser(t)
		b.post("alice", "alice-password", "", nil)
		res := b.do("GET", "/hub/logout", "", header)
		if _, ok := b.session(); !ok || res.StatusCode != http.StatusOK || len(b.list.ids) > 0 || res.Header.Get("Clear-Site-Data") != "" {
			t.Errorf("%s: logged out, %d", name, res.StatusCode)
		}
		xsrf := token(t, res)
		for _, wrong := range []string{"", "x", b.sessions.XSRF(session.Session{ID: "other"})} {
			if res := b.do("POST", "/hub/logout", url.Values{contract.XSRFName: {wrong}}.Encode(), nil); res.StatusCode != http.StatusForbidden {
				t.Errorf("%s: token %q gives %d", name, wrong, res.StatusCode)
			}
		}
		if res := b.do("POST", "/hub/logout", url.Values{contract.XSRFName: {xsrf}}.Encode(), map[string]string{"Sec-Fetch-Site": "cross-site"}); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: another site's post gives %d", name, res.StatusCode)
		}
		logs.Audited(t, b.log.String(), telemetry.LogoutRefused)
		if res := b.do("POST", "/hub/logout", url.Values{contract.XSRFName: {xsrf}}.Encode(), nil); res.StatusCode != http.StatusOK || len(b.list.ids) != 1 {
			t.Errorf("%s: the button gives %d", name, res.StatusCode)
		}
	}
	// Nobody's request wipes nothing: another site's image carries no cookie of ours.
	res := newEnv(t).browser(t).do("GET", "/hub/logout", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"})
	if res.Header.Get("Clear-Site-Data") != "" || len(res.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("%v", res.Header)
	}
}

func TestLogoutEndsEverySessionOfTheRequest(t *testing.T) {
	t.Parallel()
	s := newEnv(t)
	a, b := s.browser(t), s.browser(t)
	a.post("alice", "alice-password", "", nil)
	b.post("alice", "alice-password", "", nil)
	c1, c2 := a.cookies[contract.CookieSession+contract.PathHub], b.cookies[contract.CookieSession+contract.PathHub]
	a.do("GET", "/hub/logout", "", map[string]string{"Cookie": c1.Name + "=" + c1.Value + "; " + c2.Name + "=" + c2.Value})
	if len(s.list.ids) != 2 {
		t.Errorf("%d of 2 sessions ended", len(s.list.ids))
	}
}
