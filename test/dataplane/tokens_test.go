package dataplane

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

var tokenPattern = regexp.MustCompile(`hub_[A-Za-z0-9_-]{43}`)

// form reads the token that forms on a page must repeat.
func (p *person) form(path string) string {
	p.s.t.Helper()
	page := p.visit(path)
	m := xsrfField.FindStringSubmatch(page.body)
	if page.code != http.StatusOK || m == nil {
		p.s.t.Fatalf("%s answers %d:\n%s", path, page.code, page.body)
	}
	return m[1]
}

// token makes an API token on the page for it.
func (p *person) token(scopes ...string) string {
	p.s.t.Helper()
	r := p.send("POST", "/hub/token", url.Values{contract.XSRFName: {p.form("/hub/token")}, "days": {"7"}, "note": {"ci"}, "scope": scopes}, false)
	token := tokenPattern.FindString(r.body)
	if r.code != http.StatusCreated || token == "" {
		p.s.t.Fatalf("making a token answers %d:\n%s", r.code, r.body)
	}
	return token
}

// script sends a request as a program does: no cookies, none of a browser's headers.
func (s *env) script(method, path string, headers ...string) reply {
	s.t.Helper()
	return s.newPerson().request(method, path, nil, false, headers...)
}

// TestS12_ScriptsUseTokens: a token opens what its scopes say, at servers and at the
// REST API, and nothing else; the server never sees it; revoked, it is worthless.
func TestS12_ScriptsUseTokens(t *testing.T) {
	s, up, alice := withAlice(t)
	bobs := newUpstream(t, "10.99.0.2", "bob")
	s.addPod("jupyter-bob", server.ID{User: "bob"}, bobs.addr)
	s.routed("/user/bob/api", true)
	token := alice.token("access:servers!user", "servers!user")
	header := "Authorization: token " + token
	sealed := strings.TrimPrefix(alice.cookies("/hub/home"), contract.CookieSession+"=")

	for name, c := range map[string]struct {
		method, path string
		headers      []string
		want         int
	}{
		"reads":                          {"GET", "/user/alice/api", []string{header}, 200},
		"reads as a bearer":              {"GET", "/user/alice/api", []string{"Authorization: Bearer " + token}, 200},
		"in the address":                 {"GET", "/user/alice/api?a=%2F&token=" + token + "&b=2", nil, 200},
		"in the address, beside a pass":  {"GET", "/user/alice/api?token=" + token, []string{"Cookie: " + alice.cookies("/user/alice/")}, 200},
		"in the address, altered":        {"GET", "/user/alice/api?token=" + token[:len(token)-1], nil, 401},
		"in the address, of the API":     {"GET", "/hub/api/users/alice?token=" + token, nil, 401},
		"changes something":              {"POST", "/user/alice/api/kernels", []string{header}, 200},
		"another's server":               {"GET", "/user/bob/api", []string{header}, 403},
		"as a cookie":                    {"GET", "/user/alice/api", []string{"Cookie: " + contract.CookieSession + "=" + token}, 401},
		"a session as a bearer":          {"GET", "/user/alice/api", []string{"Authorization: Bearer " + sealed}, 401},
		"none":                           {"GET", "/user/alice/api", nil, 401},
		"altered":                        {"GET", "/user/alice/api", []string{header[:len(header)-1]}, 401},
		"altered beside a good cookie":   {"GET", "/user/alice/api", []string{header[:len(header)-1], "Cookie: " + alice.cookies("/user/alice/")}, 401},
		"H1 a forged word of authz":      {"GET", "/user/alice/api", []string{contract.HeaderByToken + ": true", contract.HeaderUser + ": alice"}, 401},
		"the API":                        {"GET", "/hub/api/users/alice", []string{header}, 200},
		"the API about another":          {"GET", "/hub/api/users/bob", []string{header}, 403},
		"the API, another scope":         {"GET", "/hub/api/users/alice/tokens", []string{header}, 403},
		"the API, session as a bearer":   {"GET", "/hub/api/users/alice", []string{"Authorization: Bearer " + sealed}, 401},
		"the version, for anybody":       {"GET", "/hub/api", nil, 200},
		"the version, with a slash":      {"HEAD", "/hub/api/", []string{"Authorization: token expired"}, 200},
		"more than the version":          {"GET", "/hub/api/info", nil, 401},
		"the version, another method":    {"POST", "/hub/api", nil, 401},
		"the version, another path":      {"GET", "/hub/api/?/../user", nil, 200},
		"below the version":              {"GET", "/hub/api//user", nil, 400},
		"a page":                         {"GET", "/hub/home", []string{header}, 403},
		"H1 forged scopes":               {"GET", "/hub/api/users/alice/tokens", []string{contract.HeaderScopes + ": self", contract.HeaderUser + ": alice"}, 401},
		"starts without a form's token":  {"POST", "/hub/api/users/alice/servers/ci", []string{header}, 202},
		"S13 starts another's":           {"POST", "/hub/api/users/bob/servers/ci", []string{header}, 403},
		"S9 a cookie, no form's token":   {"POST", "/hub/api/users/alice/servers/ci2", []string{"Cookie: " + alice.cookies("/hub/api")}, 403},
		"S10 from another site's page":   {"GET", "/user/alice/api", []string{header, "Origin: https://evil.test"}, 403},
		"the form of JupyterHub's tools": {"GET", "/hub/api/users/alice?include_stopped_servers", []string{header}, 200},
	} {
		if r := s.script(c.method, c.path, c.headers...); r.code != c.want {
			t.Errorf("%s: %d %s", name, r.code, r.body)
		}
	}
	if got := len(bobs.requests()); got != 0 {
		t.Errorf("bob's server got %d requests", got)
	}
	for _, r := range up.requests() {
		if r.Header.Get("Authorization") != "" || strings.Contains(strings.Join(r.Header.Values("Cookie"), ""), "perijove") {
			t.Errorf("the server was shown %v", r.Header)
		}
		if strings.Contains(r.Path, "hub_") {
			t.Errorf("the server was shown %s", r.Path)
		}
	}
	if !slices.ContainsFunc(up.requests(), func(r seen) bool { return strings.HasSuffix(r.Path, "/user/alice/api?a=%2F&b=2") }) {
		t.Error("the rest of the query did not arrive as it was sent")
	}
	if !slices.ContainsFunc(up.requests(), func(r seen) bool {
		return r.Header.Get(contract.HeaderByToken) == "true" && r.Header.Get(contract.HeaderUser) == "alice"
	}) {
		t.Error("the server is not told who came with a token")
	}
	s.testTokenSocket(token)
	s.testTokenEnds(alice, header)
	for name, log := range s.logs {
		if strings.Contains(log.String(), token) {
			t.Errorf("S14: the log of %s holds the token", name)
		}
	}
}

