package tokens

import (
	"slices"
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
		{"POST", "/hub/api/users/alice/activity", Need{access.Servers, access.Target{User: "alice", WholeUser: true}}, true},
		{"POST", "/hub/api/users/alice/server", Need{access.Servers, access.Target{User: "alice"}}, true},
		{"DELETE", "/hub/api/users/alice/servers/x", Need{access.Servers, access.Target{User: "alice", Server: "x"}}, true},
		{"GET", "/hub/api/users/alice/servers/x/progress", Need{access.Servers, access.Target{User: "alice", Server: "x"}}, true},
		{"POST", "/hub/api/users/alice/tokens", Need{access.Tokens, access.Target{User: "alice", WholeUser: true}}, true},
		{"DELETE", "/hub/api/users/alice/tokens/t1", Need{access.Tokens, access.Target{User: "alice", WholeUser: true}}, true},
		// What is not in the table, or is not spelt as the services read it.
		{"GET", "/hub/home", Need{}, false}, {"GET", "/hub/token", Need{}, false}, {"POST", "/hub/spawn", Need{}, false},
		{"PUT", "/hub/api/users/alice/server", Need{}, false}, {"POST", "/hub/api/users", Need{}, false}, {"GET", "/hub/api/users/", Need{}, false},
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
	known := []access.Action{access.Version, access.ReadUsers, access.Servers, access.Tokens, access.DeleteUsers, access.ListUsers, access.ReadHub}
	for _, e := range contract.Endpoints() {
		if e.Scope != "" && !slices.Contains(known, access.Action(e.Scope)) {
			t.Errorf("%s needs the unknown scope %q", e.Pattern(), e.Scope)
		}
	}
}
