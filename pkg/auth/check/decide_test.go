package check

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/keys"
)

func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

const lifetime = time.Hour

// env is a Decider with its keys, and cookies to try on it.
type env struct {
	*Decider
	*people
}

// people is a Liveness that tests write by hand.
type people struct {
	revoked       map[string]bool // by session ID or user name
	now           map[string]access.User
	tokens        map[string]owned
	known         map[string]access.User // who has an account
	uses          []use
	used          []string // token IDs
	servers       []server.ID
	stale, strict bool
}

// use is a call of Seen.
type use struct {
	session session.Session
	active  bool
}

type owned struct {
	owner access.User
	token account.Token
}

func (p *people) Seen(s session.Session, active bool) { p.uses = append(p.uses, use{s, active}) }
func (p *people) usedServer(id server.ID)             { p.servers = append(p.servers, id) }

func (p *people) UsedToken(_ string, t account.Token) { p.used = append(p.used, t.ID) }
func (p *people) Stale() bool                         { return p.stale }
func (p *people) Refuse() bool                        { return p.stale && p.strict }

func (p *people) User(s session.Session) (access.User, bool) {
	if p.revoked[s.ID] || p.revoked[s.User.Name] {
		return access.User{}, false
	}
	if now, ok := p.now[s.User.Name]; ok {
		return now, true
	}
	return s.User, true
}

func (p *people) Person(name string) (access.User, bool) {
	u, ok := p.known[name]
	return u, ok
}

func (p *people) Token(token string) (access.User, account.Token, bool) {
	t, ok := p.tokens[token]
	return t.owner, t.token, ok
}