// testTokenSocket: a script opens a websocket without an Origin; without a token nobody does.
func (s *env) testTokenSocket(token string) {
	s.t.Helper()
	for _, authorization := range []string{"token " + token, "token " + token[:len(token)-1]} {
		conn, resp, err := websocket.Dial(context.Background(), s.base()+"/user/alice/ws", &websocket.DialOptions{
			HTTPClient: s.newPerson().http, HTTPHeader: http.Header{"Authorization": {authorization}},
		})
		if good := len(authorization) == len("token ")+len(token); (err == nil) != good {
			s.t.Errorf("S10: websocket with a token, good %v: %v", good, err)
		} else if !good && (resp == nil || resp.StatusCode != http.StatusUnauthorized) {
			s.t.Errorf("S11: %v", resp)
		}
		if conn != nil {
			_ = conn.CloseNow()
		}
	}
}

// testTokenEnds: the person lists the token and revokes it.
func (s *env) testTokenEnds(alice *person, header string) {
	s.t.Helper()
	var list struct {
		Tokens []struct {
			ID, Note string
			Activity *string `json:"last_activity"`
		} `json:"api_tokens"`
	}
	r := alice.fetch("GET", "/hub/api/users/alice/tokens")
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list.Tokens) != 1 || list.Tokens[0].Note != "ci" || strings.Contains(r.body, "hub_") {
		s.t.Fatalf("%d %s", r.code, r.body)
	}
	one := "/hub/api/users/alice/tokens/" + list.Tokens[0].ID
	if r := alice.fetch("DELETE", one); r.code != http.StatusForbidden {
		s.t.Errorf("S9: revoked without the form's token: %d", r.code)
	}
	if r := s.login("bob").fetch("DELETE", one, contract.XSRFHeader+": x"); r.code != http.StatusForbidden {
		s.t.Errorf("bob revokes alice's token: %d", r.code)
	}
	if r := alice.fetch("DELETE", one, contract.XSRFHeader+": "+alice.form("/hub/token")); r.code != http.StatusNoContent {
		s.t.Errorf("revoke: %d %s", r.code, r.body)
	}
	for _, path := range []string{"/user/alice/api", "/hub/api/users/alice"} {
		if r := s.script("GET", path, header); r.code != http.StatusUnauthorized {
			s.t.Errorf("%s with a revoked token: %d", path, r.code)
		}
	}
}

// TestV3_SessionsAreEndedFromAnother: alice ends the session of a computer that she left,
// then all of them.
func TestV3_SessionsAreEndedFromAnother(t *testing.T) {
	s, _, here := withAlice(t)
	left := s.login("alice")
	page := here.visit("/hub/sessions").body
	ids := regexp.MustCompile(`name="id" value="([^"]+)"`).FindAllStringSubmatch(page, -1)
	current := regexp.MustCompile(`(?s)This browser.*?name="id" value="([^"]+)"`).FindStringSubmatch(page)
	if len(ids) != 2 || current == nil {
		t.Fatalf("%d sessions:\n%s", len(ids), page)
	}
	other := ids[0][1]
	if other == current[1] {
		other = ids[1][1]
	}
	end := func(form url.Values, path string) reply {
		form.Set(contract.XSRFName, here.form("/hub/sessions"))
		return here.send("POST", path, form, false)
	}
	if r := end(url.Values{"id": {other}}, "/hub/sessions/end"); r.code != http.StatusSeeOther {
		t.Errorf("end: %d", r.code)
	}
	if r := left.fetch("GET", "/hub/api/user"); r.code != http.StatusUnauthorized {
		t.Errorf("the ended session: %d", r.code)
	}
	if r := here.fetch("GET", "/hub/api/user"); r.code != http.StatusOK {
		t.Errorf("one's own session: %d", r.code)
	}
	if r := end(url.Values{}, "/hub/sessions/end-all"); r.code != http.StatusSeeOther || r.header.Get("Location") != contract.PathLogin {
		t.Errorf("log out everywhere: %d %s", r.code, r.header.Get("Location"))
	}
	if r := here.fetch("GET", "/hub/api/user"); r.code != http.StatusUnauthorized {
		t.Errorf("after logging out everywhere: %d", r.code)
	}
}
