package tokens

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
)

func TestTokenAndItsHash(t *testing.T) {
	token, hash := New()
	if got, ok := Hash(token); !ok || got != hash || strings.Contains(hash, token) {
		t.Errorf("%q %v", got, ok)
	}
	other, _ := New()
	if other == token {
		t.Error("twice the same token")
	}
	for _, bad := range []string{"", "hub_", token + "x", token[:len(token)-1], "HUB_" + token[4:], "eyJhbGciOiJkaXIifQ.." + token} {
		if _, ok := Hash(bad); ok {
			t.Errorf("%q has the form of a token", bad)
		}
	}
}

func TestAuthorizationHeader(t *testing.T) {
	for header, want := range map[string]string{
		"token hub_x": "hub_x", "Token hub_x": "hub_x", "Bearer hub_x": "hub_x", "bearer  hub_x": "hub_x",
		"Basic aHViX3g=": "", "hub_x": "", "": "", "tokenhub_x": "",
	} {
		if got, ok := FromHeader(header); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", header, got, ok)
		}
	}
}

func TestWhatThePathsNeed(t *testing.T) {
	rules := NewRules()
	for _, c := range []struct {
		method, path string
		want         Need
		found        bool
	}{
		{"GET", "/hub/api", Need{access.Version, access.Target{User: "me"}}, true},
		{"GET", "/hub/api/user?x=/hub/api", Need{access.ReadUsers, access.Target{User: "me", WholeUser: true}}, true},
		{"GET", "/hub/api/openapi.json", Need{access.Version, access.Target{User: "me"}}, true},
		{"GET", "/hub/api/users?limit=9", Need{access.ListUsers, access.Target{User: "me", WholeUser: true}}, true},
		{"GET", "/hub/api/info", Need{access.ReadHub, access.Target{User: "me", WholeUser: true}}, true},
		{"GET", "/hub/api/users/alice", Need{access.ReadUsers, access.Target{User: "alice", WholeUser: true}}, true},
		{"HEAD", "/hub/api/users/alice", Need{access.ReadUsers, access.Target{User: "alice", WholeUser: true}}, true},
		{"GET", "/hub/api/users/b%20ob", Need{access.ReadUsers, access.Target{User: "b ob", WholeUser: true}}, true},
		{"POST", "/hub/api/users/alice/activity", Need{access.ReportActivity, access.Target{User: "alice", WholeUser: true}}, true},
		{"POST", "/hub/api/users/alice/server", Need{access.Servers, access.Target{User: "alice"}}, true},
		{"DELETE", "/hub/api/users/alice/servers/x", Need{access.StopServers, access.Target{User: "alice", Server: "x"}}, true},
		{"GET", "/hub/api/users/alice/servers/x/progress", Need{access.ReadServers, access.Target{User: "alice", Server: "x"}}, true},
		{"POST", "/hub/api/users/alice/tokens", Need{access.Tokens, access.Target{User: "alice", WholeUser: true}}, true},
		{"DELETE", "/hub/api/users/alice/tokens/t1", Need{access.Tokens, access.Target{User: "alice", WholeUser: true}}, true},
		// What is not in the table, or is not spelt as the services read it.
		{"GET", "/hub/home", Need{}, false}, {"GET", "/hub/token", Need{}, false}, {"POST", "/hub/spawn", Need{}, false},
		{"PUT", "/hub/api/users/alice/server", Need{}, false}, {"PUT", "/hub/api/users", Need{}, false}, {"GET", "/hub/api/users/", Need{}, false},
		{"POST", "/hub/api/users/mallory/../alice/server", Need{}, false}, {"POST", "/hub/api//users/alice/server", Need{}, false},
		{"POST", "/hub/api/users/alice/server/", Need{}, false}, {"POST", "/hub/api/users//server", Need{}, false},
		{"GET", "http://evil.test/hub/api", Need{}, false}, {"GET", "//evil.test/hub/api", Need{}, false}, {"GET", "", Need{}, false}, {"GET", "*", Need{}, false},
		{"GET", "/user/alice/hub/api", Need{}, false}, {"", "/hub/api/users/alice/server/x", Need{}, false},
	} {
		got, found := rules.Need("me", c.method, c.path)
		if got != c.want || found != c.found {
			t.Errorf("%s %s: %+v %v", c.method, c.path, got, found)
		}
	}
}

// TestEveryScopeIsAnAction: a scope that access does not know would lock every token out.
func TestEveryScopeIsAnAction(t *testing.T) {
	known := []access.Action{
		access.Version, access.ReadUsers, access.Servers, access.StopServers, access.ReadServers, access.ReportActivity, access.Tokens, access.DeleteUsers,
		access.AdminUsers, access.ListUsers, access.ListGroups, access.ReadGroups, access.Routes, access.ReadHub,
	}
	for _, e := range contract.Endpoints() {
		if e.Scope != "" && !slices.Contains(known, access.Action(e.Scope)) {
			t.Errorf("%s needs the unknown scope %q", e.Pattern(), e.Scope)
		}
	}
}

// TestRefusals: a script learns whether its path or its method is wrong, and nothing of paths that are
// for no token.
func TestRefusals(t *testing.T) {
	rules := NewRules()
	for request, want := range map[string]string{
		"GET /hub/api/nothing":                 "404 ",
		"GET /hub/api/users/alice/nothing":     "404 ",
		"GET /hub/api/users/":                  "404 ",
		"PUT /hub/api/users/alice/server":      "405 DELETE, GET, HEAD, POST",
		"PATCH /hub/api/users/alice/tokens?x":  "405 GET, HEAD, POST",
		"GET /hub/api/shutdown":                "405 POST",
		"DELETE /hub/api":                      "405 GET, HEAD",
		"DELETE /hub/api/users/alice/sessions": "403 ", // for sessions only
		"GET /hub/home":                        "403 ",
		"GET /hub/apix":                        "403 ",
		"GET /hub/api/../home":                 "403 ",
		"GET //hub/api":                        "403 ",
		"GET http://evil.test/hub/api/x":       "403 ",
	} {
		method, path, _ := strings.Cut(request, " ")
		status, methods := rules.Refusal(method, path)
		if got := strconv.Itoa(status) + " " + methods; got != want {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
}