func newEnv(t testing.TB) env {
	t.Helper()
	sessions, passes := keys.Sessions(t), keys.Passes(t)
	site, err := origin.Parse("https://hub.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	h := env{people: &people{revoked: map[string]bool{}, now: map[string]access.User{}, tokens: map[string]owned{}}}
	h.Decider = &Decider{
		live: h.people, sessions: sessions, passes: passes, genuine: pass.NewCache(passes, 100), rules: tokens.NewRules(), subjects: newSubjects(),
		site: site, passTTL: time.Minute, onUse: h.people.usedServer,
	}
	return h
}

// server is a Server with the same keys.
func (h env) server(t testing.TB, log *slog.Logger) *Server {
	t.Helper()
	return New(h.live, h.sessions, h.passes, pages(t), prometheus.NewRegistry(), Settings{Site: h.site, PassTTL: h.passTTL, Used: h.usedServer, Now: now, Log: log})
}

func user(name string) access.User {
	return access.User{Name: name, DisplayName: strings.ToUpper(name), Admin: name == "carol"}
}

func (h env) session(t testing.TB, name string) (session.Session, string) {
	t.Helper()
	s := session.New(user(name), "ldap", now(), lifetime)
	v, err := h.sessions.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	return s, contract.CookieSession + "=" + v
}

func (h env) pass(t testing.TB, s session.Session, owner string, at time.Time) string {
	t.Helper()
	v, err := h.passes.Sign(pass.New(s, owner, at, h.passTTL))
	if err != nil {
		t.Fatal(err)
	}
	return contract.CookiePass + "=" + v
}

// toServer is a browser's navigation to a server of owner.
func toServer(owner, cookie string) Request {
	return Request{
		Kind: contract.KindServer, Owner: owner, Prefix: "/user/" + owner + "/", Method: "GET", Path: "/user/" + owner + "/lab?reset",
		Host: "hub.test", Cookie: cookie, Accept: "text/html,*/*", FetchMode: "navigate", FetchSite: "none",
	}
}

func with(r Request, change func(*Request)) Request { change(&r); return r }

func script(r *Request) {
	r.Accept, r.FetchMode, r.FetchSite = "application/json", "cors", "same-origin"
}

func websocket(r *Request) {
	r.Accept, r.FetchMode, r.FetchSite, r.Upgrade, r.Origin = "*/*", "websocket", "same-origin", "websocket", "https://hub.test"
}

func post(r *Request) { script(r); r.Method, r.Origin = "POST", "https://hub.test" }

// outcome is what a table row promises.
type outcome struct {
	status int
	reason Reason
	page   bool
	fresh  bool // a fresh pass is set
}

func seen(v Verdict) outcome {
	return outcome{v.Status, v.Reason, v.Page, len(v.SetCookies) > 0}
}

func TestServer(t *testing.T) {
	h := newEnv(t)
	alice, aliceCookie := h.session(t, "alice")
	bob, bobCookie := h.session(t, "bob")
	carol, carolCookie := h.session(t, "carol")
	gone, goneCookie := h.session(t, "gone")
	out, outCookie := h.session(t, "out")
	h.revoked[gone.ID], h.revoked["out"] = true, true
	other := newEnv(t)
	fresh := func(s session.Session, owner string) string { return h.pass(t, s, owner, now()) }
	enter, renewed := outcome{200, ReasonAllowed, false, false}, outcome{200, ReasonAllowed, false, true}
	toLogin, tell := outcome{302, ReasonNoSession, false, false}, outcome{401, ReasonNoSession, false, false}
	for name, c := range map[string]struct {
		req  Request
		want outcome
	}{
		"owner's pass":                      {toServer("alice", fresh(alice, "alice")), enter},
		"administrator's pass":              {toServer("alice", fresh(carol, "alice")), enter},
		"pass past half its life":           {toServer("alice", h.pass(t, alice, "alice", now().Add(-31*time.Second))), renewed},
		"expired pass of a living session":  {toServer("alice", h.pass(t, alice, "alice", now().Add(-30*time.Minute))), renewed},
		"owner's session":                   {toServer("alice", aliceCookie), renewed},
		"administrator's session":           {toServer("alice", carolCookie), renewed},
		"bob's session":                     {toServer("alice", bobCookie), outcome{403, ReasonForbidden, true, false}},
		"bob's session, script":             {with(toServer("alice", bobCookie), script), outcome{403, ReasonForbidden, false, false}},
		"S11 bob's session, websocket":      {with(toServer("alice", bobCookie), websocket), outcome{403, ReasonForbidden, false, false}},
		"bob's session beside alice's pass": {toServer("alice", bobCookie+"; "+fresh(alice, "alice")), outcome{403, ReasonForbidden, true, false}},
		"a pass that names bob as visitor":  {toServer("alice", fresh(bob, "alice")), outcome{403, ReasonForbidden, true, false}},
		"bob's pass for his own servers":    {toServer("alice", fresh(bob, "bob")), toLogin},
		"alice's pass for bob's servers":    {toServer("alice", fresh(alice, "bob")), toLogin},
		"another installation's pass":       {toServer("alice", other.pass(t, alice, "alice", now())), toLogin},
		"V1 logged out, pass":               {toServer("alice", h.pass(t, gone, "alice", now())), toLogin},
		"V1 logged out, session":            {toServer("gone", goneCookie), toLogin},
		"V3 user revoked, pass":             {toServer("out", h.pass(t, out, "out", now())), toLogin},
		"V3 user revoked, session":          {toServer("out", outCookie), toLogin},
		"a broken session beside a pass":    {toServer("alice", contract.CookieSession+"=x; "+fresh(alice, "alice")), enter},
		"nothing":                           {toServer("alice", ""), toLogin},
		"nothing, script":                   {with(toServer("alice", ""), script), tell},
		"S11 nothing, websocket":            {with(toServer("alice", ""), websocket), tell},
		"nothing, old browser":              {with(toServer("alice", ""), func(r *Request) { r.FetchMode, r.FetchSite = "", "" }), toLogin},
		"nothing, curl":                     {with(toServer("alice", ""), func(r *Request) { r.Accept, r.FetchMode, r.FetchSite = "*/*", "", "" }), tell},
		"nothing, image":                    {with(toServer("alice", ""), func(r *Request) { r.FetchMode = "no-cors" }), tell},
		"nothing, form":                     {with(toServer("alice", ""), func(r *Request) { r.Method = "POST" }), outcome{401, ReasonNoSession, true, false}},
		"H6 health checker":                 {with(toServer("alice", ""), func(r *Request) { r.Accept, r.FetchMode = "", "" }), tell},
		"garbage":                           {toServer("alice", contract.CookiePass+"=..; =; ;;"), toLogin},
		"two passes":                        {toServer("alice", fresh(alice, "alice")+"; "+fresh(alice, "alice")), outcome{400, ReasonDuplicate, true, false}},
		"two passes, script":                {with(toServer("alice", fresh(alice, "alice")+"; perijove-pass=x"), script), outcome{400, ReasonDuplicate, false, false}},
		"S2 two sessions":                   {toServer("alice", aliceCookie+"; "+aliceCookie), outcome{400, ReasonDuplicate, true, false}},
		"websocket":                         {with(toServer("alice", fresh(alice, "alice")), websocket), enter},
		"post":                              {with(toServer("alice", fresh(alice, "alice")), post), enter},
		"post from curl":                    {with(toServer("alice", fresh(alice, "alice")), func(r *Request) { r.Method, r.FetchSite = "POST", "" }), enter},
		"get across sites":                  {with(toServer("alice", fresh(alice, "alice")), func(r *Request) { r.FetchSite, r.Origin = "cross-site", "https://evil.test" }), enter},
	} {
		v := h.Decide(c.req, now())
		if diff := cmp.Diff(c.want, seen(v), cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if v.Allow != (v.Status == http.StatusOK) {
			t.Errorf("%s: allow is %v with status %d", name, v.Allow, v.Status)
		}
		if v.Status == http.StatusFound && v.Location != "/hub/login?next=%2Fuser%2F"+c.req.Owner+"%2Flab%3Freset" {
			t.Errorf("%s: leads to %s", name, v.Location)
		}
	}
}

func TestServerHeaders(t *testing.T) {
	h := newEnv(t)
	alice, _ := h.session(t, "alice")
	p := h.pass(t, alice, "alice", now())
	v := h.Decide(toServer("alice", "_xsrf=2|x; "+p+"; a=1; "+contract.CookieLogin+"=l"), now())
	want := Verdict{Allow: true, Reason: ReasonAllowed, Status: 200, User: user("alice"), Set: []Header{
		{contract.HeaderUser, "alice"}, {contract.HeaderDisplayName, "ALICE"},
	}}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
}

func TestFreshPassLetsIn(t *testing.T) {
	h := newEnv(t)
	alice, _ := h.session(t, "alice")
	late := now().Add(lifetime - 20*time.Second)
	v := h.Decide(toServer("alice", h.pass(t, alice, "alice", now())), late)
	if !v.Allow || len(v.SetCookies) != 1 {
		t.Fatalf("%+v", v)
	}
	set, err := http.ParseSetCookie(v.SetCookies[0])
	if err != nil || set.Path != "/user/alice/" || !set.Secure || !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Domain != "" {
		t.Fatalf("%v %+v", err, set)
	}
	if v := h.Decide(toServer("alice", contract.CookiePass+"="+set.Value), late); !v.Allow || v.User.Name != "alice" {
		t.Errorf("the fresh pass is refused: %+v", v)
	}
	// It ends with the session, not a minute later.
	if v := h.Decide(toServer("alice", contract.CookiePass+"="+set.Value), now().Add(lifetime)); v.Allow {
		t.Error("a pass outlives its session")
	}
}

func TestS9_S10_CrossOrigin(t *testing.T) {
	h := newEnv(t)
	alice, aliceCookie := h.session(t, "alice")
	p := h.pass(t, alice, "alice", now())
	hub := Request{Kind: contract.KindHub, Method: "GET", Path: "/hub/home", Host: "hub.test", Cookie: aliceCookie}
	for name, change := range map[string]func(*Request){
		"websocket, evil origin":      func(r *Request) { websocket(r); r.Origin = "https://evil.test" },
		"websocket, origin null":      func(r *Request) { websocket(r); r.Origin = "null" },
		"websocket, longer name":      func(r *Request) { websocket(r); r.Origin = "https://hub.test.evil" },
		"websocket, sibling":          func(r *Request) { websocket(r); r.Origin = "https://bob.hub.test" },
		"websocket, other scheme":     func(r *Request) { websocket(r); r.Origin = "http://hub.test" },
		"websocket, other port":       func(r *Request) { websocket(r); r.Origin = "https://hub.test:8443" },
		"websocket, no origin":        func(r *Request) { websocket(r); r.Origin, r.FetchSite = "", "" },
		"websocket, two origins":      func(r *Request) { websocket(r); r.Origin = "https://hub.test,https://evil.test" },
		"any upgrade, no origin":      func(r *Request) { r.Upgrade = "foo" },
		"post, evil origin":           func(r *Request) { post(r); r.Origin = "https://evil.test" },
		"post, origin null":           func(r *Request) { post(r); r.Origin = "null" },
		"post, cross-site, no origin": func(r *Request) { post(r); r.Origin, r.FetchSite = "", "cross-site" },
		"post, same-site":             func(r *Request) { post(r); r.FetchSite = "same-site" },
		"post, unknown site":          func(r *Request) { post(r); r.FetchSite = "elsewhere" },
		"put":                         func(r *Request) { post(r); r.Method, r.FetchSite = "PUT", "cross-site" },
		"delete":                      func(r *Request) { post(r); r.Method, r.FetchSite = "DELETE", "cross-site" },
		"unknown method":              func(r *Request) { post(r); r.Method, r.FetchSite = "get", "cross-site" },
		"form navigation": func(r *Request) {
			r.Method, r.FetchSite, r.Origin, r.FetchMode, r.Accept = "POST", "cross-site", "https://evil.test", "navigate", "text/html"
		},
	} {
		for _, base := range []Request{toServer("alice", p), hub} {
			if v := h.Decide(with(base, change), now()); v.Allow || v.Status != 403 || v.Reason != ReasonCrossOrigin {
				t.Errorf("%s, %s: %+v", base.Kind, name, v)
			}
		}
	}
	for name, change := range map[string]func(*Request){ // negative controls
		"websocket": websocket, "post": post,
		"post, Host in capitals (P9)": func(r *Request) { post(r); r.Host = "HUB.TEST" },
	} {
		for _, base := range []Request{toServer("alice", p), hub} {
			if v := h.Decide(with(base, change), now()); !v.Allow {
				t.Errorf("%s, %s: %+v", base.Kind, name, v)
			}
		}
	}
}

func TestHub(t *testing.T) {
	h := newEnv(t)
	alice, aliceCookie := h.session(t, "alice")
	_, carolCookie := h.session(t, "carol")
	gone, goneCookie := h.session(t, "gone")
	h.revoked[gone.ID] = true
	hub := func(cookie string) Request {
		return Request{Kind: contract.KindHub, Method: "GET", Path: "/hub/home?a=b&c", Host: "hub.test", Cookie: cookie, Accept: "text/html", FetchMode: "navigate"}
	}
	v := h.Decide(hub("a=1; "+aliceCookie), now())
	opened, err := h.sessions.Open(strings.TrimPrefix(aliceCookie, contract.CookieSession+"="), now())
	if err != nil {
		t.Fatal(err)
	}
	want := Verdict{
		Allow: true, Reason: ReasonAllowed, Status: 200, User: user("alice"), Remove: []string{"cookie", contract.HeaderGroups, contract.HeaderSubject, contract.HeaderAdmin},
		Set: []Header{{contract.HeaderUser, "alice"}, {contract.HeaderDisplayName, "ALICE"}, {contract.HeaderXSRF, h.sessions.XSRF(opened)}, {contract.HeaderSession, opened.ID}},
	}
	if diff := cmp.Diff(want, v, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if v := h.Decide(hub(carolCookie), now()); !v.Allow || v.Set[len(v.Set)-1] != (Header{contract.HeaderAdmin, "true"}) {
		t.Errorf("administrator: %+v", v)
	}
	for name, cookie := range map[string]string{
		"nothing": "", "logged out": goneCookie, "altered": aliceCookie + "x", "two": aliceCookie + "; " + carolCookie,
		"a pass is no session": h.pass(t, alice, "alice", now()), "a pass in the session's place": contract.CookieSession + "=" + strings.TrimPrefix(h.pass(t, alice, "alice", now()), contract.CookiePass+"="),
	} {
		v := h.Decide(hub(cookie), now())
		if v.Allow || v.Status != 302 || v.Location != "/hub/login?next=%2Fhub%2Fhome%3Fa%3Db%26c" {
			t.Errorf("%s: %+v", name, v)
		}
		if v := h.Decide(with(hub(cookie), script), now()); v.Allow || v.Status != 401 || v.Page || len(v.Set) > 0 {
			t.Errorf("%s, script: %+v", name, v)
		}
	}
	if v := h.Decide(hub(aliceCookie), now().Add(lifetime)); v.Allow {
		t.Error("S3: the session goes on after its end")
	}
}

func TestMalformedIsRefused(t *testing.T) {
	h := newEnv(t)
	alice, aliceCookie := h.session(t, "alice")
	cookie := aliceCookie + "; " + h.pass(t, alice, "alice", now())
	for name, change := range map[string]func(*Request){
		"H9 other host":  func(r *Request) { r.Host = "evil.test" },
		"no host":        func(r *Request) { r.Host = "" },
		"no kind":        func(r *Request) { r.Kind = "" },
		"unknown kind":   func(r *Request) { r.Kind = "public" },
		"kind's case":    func(r *Request) { r.Kind = "Server" },
		"no owner":       func(r *Request) { r.Owner = "" },
		"no prefix":      func(r *Request) { r.Prefix = "" },
		"other prefix":   func(r *Request) { r.Prefix = "/hub/" },
		"open prefix":    func(r *Request) { r.Prefix = "/user/alice" },
		"nothing at all": func(r *Request) { *r = Request{} },
	} {
		if v := h.Decide(with(toServer("alice", cookie), change), now()); v.Allow || v.Status != 403 || v.Reason != ReasonMalformed || len(v.SetCookies) > 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestP_ThePathDecidesNothing: whatever the path says, the route's owner counts.
func TestP_ThePathDecidesNothing(t *testing.T) {
	h := newEnv(t)
	_, mallory := h.session(t, "mallory")
	for _, path := range []string{
		"/user/mallory/", "/user/mallory/../alice/x", "/user/alice/x?/user/mallory/", "/user/alice/static/x?/static/", "/hub/static/x.css",
		"/user/alice/login", "/user/alice/api/health", "//user//mallory//", "/user/mallory#/../alice/", "", "*", "http://evil.test/",
	} {
		if v := h.Decide(with(toServer("alice", mallory), func(r *Request) { r.Path = path }), now()); v.Allow || v.Status != 403 {
			t.Errorf("%q: %+v", path, v)
		}
		v := h.Decide(with(toServer("alice", ""), func(r *Request) { r.Path = path }), now())
		if v.Allow || v.Status != 302 || !strings.HasPrefix(v.Location, "/hub/login") {
			t.Errorf("%q without a cookie: %+v", path, v)
		}
	}
	if v := h.Decide(with(toServer("alice", ""), func(r *Request) { r.Path = "//evil.test/" }), now()); v.Location != "/hub/login" {
		t.Errorf("an unsafe path is kept as next: %s", v.Location)
	}
}

func TestMissingSlash(t *testing.T) {
	h := newEnv(t)
	_, aliceCookie := h.session(t, "alice")
	_, bobCookie := h.session(t, "bob")
	at := func(path, cookie, method string) Request {
		return with(toServer("alice", cookie), func(r *Request) {
			r.Path, r.Method, r.Origin, r.FetchSite = path, method, "https://hub.test", "same-origin"
		})
	}
	for _, c := range []struct {
		path, cookie, method string
		status               int
		location             string
	}{
		{"/user/alice", aliceCookie, "GET", 302, "/user/alice/"},
		{"/user/alice?a=/b?c", aliceCookie, "GET", 302, "/user/alice/?a=/b?c"},
		{"/user/alice", aliceCookie, "POST", 200, ""},
		{"/user/alice/", aliceCookie, "GET", 200, ""},
		{"/user/alice", bobCookie, "GET", 403, ""},
	} {
		if v := h.Decide(at(c.path, c.cookie, c.method), now()); v.Status != c.status || v.Location != c.location {
			t.Errorf("%s %s: %+v", c.method, c.path, v)
		}
	}
}

func TestLogoutOfASpawnedServerIsOurs(t *testing.T) {
	h := newEnv(t)
	_, aliceCookie := h.session(t, "alice")
	at := func(path string, ours bool, cookie string) Verdict {
		return h.Decide(Request{
			Kind: contract.KindServer, Owner: "a+b", Prefix: "/user/a%2Bb/", Logout: ours,
			Method: "GET", Path: path, Host: "hub.test", Cookie: cookie,
		}, now())
	}
	for _, cookie := range []string{"", aliceCookie} {
		for _, path := range []string{"/user/a%2Bb/logout", "/user/a+b/logout", "/user/a%2Bb/logout?next=//evil"} {
			if v := at(path, true, cookie); v.Allow || v.Status != 302 || v.Location != "/hub/logout" || len(v.SetCookies) > 0 {
				t.Errorf("%s: %+v", path, v)
			}
		}
	}
	for path, ours := range map[string]bool{
		"/user/a%2Bb/logout":     false, // an application of its own
		"/user/a%2Bb/x/logout":   true,
		"/user/a%2Bb/logout/":    true,
		"/user/a%2Bblogout":      true,
		"/user/alice/logout":     true, // another route's path
		"/user/a%2Bb/?x=/logout": true,
	} {
		if v := at(path, ours, ""); v.Location == "/hub/logout" {
			t.Errorf("%s leads to the logout", path)
		}
	}
}

// FuzzDecide: without a genuine cookie nothing is ever allowed, whatever else is sent.
func FuzzDecide(f *testing.F) {
	h := newEnv(f)
	f.Add("server", "alice", "/user/alice/", "GET", "/user/alice/lab", "perijove-pass=..", "text/html", "", "", "")
	f.Add("hub", "", "", "POST", "/hub/home", "perijove-session=a.b.c.d.e", "*/*", "null", "websocket", "cross-site")
	f.Fuzz(func(t *testing.T, kind, owner, prefix, method, path, cookie, accept, origin, upgrade, site string) {
		req := Request{Kind: kind, Owner: owner, Prefix: prefix, Method: method, Path: path, Host: "hub.test", Cookie: cookie,
			Accept: accept, Origin: origin, Upgrade: upgrade, FetchSite: site}
		v := h.Decide(req, now())
		if v.Allow || len(v.Set) > 0 || len(v.SetCookies) > 0 || v.Status < 300 {
			t.Fatalf("%+v yields %+v", req, v)
		}
		if v.Location != "" && (!strings.HasPrefix(v.Location, "/hub/log") || strings.ContainsAny(v.Location, "\r\n \\")) {
			t.Fatalf("%+v leads to %q", req, v.Location)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	h := newEnv(b)
	alice, aliceCookie := h.session(b, "alice")
	for name, req := range map[string]Request{
		"pass": toServer("alice", h.pass(b, alice, "alice", now())), "anonymous": toServer("alice", ""),
		"hub": {Kind: contract.KindHub, Method: "GET", Path: "/hub/home", Host: "hub.test", Cookie: aliceCookie},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if v := h.Decide(req, now()); v.Allow == (req.Cookie == "") {
					b.Fatal(v)
				}
			}
		})
	}
}
