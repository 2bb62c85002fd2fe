package check

import (
	"slices"
	"testing"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// toAPI is a script's request to the REST API.
func toAPI(method, path string) Request {
	return Request{Kind: contract.KindHub, Method: method, Path: path, Host: "hub.test", Accept: "application/json"}
}

// withToken gives a request an API token of owner with these scopes.
func (h env) withToken(r Request, owner string, scopes ...string) Request {
	token, hash := tokens.New()
	h.tokens[token] = owned{user(owner), account.Token{ID: "t-" + owner, Hash: hash, Scopes: scopes}}
	r.Authorization = "token " + token
	return r
}

// scripted is a request without any of a browser's headers.
func scripted(r *Request) {
	r.Accept, r.FetchMode, r.FetchSite, r.Cookie = "*/*", "", "", ""
}

func toHub(cookie string) Request {
	return Request{Kind: contract.KindHub, Method: "GET", Path: "/hub/home", Host: "hub.test", Cookie: cookie, Accept: "text/html", FetchMode: "navigate"}
}

// TestS12_TokensAtServers: what a token opens, and that neither cookie nor token does the
// other's work.
func TestS12_TokensAtServers(t *testing.T) {
	h := newEnv(t)
	alice, aliceCookie := h.session(t, "alice")
	sealed := aliceCookie[len(contract.CookieSession)+1:]
	to := func(server string) Request {
		return with(with(toServer("alice", ""), scripted), func(r *Request) { r.Server = server })
	}
	unknown, _ := tokens.New()
	for name, c := range map[string]struct {
		req    Request
		status int
		reason Reason
	}{
		"own server":                    {h.withToken(to(""), "alice", "access:servers!user=alice"), 200, ReasonAllowed},
		"the one server":                {h.withToken(to("x"), "alice", "access:servers!server=alice/x"), 200, ReasonAllowed},
		"another server":                {h.withToken(to("y"), "alice", "access:servers!server=alice/x"), 403, ReasonScope},
		"the default server":            {h.withToken(to(""), "alice", "access:servers!server=alice/x"), 403, ReasonScope},
		"a scope for the API":           {h.withToken(to("x"), "alice", "servers!user=alice", "admin:servers"), 403, ReasonScope},
		"no scope":                      {h.withToken(to("x"), "alice"), 403, ReasonScope},
		"S13 another's server":          {h.withToken(to("x"), "bob", "access:servers!user=alice", "inherit"), 403, ReasonForbidden},
		"an administrator":              {h.withToken(to("x"), "carol", "inherit"), 200, ReasonAllowed},
		"an administrator's self":       {h.withToken(to("x"), "carol", "self"), 403, ReasonScope},
		"unknown, expired or revoked":   {with(to("x"), func(r *Request) { r.Authorization = "token " + unknown }), 401, ReasonBadToken},
		"half a token":                  {with(to("x"), func(r *Request) { r.Authorization = "Bearer hub_x" }), 401, ReasonBadToken},
		"changes something":             {with(h.withToken(to(""), "alice", "self"), func(r *Request) { r.Method = "POST" }), 200, ReasonAllowed},
		"S10 websocket without origin":  {with(h.withToken(to(""), "alice", "self"), func(r *Request) { r.Upgrade = "websocket" }), 200, ReasonAllowed},
		"S10 websocket of another site": {with(h.withToken(to(""), "alice", "self"), func(r *Request) { r.Upgrade, r.Origin = "websocket", "https://evil.test" }), 403, ReasonCrossOrigin},
		"session in the token's place":  {with(to(""), func(r *Request) { r.Authorization = "Bearer " + sealed }), 401, ReasonNoSession},
		"pass in the token's place": {with(to(""), func(r *Request) {
			r.Authorization = "Bearer " + h.pass(t, alice, "alice", now())[len(contract.CookiePass)+1:]
		}), 401, ReasonNoSession},
		"token in the session's place":   {with(to(""), func(r *Request) { r.Cookie = contract.CookieSession + "=" + unknown }), 401, ReasonNoSession},
		"bad token beside a good cookie": {with(toServer("alice", aliceCookie), func(r *Request) { r.Authorization = "token " + unknown }), 401, ReasonBadToken},
		"an application's own token":     {with(toServer("alice", aliceCookie), func(r *Request) { r.Authorization = "Bearer app" }), 200, ReasonAllowed},
		"in a second header":             {with(toServer("alice", aliceCookie), func(r *Request) { r.Authorization = "Basic YTpi,token " + unknown }), 401, ReasonBadToken},
	} {
		before := len(h.used)
		v := h.Decide(c.req, now())
		if v.Status != c.status || v.Reason != c.reason || v.Location != "" || v.Allow != (c.status == 200) {
			t.Errorf("%s: %d %s %q", name, v.Status, v.Reason, v.Location)
		}
		ours := v.Allow && c.req.Cookie == ""
		if slices.Contains(v.Remove, "authorization") != ours || (len(h.used) > before) != ours {
			t.Errorf("%s: removes %v, noted %v", name, v.Remove, h.used[before:])
		}
		if v.Allow && c.req.Cookie == "" && (len(v.SetCookies) != 0 || !slices.Contains(v.Set, Header{contract.HeaderByToken, "true"})) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestS12_TokensAtTheHub: the REST API takes tokens with the right scopes, pages take none.
func TestS12_TokensAtTheHub(t *testing.T) {
	h := newEnv(t)
	_, aliceCookie := h.session(t, "alice")
	for name, c := range map[string]struct {
		req    Request
		status int
	}{
		"start":                         {h.withToken(toAPI("POST", "/hub/api/users/alice/server"), "alice", "servers!user=alice"), 200},
		"start with the wrong scope":    {h.withToken(toAPI("POST", "/hub/api/users/alice/server"), "alice", "access:servers!user=alice"), 403},
		"start another server":          {h.withToken(toAPI("POST", "/hub/api/users/alice/servers/y"), "alice", "servers!server=alice/x"), 403},
		"S13 start another's":           {h.withToken(toAPI("POST", "/hub/api/users/alice/server"), "bob", "servers!user=alice", "inherit"), 403},
		"an administrator starts":       {h.withToken(toAPI("POST", "/hub/api/users/alice/server"), "carol", "admin:servers"), 200},
		"S13 once an administrator":     {h.withToken(toAPI("POST", "/hub/api/users/alice/server"), "bob", "admin:servers"), 403},
		"version":                       {h.withToken(toAPI("GET", "/hub/api"), "alice", "self"), 200},
		"a page":                        {h.withToken(toHub(""), "alice", "inherit"), 403},
		"the form of a page":            {h.withToken(toAPI("POST", "/hub/spawn"), "alice", "inherit"), 403},
		"a method that a path has not":  {h.withToken(toAPI("GET", "/hub/api/shutdown"), "carol", "inherit"), 405},
		"a path that is not in the API": {h.withToken(toAPI("GET", "/hub/api/nothing"), "carol", "inherit"), 404},
		"what is for sessions only":     {h.withToken(toAPI("DELETE", "/hub/api/users/alice/sessions"), "carol", "inherit"), 403},
		"an idle culler stops":          {h.withToken(toAPI("DELETE", "/hub/api/users/alice/server"), "carol", "delete:servers"), 200},
		"an idle culler starts":         {h.withToken(toAPI("POST", "/hub/api/users/alice/server"), "carol", "delete:servers", "list:users"), 403},
		"a spelling of another path":    {h.withToken(toAPI("POST", "/hub/api/users/alice/../bob/server"), "alice", "self"), 403},
		"anything in a bearer's place":  {with(toHub(aliceCookie), func(r *Request) { r.Authorization = "Bearer app" }), 401},
		"a password":                    {with(toHub(aliceCookie), func(r *Request) { r.Authorization = "Basic YTpi" }), 200},
		"a page of another site":        {with(h.withToken(toAPI("GET", "/hub/api/users/alice"), "alice", "self"), func(r *Request) { r.Origin = "https://evil.test" }), 403},
	} {
		if v := h.Decide(c.req, now()); v.Status != c.status || v.Location != "" || v.Allow != (c.status == 200) {
			t.Errorf("%s: %d %s %q", name, v.Status, v.Reason, v.Location)
		}
	}
}

// TestTokenRequestsCarryNoSession: what a token let in must not look as if a session had.
func TestTokenRequestsCarryNoSession(t *testing.T) {
	h := newEnv(t)
	v := h.Decide(h.withToken(toAPI("POST", "/hub/api/users/carol/server"), "carol", "servers!user=carol", "access:servers!user=a b"), now())
	for _, name := range []string{"authorization", contract.HeaderXSRF, contract.HeaderSession, contract.HeaderAdmin} {
		if !slices.Contains(v.Remove, name) {
			t.Errorf("%s is not removed", name)
		}
	}
	want := Header{contract.HeaderScopes, contract.EncodeHeader("servers!user=carol") + " " + contract.EncodeHeader("access:servers!user=a b")}
	if !slices.Contains(v.Set, want) {
		t.Errorf("%v", v.Set)
	}
	// What is about the whole platform is for administrators only: the services must see one.
	for path, scope := range map[string]string{"/hub/api/users": "list:users", "/hub/api/info": "read:hub", "/hub/api/groups": "list:groups", "/hub/api/proxy": "inherit"} {
		if v := h.Decide(h.withToken(toAPI("GET", path), "carol", scope), now()); !v.Allow || !slices.Contains(v.Set, Header{contract.HeaderAdmin, "true"}) {
			t.Errorf("%s with %s: %+v", path, scope, v)
		}
	}
	if v := h.Decide(h.withToken(toAPI("POST", "/hub/api/users/bob/server"), "carol", "admin:servers"), now()); !slices.Contains(v.Set, Header{contract.HeaderAdmin, "true"}) {
		t.Errorf("an administrator's token for bob's server: %v", v.Set)
	}
}

// TestV4_TheDirectorysLastWordCounts: a cookie says what held at the login.
func TestV4_TheDirectorysLastWordCounts(t *testing.T) {
	h := newEnv(t)
	carol, carolCookie := h.session(t, "carol")
	pass := h.pass(t, carol, "alice", now())
	for _, req := range []Request{toServer("alice", carolCookie), toServer("alice", pass)} {
		if v := h.Decide(req, now()); !v.Allow {
			t.Fatalf("negative control: %s", v.Reason)
		}
	}
	h.now["carol"] = access.User{Name: "carol"}
	for _, req := range []Request{toServer("alice", carolCookie), toServer("alice", pass)} {
		if v := h.Decide(req, now()); v.Allow || v.Reason != ReasonForbidden {
			t.Errorf("demoted and still let in: %s", v.Reason)
		}
	}
	if v := h.Decide(toHub(carolCookie), now()); !slices.Contains(v.Remove, contract.HeaderAdmin) {
		t.Errorf("%+v", v)
	}
	h.now["bob"] = access.User{Name: "bob", Admin: true}
	_, bobCookie := h.session(t, "bob")
	if v := h.Decide(toServer("alice", bobCookie), now()); !v.Allow {
		t.Errorf("promoted and not let in: %s", v.Reason)
	}
}

// TestIdle_WhatIsActivity: only what a person does.
func TestIdle_WhatIsActivity(t *testing.T) {
	h := newEnv(t)
	alice, cookie := h.session(t, "alice")
	pass := h.pass(t, alice, "alice", now())
	for name, c := range map[string]struct {
		req    Request
		active bool
	}{
		"opens a page":            {toServer("alice", pass), true},
		"opens a page of the hub": {toHub(cookie), true},
		"saves":                   {with(toServer("alice", pass), post), true},
		"a page asks for news":    {with(toServer("alice", pass), script), false},
		"reconnects":              {with(toServer("alice", pass), websocket), false},
		"keeps its layout":        {with(with(toServer("alice", pass), script), func(r *Request) { r.Method, r.Path = "PUT", "/user/alice/lab/api/workspaces/default" }), false},
		"a file of that name":     {with(with(toServer("alice", pass), script), func(r *Request) { r.Method, r.Path = "PUT", "/user/alice/api/contents/lab/api/workspaces/x" }), true},
	} {
		h.uses, h.servers = nil, nil
		v := h.Decide(c.req, now())
		if !v.Allow || len(h.uses) != 1 || h.uses[0].active != c.active || h.uses[0].session.User.Name != "alice" || h.uses[0].session.ID != alice.ID || !h.uses[0].session.Expires.Equal(alice.Expires) {
			t.Errorf("%s: %s %+v", name, v.Reason, h.uses)
		}
		if used := c.active && c.req.Kind == contract.KindServer; (len(h.servers) == 1) != used || used && h.servers[0] != (server.ID{User: "alice"}) {
			t.Errorf("%s: noted as use of %v", name, h.servers)
		}
	}
	h.uses, h.servers = nil, nil
	h.Decide(toServer("bob", cookie), now()) // refused
	h.Decide(toServer("alice", ""), now())
	if len(h.uses)+len(h.servers) != 0 {
		t.Errorf("what was refused counts: %+v, %v", h.uses, h.servers)
	}
	for use, req := range map[bool]Request{true: with(toServer("alice", ""), post), false: with(toServer("alice", ""), script)} {
		h.servers = nil
		if v := h.Decide(h.withToken(req, "alice", "self"), now()); !v.Allow || (len(h.servers) > 0) != use {
			t.Errorf("a program's request: %s, noted as use of %v, want %v", v.Reason, h.servers, use)
		}
	}
}

// TestV7_StaleRevocations: strict lets nobody in, best effort goes on; changes at the hub
// wait in both.
func TestV7_StaleRevocations(t *testing.T) {
	h := newEnv(t)
	_, cookie := h.session(t, "alice")
	change := with(toHub(cookie), post)
	for name, c := range map[string]struct {
		stale, strict bool
		server, page  int // statuses
		change        int
	}{
		"fresh":       {false, true, 200, 200, 200},
		"best effort": {true, false, 200, 200, 503},
		"strict":      {true, true, 503, 503, 503},
	} {
		h.stale, h.strict = c.stale, c.strict
		for _, step := range []struct {
			req  Request
			want int
		}{{toServer("alice", cookie), c.server}, {toHub(cookie), c.page}, {change, c.change}, {h.withToken(toServer("alice", ""), "alice", "self"), c.server}} {
			if v := h.Decide(step.req, now()); v.Status != step.want || (step.want == 503) != (v.Reason == ReasonStale) {
				t.Errorf("%s, %s %s: %d %s", name, step.req.Method, step.req.Path, v.Status, v.Reason)
			}
		}
	}
}
