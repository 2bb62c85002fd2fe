package login

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/handoff"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/origin"
)

// O2: a code is redeemed on its owner's host only, while its session stands, and gives a
// pass there.
func TestO2_TakingOver(t *testing.T) {
	t.Parallel()
	s := newEnv(t)
	one, err := origin.Parse("https://hub.test", nil)
	if err == nil {
		s.Site, err = one.WithUserDomain("people.test")
	}
	if err != nil {
		t.Fatal(err)
	}
	const nonce = "0123456789012345678901"
	alice := session.New(access.User{Name: "alice"}, "ldap", now(), time.Hour)
	bob := session.New(access.User{Name: "bob"}, "ldap", now(), time.Hour)
	over := session.New(access.User{Name: "alice"}, "ldap", now(), time.Hour)
	s.list.ids[over.ID] = over.Expires
	redeem := func(host, as string, who session.Session) *http.Response {
		location, err := handoff.Answer(s.sessions, s.Site, handoff.NewReturnTo("alice", "/user/alice/lab?x", nonce), who, now())
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, strings.Replace(u.RequestURI(), "/user/alice", "/user/"+as, 1), nil)
		r.Host = host
		r.AddCookie(&http.Cookie{Name: "__Host-" + contract.CookieHandOver, Value: nonce})
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		return w.Result()
	}
	for name, c := range map[string]struct {
		host, as string
		who      session.Session
		want     int
	}{
		"the hub's host":                       {"hub.test", "alice", alice, 404},
		"bob's host":                           {"bob.people.test", "alice", alice, 404},
		"bob's host and path":                  {"bob.people.test", "bob", alice, 400},
		"a foreign host":                       {"alice.people.test.evil.test", "alice", alice, 404},
		"a session that ended":                 {"alice.people.test", "alice", over, 400},
		"V4: somebody who may not enter (now)": {"alice.people.test", "alice", bob, 403},
	} {
		if res := redeem(c.host, c.as, c.who); res.StatusCode != c.want || len(res.Header["Set-Cookie"]) != 0 {
			t.Errorf("%s: %d %q, want %d", name, res.StatusCode, res.Header["Set-Cookie"], c.want)
		}
	}
	res := redeem("alice.people.test", "alice", alice)
	set := strings.Join(res.Header["Set-Cookie"], "\n")
	if res.StatusCode != 302 || res.Header.Get("Location") != "/user/alice/lab?x" || res.Header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(set, "__Host-"+contract.CookiePass+"=ey") || !strings.Contains(set, "__Host-"+contract.CookieHandOver+"=; Path=/; Max-Age=0") {
		t.Errorf("alice at her own host: %d %s %q", res.StatusCode, res.Header.Get("Location"), set)
	}
	s.Site = one
	if res := redeem("hub.test", "alice", alice); res.StatusCode != 404 {
		t.Errorf("with one host for all: %d", res.StatusCode)
	}
}
