package dataplane

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// S4: of a Cookie header a server gets everything but ours, byte for byte, however it is
// written.
func TestS4_OurCookiesAreCutOut(t *testing.T) {
	s, up, alice := withAlice(t)
	s.knowsKeys()
	pass := alice.cookies("/user/alice/")
	before := len(up.requests())
	var paths []string
	for _, c := range []struct{ header, want string }{
		{"$", ""},
		{"a=1; $", "a=1"},
		{"$; a=1;b=", "a=1;b="},
		{"_xsrf=2|a|b; $; b=\"q r\"", "_xsrf=2|a|b; b=\"q r\""},
		{"perijove-session=s;  perijove-login=t; $", ""},
		{"a=1; perijove-device=x;perijove-oauth=y; $; b=2", "a=1; b=2"},
		{"a=1; __Host-perijove-pass=x; $", "a=1"},
		{"__Host-perijove-session=x; $; a=1", "a=1"},
		{"$; a=perijove-passport; xperijove-pass=x", "a=perijove-passport; xperijove-pass=x"},
		{"$; a=\"; perijove-session=s\"", "a=\""},
		{"$; perijove-session =s; b=1", "b=1"},
		{"$; perijove-", ""},
		{"$; a=1,perijove-session=stolen", "a=1"}, // two header lines joined with a comma
		{"$; ;; ,perijove-session=1; perijove-session=2;", ";; ;"},
		{"$; username-localhost-8888=\"2|1:0|10:1|x\"", "username-localhost-8888=\"2|1:0|10:1|x\""},
	} {
		path := "/user/alice/" + url.PathEscape(c.header)
		paths = append(paths, path)
		if r := s.raw("GET", "/user/alice/s4", "Cookie: "+strings.ReplaceAll(c.header, "$", pass)); r.code != 200 {
			t.Errorf("%q: %d", c.header, r.code)
			continue
		}
		all := up.requests()
		if got := strings.Join(all[len(all)-1].Header.Values("Cookie"), "|"); got != c.want {
			t.Errorf("%q arrives as %q, want %q", c.header, got, c.want)
		}
	}
	if n := len(up.requests()) - before; n != len(paths) {
		t.Errorf("%d requests arrived, want %d", n, len(paths))
	}
}

// S5: a server sets cookies for itself only.
func TestS5_ServersSetTheirOwnCookiesOnly(t *testing.T) {
	s, up, alice := withAlice(t)
	s.addPod("web", server.ID{User: "alice", Name: "web"}, up.addr)
	s.routed("/user/alice/web/", true)
	s.knowsKeys()
	cookie := "Cookie: " + alice.cookies("/user/alice/")
	for _, c := range []struct {
		base string
		set  []string
		want []string
	}{
		{"/user/alice/", []string{"_xsrf=2|a; Path=/user/alice/; HttpOnly", "x=y; Max-Age=3; Path=/user/alice/lab"}, []string{"_xsrf=2|a; Path=/user/alice/; HttpOnly", "x=y; Max-Age=3; Path=/user/alice/lab"}},
		{"/user/alice/", []string{"x=y; path=/user/alice; SameSite=Lax"}, []string{"x=y; path=/user/alice; SameSite=Lax"}},
		{"/user/alice/", []string{"x=y; Path=/; Secure"}, []string{"x=y; Secure; Path=/user/alice/"}},
		{"/user/alice/", []string{"x=y"}, []string{"x=y; Path=/user/alice/"}},
		{"/user/alice/", []string{"x=y; Path=/hub/", "x=y; Path=/user/bob/", "x=y; Path=/user/alicex/"}, []string{"x=y; Path=/user/alice/", "x=y; Path=/user/alice/", "x=y; Path=/user/alice/"}},
		{"/user/alice/", []string{"x=y; Path=/user/alice/; Path=/hub/"}, []string{"x=y; Path=/user/alice/"}},
		{"/user/alice/", []string{"x=y; Domain=test; Path=/user/alice/", "x=y; DOMAIN = .test"}, []string{"x=y; Path=/user/alice/", "x=y; Path=/user/alice/"}},
		{"/user/alice/", []string{"perijove-session=evil; Path=/hub/", " Perijove-Pass=evil", "__Host-perijove-session=evil; Path=/", "__host-PERIJOVE-x=evil", "perijove-pass=; Max-Age=0", "ok=1"}, []string{"ok=1; Path=/user/alice/"}},
		{"/user/alice/web/", []string{"x=y; Path=/user/alice/", "x=y; Path=/user/alice/web/a"}, []string{"x=y; Path=/user/alice/web/", "x=y; Path=/user/alice/web/a"}},
		{"/user/alice/", []string{"; Path=/hub/", "=perijove-session=evil; Path=/hub/"}, []string{"Path=/hub/; Path=/user/alice/"}},
	} {
		query := url.Values{"Set-Cookie": c.set}
		r := s.raw("GET", c.base+"s5?"+query.Encode(), cookie)
		if got := r.header.Values("Set-Cookie"); r.code != 200 || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d, %q arrive as %q, want %q", c.base, r.code, c.set, got, c.want)
		}
	}
	// What authz adds for the browser stays: the fresh pass of a request that asked it.
	r := s.raw("GET", "/user/alice/s5?"+url.Values{"Set-Cookie": {"x=y; Path=/hub/"}}.Encode(), "Cookie: "+alice.cookies("/hub/"))
	got := r.header.Values("Set-Cookie")
	if len(got) != 2 || !slices.ContainsFunc(got, func(c string) bool {
		return strings.HasPrefix(c, contract.CookiePass+"=") && strings.Contains(c, "Path=/user/alice/;")
	}) {
		t.Errorf("with a session: %d, cookies %q, want a pass and the server's own", r.code, got)
	}
	// The same on authz's own redirect.
	r = s.raw("GET", "/user/alice", "Cookie: "+alice.cookies("/hub/"))
	if got := r.header.Values("Set-Cookie"); r.code != 302 || len(got) != 1 || !strings.HasPrefix(got[0], contract.CookiePass+"=") {
		t.Errorf("authz's redirect: %d, cookies %q, want a pass", r.code, got)
	}
}
