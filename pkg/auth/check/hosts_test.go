package check

import (
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/auth/handoff"
	"github.com/perijove/perijove/pkg/contract"
)

// newEnvWithHosts is an env in which each user has a host.
func newEnvWithHosts(t *testing.T) env {
	t.Helper()
	h := newEnv(t)
	site, err := h.site.WithUserDomain("people.test")
	if err != nil {
		t.Fatal(err)
	}
	h.site = site
	return h
}

func atHome(owner, cookie string) Request {
	r := toServer(owner, cookie)
	r.Host = owner + ".people.test"
	return r
}

func TestAskingTheHub(t *testing.T) {
	h := newEnvWithHosts(t)
	v := h.Decide(atHome("alice", ""), now())
	u, err := url.Parse(v.Location)
	if err != nil || v.Status != 302 || u.Host != "hub.test" || u.Path != contract.PathLogin || len(v.SetCookies) != 1 {
		t.Fatalf("%+v", v)
	}
	returnTo, ok := handoff.Parse(h.site, u.Query().Get("next"))
	if !ok || returnTo.Owner != "alice" || returnTo.Path != "/user/alice/lab?reset" {
		t.Errorf("%+v, %v", returnTo, ok)
	}
	cookie, _, _ := strings.Cut(v.SetCookies[0], ";")
	if !strings.HasPrefix(cookie, "__Host-"+contract.CookieHandOver+"=") {
		t.Errorf("the nonce's cookie is %q", cookie)
	}
	// Another tab keeps the nonce; a planted or cut one is replaced.
	if again := h.Decide(atHome("alice", cookie), now()); again.Location != v.Location || len(again.SetCookies) != 0 {
		t.Errorf("a second tab: %+v", again)
	}
	for _, odd := range []string{cookie + "x", cookie + "; " + cookie, cookie[:40]} {
		if again := h.Decide(atHome("alice", odd), now()); len(again.SetCookies) != 1 || again.Location == v.Location {
			t.Errorf("nonce %q: %+v", odd, again)
		}
	}
	script := atHome("alice", "")
	script.FetchMode, script.Accept = "cors", "*/*"
	if v := h.Decide(script, now()); v.Status != 401 || len(v.SetCookies) != 0 || v.Location != "" {
		t.Errorf("a script: %+v", v)
	}
}

// S8-S10, P9: what sibling hosts, which browsers count as one site, may do.
func TestS8_Siblings(t *testing.T) {
	h := newEnvWithHosts(t)
	s, _ := h.session(t, "alice")
	own := "__Host-" + h.pass(t, s, "alice", now())
	for name, c := range map[string]struct {
		change func(*Request)
		want   int
	}{
		"her own page":                       {func(*Request) {}, 200},
		"a link":                             {func(r *Request) { r.FetchSite, r.FetchDest = "same-site", "document" }, 200},
		"a link from elsewhere":              {func(r *Request) { r.FetchSite, r.FetchDest = "cross-site", "document" }, 200},
		"a frame":                            {func(r *Request) { r.FetchSite, r.FetchDest = "same-site", "iframe" }, 403},
		"an unknown destination":             {func(r *Request) { r.FetchSite = "same-site" }, 403},
		"a script":                           {func(r *Request) { r.FetchSite, r.FetchMode, r.FetchDest = "same-site", "no-cors", "script" }, 403},
		"a fetch":                            {func(r *Request) { r.FetchSite, r.FetchMode, r.FetchDest = "same-site", "cors", "empty" }, 403},
		"a browser without Fetch Metadata":   {func(r *Request) { r.FetchSite, r.FetchMode = "", "" }, 200},
		"a write of her own":                 {func(r *Request) { r.Method, r.Origin, r.FetchSite = "POST", "https://alice.people.test", "same-origin" }, 200},
		"a write of bob's page":              {func(r *Request) { r.Method, r.Origin = "POST", "https://bob.people.test" }, 403},
		"a write of the hub's page":          {func(r *Request) { r.Method, r.Origin = "POST", "https://hub.test" }, 403},
		"a websocket of her own":             {func(r *Request) { r.Upgrade, r.Origin = "websocket", "https://alice.people.test" }, 200},
		"a websocket of bob's page":          {func(r *Request) { r.Upgrade, r.Origin = "websocket", "https://bob.people.test" }, 403},
		"bob's host":                         {func(r *Request) { r.Host = "bob.people.test" }, 403},
		"the hub's host":                     {func(r *Request) { r.Host = "hub.test" }, 403},
		"the hub's pages on her host":        {func(r *Request) { r.Kind, r.Owner, r.Prefix = contract.KindHub, "", "" }, 403},
		"a cookie that bob's page could set": {func(r *Request) { r.Cookie = strings.TrimPrefix(own, "__Host-") }, 302},
	} {
		r := atHome("alice", own)
		c.change(&r)
		if v := h.Decide(r, now()); v.Status != c.want {
			t.Errorf("%s: %d %s, want %d", name, v.Status, v.Reason, c.want)
		}
	}
	// With one host for all, a page of another site has no cookies, and frames are the servers' own affair.
	one := newEnv(t)
	s, _ = one.session(t, "alice")
	r := toServer("alice", one.pass(t, s, "alice", now()))
	r.FetchSite, r.FetchDest = "cross-site", "iframe"
	if v := one.Decide(r, now()); !v.Allow {
		t.Errorf("one host: %+v", v)
	}
}
