package tokens

import (
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/server/access"
)

var (
	alice = access.User{Name: "alice"}
	root  = access.User{Name: "root", Admin: true}
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

// TestS12_Scopes: what each scope is good for, and above all what it is not.
func TestS12_Scopes(t *testing.T) {
	needs := map[string]Need{
		"enter alice/":     {Action: Access, User: "alice"},
		"enter alice/x":    {Action: Access, User: "alice", Server: "x"},
		"enter bob/":       {Action: Access, User: "bob"},
		"start alice/":     {Action: Servers, User: "alice"},
		"start alice/x":    {Action: Servers, User: "alice", Server: "x"},
		"start bob/x":      {Action: Servers, User: "bob", Server: "x"},
		"read alice":       {Action: ReadUsers, User: "alice", WholeUser: true},
		"read bob":         {Action: ReadUsers, User: "bob", WholeUser: true},
		"tokens of alice":  {Action: Tokens, User: "alice", WholeUser: true},
		"tokens of bob":    {Action: Tokens, User: "bob", WholeUser: true},
		"something":        {Action: "something", User: "alice"},
		"nothing at all":   {},
		"version":          {Action: Version},
		"enter whole user": {Action: Access, User: "alice", WholeUser: true},
	}
	own := "enter alice/, enter alice/x, enter whole user, read alice, start alice/, start alice/x, tokens of alice"
	for _, c := range []struct{ scope, covers string }{
		{"access:servers!server=alice/x", "enter alice/x"},
		{"access:servers!server=alice/", "enter alice/"},
		{"access:servers!user=alice", "enter alice/, enter alice/x, enter whole user"},
		{"servers!server=alice/x", "start alice/x"},
		{"servers!user=alice", "read alice, start alice/, start alice/x"},
		{"read:users!user=alice", "read alice"},
		{"tokens!user=alice", "tokens of alice"},
		{"self", own},
		{"admin:servers", "read alice, read bob, start alice/, start alice/x, start bob/x"},
		{"admin:users", "read alice, read bob"},
		{"access:servers!user=ALICE", ""}, {"access:servers", ""}, {"access:servers!group=alice", ""}, {"servers!server=alice", ""},
		{"tokens!server=alice/x", ""}, {"everything", ""}, {"", ""}, {"servers!user=", ""}, {"self!user=alice", ""}, {"admin:users!user=bob", ""},
	} {
		var got []string
		for name, need := range needs {
			if need.Action != Version && Cover("alice", []string{c.scope}, need) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		want := strings.Split(c.covers, ", ")
		slices.Sort(want)
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%q covers %v, want %v", c.scope, got, want)
		}
	}
	if Cover("alice", nil, needs["enter alice/"]) || !Cover("alice", nil, needs["version"]) {
		t.Error("no scopes")
	}
}

// TestS13_NeverMoreThanTheOwner: whatever the scopes say, the owner's rights at this
// moment are the limit.
func TestS13_NeverMoreThanTheOwner(t *testing.T) {
	everything := []string{"inherit", "admin:servers", "admin:users", "servers!user=bob", "read:users!user=bob", "tokens!user=bob"}
	for _, c := range []struct {
		owner access.User
		need  Need
		want  bool
	}{
		{alice, Need{Action: Servers, User: "alice"}, true},
		{alice, Need{Action: Servers, User: "bob"}, false},
		{alice, Need{Action: ReadUsers, User: "bob", WholeUser: true}, false},
		{alice, Need{Action: Tokens, User: "bob", WholeUser: true}, false},
		{root, Need{Action: Servers, User: "bob"}, true},
		{root, Need{Action: ReadUsers, User: "bob", WholeUser: true}, true},
		{root, Need{Action: Tokens, User: "root", WholeUser: true}, true},
		{root, Need{Action: Tokens, User: "bob", WholeUser: true}, false},      // acting as bob
		{access.User{Name: "root"}, Need{Action: Servers, User: "bob"}, false}, // demoted since
		{access.User{Admin: true}, Need{Action: Servers, User: "bob"}, false},
		{access.User{}, Need{Action: Servers}, false},
		{alice, Need{}, false},
	} {
		if got := Allow(c.owner, everything, c.need); got != c.want {
			t.Errorf("%+v %+v: %v", c.owner, c.need, got)
		}
	}
}

func TestParseScopes(t *testing.T) {
	got, err := Parse(alice, []string{"servers!user", "access:servers!server=alice/x", "servers!user=alice", "tokens!user=a!user"})
	if err != nil || strings.Join(got, " ") != "access:servers!server=alice/x servers!user=alice tokens!user=a!user" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range [][]string{nil, {}, {""}, {"admin"}, {"servers"}, {"admin:servers"}, {"self", "admin:users"}, {"servers!user=../x"}, {"access:servers!server=a/b/c"}, make([]string, 31)} {
		if got, err := Parse(alice, bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
	if _, err := Parse(root, []string{"admin:servers", "admin:users", "inherit"}); err != nil {
		t.Error(err)
	}
}

// TestS13_TokensMakeNoStrongerTokens: a token that may make tokens must not make one
// that may do more than itself.
func TestS13_TokensMakeNoStrongerTokens(t *testing.T) {
	for _, c := range []struct {
		asked, has string
		want       bool
	}{
		{"servers!server=alice/x", "servers!user=alice", true},
		{"servers!user=alice", "servers!server=alice/x", false},
		{"access:servers!server=alice/x", "servers!user=alice", false},
		{"read:users!user=alice", "servers!user=alice", true},
		{"tokens!user=alice", "tokens!user=alice", true},
		{"self", "tokens!user=alice", false},
		{"inherit", "self", false},
		{"self", "self", true},
		{"self", "inherit", true},
		{"access:servers!user=alice", "self", true},
		{"access:servers!user=bob", "self", false},
		{"admin:servers", "self", false},
		{"admin:servers", "admin:servers", true},
		{"nonsense", "inherit", false},
	} {
		if got := Narrower(alice, []string{c.asked}, []string{"tokens!user=alice", c.has}); got != c.want {
			t.Errorf("%s from %s: %v", c.asked, c.has, got)
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
		{"GET", "/hub/api", Need{Action: Version, User: "me"}, true},
		{"GET", "/hub/api/user?x=/hub/api", Need{Action: ReadUsers, User: "me", WholeUser: true}, true},
		{"GET", "/hub/api/users/alice", Need{Action: ReadUsers, User: "alice", WholeUser: true}, true},
		{"HEAD", "/hub/api/users/alice", Need{Action: ReadUsers, User: "alice", WholeUser: true}, true},
		{"GET", "/hub/api/users/b%20ob", Need{Action: ReadUsers, User: "b ob", WholeUser: true}, true},
		{"POST", "/hub/api/users/alice/server", Need{Action: Servers, User: "alice"}, true},
		{"DELETE", "/hub/api/users/alice/servers/x", Need{Action: Servers, User: "alice", Server: "x"}, true},
		{"GET", "/hub/api/users/alice/servers/x/progress", Need{Action: Servers, User: "alice", Server: "x"}, true},
		{"POST", "/hub/api/users/alice/tokens", Need{Action: Tokens, User: "alice", WholeUser: true}, true},
		{"DELETE", "/hub/api/users/alice/tokens/t1", Need{Action: Tokens, User: "alice", WholeUser: true}, true},
		// What is not in the table, or is not spelt as the services read it.
		{"GET", "/hub/home", Need{}, false}, {"GET", "/hub/token", Need{}, false}, {"POST", "/hub/spawn", Need{}, false},
		{"PUT", "/hub/api/users/alice/server", Need{}, false}, {"GET", "/hub/api/users", Need{}, false},
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
	for _, pattern := range rules.Patterns() {
		if !strings.Contains(pattern, " /hub/api") {
			t.Errorf("%s is no path of the API", pattern)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"access:servers!server=alice/x", "servers!user=alice", "self", "tokens!user=a=b!c", "!", "servers!server=/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kept, err := Parse(alice, []string{text})
		if err != nil {
			return
		}
		// What is kept means the same when it is read again, and never an admin's scope.
		again, err := Parse(alice, kept)
		if err != nil || !slices.Equal(kept, again) {
			t.Errorf("%q: %q, then %q %v", text, kept, again, err)
		}
		if strings.HasPrefix(kept[0], "admin:") {
			t.Errorf("%q", kept)
		}
	})
}
