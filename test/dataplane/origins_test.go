package dataplane

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// Hosts of people's servers. The hub's host is their parent, so that for browsers all are
// one site: the harder case.
const (
	aliceHost = "https://alice.hub.test:8000"
	bobHost   = "https://bob.hub.test:8000"
)

// newPeopleEnv gives everybody a host of their own.
func newPeopleEnv(t *testing.T) (s *env, alice, bob *upstream) {
	t.Helper()
	s = newTLSEnvWith(t, func(s *env) { s.userDomain = "hub.test" })
	alice, bob = newUpstream(t, "10.99.0.1", "alice"), newUpstream(t, "10.99.0.2", "bob")
	s.addPod("jupyter-alice", server.ID{User: "alice"}, alice.addr)
	s.addPod("jupyter-bob", server.ID{User: "bob"}, bob.addr)
	anybody := s.newPerson()
	for _, address := range []string{aliceHost + "/user/alice/api", bobHost + "/user/bob/api"} {
		wait.Until(s.t, "route for "+address, func() bool { return anybody.fetch("GET", address).code == http.StatusUnauthorized })
	}
	return s, alice, bob
}

// next is where a redirect leads, without following it.
func (p *person) next(address string, headers ...string) reply {
	p.s.t.Helper()
	return p.request("GET", address, nil, false, append([]string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-site"}, headers...)...)
}

func TestEverybodyHasAHost(t *testing.T) {
	s, up, _ := newPeopleEnv(t)
	alice := s.login("alice")
	if r := alice.visit(aliceHost + "/user/alice/lab?x=1&y=%2F"); r.code != 200 || !strings.Contains(r.body, `"/user/alice/lab?x=1\u0026y=%2F"`) {
		t.Fatalf("alice at her own server: %d %s", r.code, r.body)
	}
	for _, c := range alice.http.Jar.(*jar).cookies {
		if !strings.HasPrefix(c.Name, "__Host-perijove-") || c.Path != "/" || !c.Secure || !c.HttpOnly || c.Domain != "" {
			t.Errorf("a cookie that other hosts could plant or see: %s", c.Raw)
		}
	}
	if got := alice.cookies(aliceHost + "/user/alice/"); !strings.HasPrefix(got, "__Host-perijove-pass=") || strings.Contains(got, ";") {
		t.Errorf("cookies of alice's host: %q, want her pass alone", got)
	}
	for _, seen := range up.requests() {
		if strings.Contains(strings.Join(seen.Header["Cookie"], ";"), "perijove-") {
			t.Error("S4: the pod received a cookie of ours")
		}
		if seen.Host != "alice.hub.test:8000" {
			t.Errorf("the pod saw the host %s", seen.Host)
		}
	}
	for name, c := range map[string]struct {
		at       string
		page     bool
		code     int
		location string
	}{
		"P9 her page on the hub's host":       {"https://hub.test:8000/user/alice/lab?x", true, 302, "https://hub.test:8000/hub/user/alice/lab?x"},
		"P9 her page on bob's host":           {bobHost + "/user/alice/lab?x", true, 302, "https://hub.test:8000/hub/user/alice/lab?x"},
		"P9 her API on the hub's host":        {"https://hub.test:8000/user/alice/api", false, 424, ""},
		"P9 her API on bob's host":            {bobHost + "/user/alice/api", false, 424, ""},
		"P9 her API on a host below hers":     {"https://a.alice.hub.test:8000/user/alice/api", false, 404, ""},
		"P9 her page on a host that ends so":  {"https://evilhub.test:8000/user/alice/lab", true, 404, ""},
		"the hub's page on her host":          {aliceHost + "/hub/home?x", true, 302, "https://hub.test:8000/hub/home?x"},
		"the hub's API on her host":           {aliceHost + "/hub/api/user", false, 404, ""},
		"the root of her host":                {aliceHost + "/", true, 302, "https://hub.test:8000/hub/"},
		"the style of refusals on her host":   {aliceHost + "/hub/static/app.css", false, 200, ""},
		"her API on her own host":             {aliceHost + "/user/alice/api", false, 200, ""},
		"somebody who does not run a server":  {"https://carol.hub.test:8000/user/carol/lab", true, 302, "https://hub.test:8000/hub/user/carol/lab"},
		"an API that does not run":            {"https://carol.hub.test:8000/user/carol/api", false, 424, ""},
		"a host that cannot be a person's":    {"https://-.hub.test.evil.test:8000/user/carol/lab", true, 404, ""},
		"the hand-over on the hub's own host": {"https://hub.test:8000/user/alice/oauth_callback", false, 424, ""},
	} {
		u, _ := url.Parse(c.at)
		accept := "Accept: */*"
		if c.page {
			accept = "Accept: text/html"
		}
		if r := alice.requestAt(u.Host, u.RequestURI(), accept); r.code != c.code || r.get("Location") != c.location {
			t.Errorf("%s: %d %s, want %d %s", name, r.code, r.get("Location"), c.code, c.location)
		}
	}
}

// requestAt sends a GET with the person's cookies for that host, over a connection to the
// hub's host: the certificate need not fit.
func (p *person) requestAt(host, path string, headers ...string) reply {
	p.s.t.Helper()
	req, err := http.NewRequest("GET", "https://hub.test:8000"+path, nil)
	if err != nil {
		p.s.t.Fatal(err)
	}
	req.Host = host
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	for _, c := range p.http.Jar.Cookies(&url.URL{Host: host, Path: path}) {
		req.AddCookie(c)
	}
	resp, err := p.http.Transport.RoundTrip(req)
	if err != nil {
		p.s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return reply{code: resp.StatusCode, header: resp.Header}
}

// U1-U3: the login leads to the hub's host and to people's hosts, and there only to the
// path that redeems the code.
func TestU1_U3_LoginLeadsToOurHostsOnly(t *testing.T) {
	s, _, _ := newPeopleEnv(t)
	alice := s.login("alice")
	good := alice.next(aliceHost + "/user/alice/lab").get("Location")
	_, wish, _ := strings.Cut(good, "?next=")
	wish, err := url.QueryUnescape(wish)
	if err != nil || !strings.HasPrefix(wish, aliceHost+"/user/alice/oauth_callback?next=%2Fuser%2Falice%2Flab&state=") {
		t.Fatalf("alice's host asks for a login with %s", good)
	}
	leads := func(next string) string {
		return alice.next("https://hub.test:8000/hub/login?next=" + url.QueryEscape(next)).get("Location")
	}
	if got := leads(wish); !strings.HasPrefix(got, aliceHost+"/user/alice/oauth_callback?code=") {
		t.Errorf("negative control: the true wish leads to %s", got)
	}
	replace := func(old, new string) string { return strings.Replace(wish, old, new, 1) }
	for _, next := range []string{
		replace("alice.hub.test", "evil.test"), replace("alice.hub.test", "bob.hub.test"), replace("alice.hub.test", "alice.hub.test.evil.test"),
		replace("alice.hub.test", "evil.test#alice.hub.test"), replace("https://", "https://evil.test@"), replace("https://", "http://"), replace("https://", "//"),
		replace(":8000", ""), replace(":8000", ":8001"), replace("alice.hub", "ALICE.hub"), replace("https:", "javascript:"),
		replace("/user/alice/oauth", "/user/bob/oauth"), replace("oauth_callback", "lab"), replace("oauth_callback", "oauth_callback/x"), replace("oauth_callback", "./oauth_callback"),
		replace("%2Fuser%2Falice%2Flab", "%2Fuser%2Fbob%2Flab"), replace("%2Fuser%2Falice%2Flab", "%2F%2Fevil.test%2F"), replace("%2Fuser%2Falice%2Flab", "https%3A%2F%2Fevil.test"),
		replace("&state=", "&state=x"), wish + "&next=%2F%2Fevil.test", wish + "#x", " " + wish, "\t" + wish,
	} {
		if got := leads(next); got != "/hub/" {
			t.Errorf("next=%q leads to %q", next, got)
		}
	}
	if got := leads("/user/alice/lab?x"); got != aliceHost+"/user/alice/lab?x" {
		t.Errorf("a path of alice's leads to %q", got)
	}
	// Bob may not enter, so he gets no code.
	bob := s.login("bob")
	if r := bob.next("https://hub.test:8000/hub/login?next=" + url.QueryEscape(wish)); r.code != 403 || r.get("Location") != "" {
		t.Errorf("bob asks for a code for alice's host: %d %s", r.code, r.get("Location"))
	}
}

// A code works once, in the browser that asked, on the host that it was made for.
func TestO2_CodesWorkOnce(t *testing.T) {
	s, _, _ := newPeopleEnv(t)
	alice := s.login("alice")
	code := func() string {
		return alice.next(alice.next(aliceHost + "/user/alice/lab").get("Location")).get("Location")
	}
	first := code()
	stranger := s.newPerson()
	stranger.next(aliceHost + "/user/alice/lab") // has a nonce of its own
	for name, r := range map[string]reply{
		"another browser":  stranger.next(first),
		"without a nonce":  s.newPerson().next(first),
		"another host":     alice.next(strings.NewReplacer("alice.hub", "bob.hub", "/user/alice", "/user/bob").Replace(first)),
		"an altered code":  alice.next(first[:len(first)-3] + "AAA"),
		"no code":          alice.next(aliceHost + "/user/alice/oauth_callback"),
		"a session cookie": alice.next(aliceHost + "/user/alice/oauth_callback?code=" + strings.TrimPrefix(alice.cookies("/hub/"), "__Host-perijove-session=")),
	} {
		if r.code != 400 || slices.ContainsFunc(r.header["Set-Cookie"], func(c string) bool { return strings.Contains(c, contract.CookiePass+"=") }) {
			t.Errorf("%s: %d %q", name, r.code, r.header["Set-Cookie"])
		}
	}
	second := code()
	if r := alice.next(first); r.code != 302 || r.get("Location") != "/user/alice/lab" {
		t.Fatalf("negative control: the code itself: %d %s", r.code, r.get("Location"))
	}
	// The second tab comes late, but its browser has the pass by now.
	if r := alice.next(second); r.code != 302 || r.get("Location") != "/user/alice/lab" || len(r.header["Set-Cookie"]) != 0 {
		t.Errorf("a second tab: %d %s %q", r.code, r.get("Location"), r.header["Set-Cookie"])
	}
	// With the pass gone a code that was used is worth nothing, nonce or not.
	replay := s.login("alice")
	third := replay.next(replay.next(aliceHost + "/user/alice/lab").get("Location")).get("Location")
	before := slices.Clone(replay.http.Jar.(*jar).cookies)
	if r := replay.next(third); r.code != 302 {
		t.Fatalf("redeeming: %d", r.code)
	}
	replay.http.Jar.(*jar).cookies = before
	if r := replay.next(third); r.code != 400 {
		t.Errorf("a code used twice with the same nonce: %d", r.code)
	}
	s.stopAuthz() // its log is looked at only now
	if strings.Contains(s.logs["authz"].String(), "code=") {
		t.Error("S14: a code is in the log")
	}
}

// S8-S10: for browsers bob's host and alice's are one site, and her cookies go along.
func TestS8_S10_SiblingHostsMayLinkAndNothingElse(t *testing.T) {
	s, up, _ := newPeopleEnv(t)
	alice := s.login("alice")
	alice.visit(aliceHost + "/user/alice/lab")
	s.knowsKeys()
	before := len(up.requests())
	for name, c := range map[string]struct {
		method, address string
		headers         []string
	}{
		"fetch":             {"GET", aliceHost + "/user/alice/api", []string{"Sec-Fetch-Mode: cors", "Origin: " + bobHost}},
		"fetch, no-cors":    {"GET", aliceHost + "/user/alice/api", []string{"Sec-Fetch-Mode: no-cors"}},
		"script":            {"GET", aliceHost + "/user/alice/files/x.js", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"}},
		"frame":             {"GET", aliceHost + "/user/alice/lab", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Accept: text/html"}},
		"form":              {"POST", aliceHost + "/user/alice/api", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Origin: " + bobHost}},
		"form, null origin": {"POST", aliceHost + "/user/alice/api", []string{"Origin: null"}},
		"fetch that writes": {"DELETE", aliceHost + "/user/alice/api", []string{"Sec-Fetch-Mode: cors", "Origin: " + bobHost}},
		"hub: fetch":        {"GET", "https://hub.test:8000/hub/api/user", []string{"Sec-Fetch-Mode: cors", "Origin: " + bobHost}},
		"hub: frame":        {"GET", "https://hub.test:8000/hub/home", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Accept: text/html"}},
		"hub: form":         {"POST", "https://hub.test:8000/hub/spawn", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Origin: " + bobHost}},
	} {
		r := alice.request(c.method, c.address, nil, false, append([]string{"Sec-Fetch-Site: same-site"}, c.headers...)...)
		if r.code != 403 || r.get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d", name, r.code)
		}
	}
	for _, origin := range []string{bobHost, "https://hub.test:8000", "null", "", "https://alice.hub.test", "https://alice.hub.test:8000.evil.test", "http://alice.hub.test:8000"} {
		if conn, code, err := alice.dial(aliceHost+"/user/alice/ws", origin); err == nil || code != 403 {
			t.Errorf("S10: a websocket from %q: %d", origin, code)
			_ = conn.CloseNow()
		}
	}
	if n := len(up.requests()) - before; n != 0 {
		t.Errorf("%d requests reached the pod", n)
	}
	if r := alice.next(aliceHost + "/user/alice/lab"); r.code != 200 {
		t.Errorf("negative control: a link from bob's page: %d", r.code)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if r := alice.fetch(method, aliceHost+"/user/alice/api", "Origin: "+aliceHost); r.code != 200 {
			t.Errorf("negative control: %s by alice's own page: %d", method, r.code)
		}
	}
	conn, _, err := alice.dial(aliceHost+"/user/alice/ws", aliceHost)
	if err != nil {
		t.Fatalf("negative control: alice's own websocket: %v", err)
	}
	_ = conn.CloseNow()
}
