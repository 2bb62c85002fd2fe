package access

import (
	"slices"
	"strings"
	"testing"
)

var (
	alice = User{Name: "alice"}
	root  = User{Name: "root", Admin: true}
)

type need struct {
	action Action
	target Target
}

// everyNeed is something that each scope may or may not be for, by a name for it.
func everyNeed() map[string]need {
	return map[string]need{
		"enter alice/":     {EnterServers, Target{User: "alice"}},
		"enter alice/x":    {EnterServers, Target{User: "alice", Server: "x"}},
		"enter bob/":       {EnterServers, Target{User: "bob"}},
		"start alice/":     {Servers, Target{User: "alice"}},
		"start alice/x":    {Servers, Target{User: "alice", Server: "x"}},
		"start bob/x":      {Servers, Target{User: "bob", Server: "x"}},
		"read alice":       {ReadUsers, Target{User: "alice", WholeUser: true}},
		"read bob":         {ReadUsers, Target{User: "bob", WholeUser: true}},
		"tokens of alice":  {Tokens, Target{User: "alice", WholeUser: true}},
		"tokens of bob":    {Tokens, Target{User: "bob", WholeUser: true}},
		"stop alice/":      {StopServers, Target{User: "alice"}},
		"stop alice/x":     {StopServers, Target{User: "alice", Server: "x"}},
		"stop bob/x":       {StopServers, Target{User: "bob", Server: "x"}},
		"watch alice/x":    {ReadServers, Target{User: "alice", Server: "x"}},
		"watch bob/x":      {ReadServers, Target{User: "bob", Server: "x"}},
		"report alice":     {ReportActivity, Target{User: "alice", WholeUser: true}},
		"report bob":       {ReportActivity, Target{User: "bob", WholeUser: true}},
		"list groups":      {ListGroups, Target{User: "alice", WholeUser: true}},
		"read a group":     {ReadGroups, Target{User: "alice", WholeUser: true}},
		"routes":           {Routes, Target{User: "alice", WholeUser: true}},
		"delete bob":       {DeleteUsers, Target{User: "bob", WholeUser: true}},
		"change users":     {AdminUsers, Target{User: "bob", WholeUser: true}},
		"something":        {"something", Target{User: "alice"}},
		"nothing at all":   {},
		"version":          {Version, Target{}},
		"list users":       {ListUsers, Target{}},
		"list users as me": {ListUsers, Target{User: "alice", WholeUser: true}}, // a path without a name
		"read the hub":     {ReadHub, Target{}},
		"read hub as me":   {ReadHub, Target{User: "alice", WholeUser: true}},
		"enter whole user": {EnterServers, Target{User: "alice", WholeUser: true}},
	}
}

// TestS12_Scopes: what each scope allows, and above all what it does not.
func TestS12_Scopes(t *testing.T) {
	needs := everyNeed()
	own := "enter alice/, enter alice/x, enter whole user, read alice, report alice, start alice/, start alice/x, stop alice/, stop alice/x, tokens of alice, watch alice/x"
	ofAll := "read alice, read bob, report alice, report bob, start alice/, start alice/x, start bob/x, stop alice/, stop alice/x, stop bob/x, watch alice/x, watch bob/x"
	for _, c := range []struct{ scope, covers string }{
		{"access:servers!server=alice/x", "enter alice/x"},
		{"access:servers!server=alice/", "enter alice/"},
		{"access:servers!user=alice", "enter alice/, enter alice/x, enter whole user"},
		{"servers!server=alice/x", "start alice/x, stop alice/x, watch alice/x"},
		{"servers!user=alice", "read alice, report alice, start alice/, start alice/x, stop alice/, stop alice/x, watch alice/x"},
		{"delete:servers!server=alice/x", "stop alice/x"},
		{"delete:servers!user=alice", "stop alice/, stop alice/x"},
		{"delete:servers", "stop alice/, stop alice/x, stop bob/x"},
		{"read:servers!server=alice/x", "watch alice/x"},
		{"read:servers!user=alice", "read alice, watch alice/x"},
		{"read:servers", "read alice, read bob, watch alice/x, watch bob/x"},
		{"read:users!user=alice", "read alice, watch alice/x"},
		{"read:users", "read alice, read bob, watch alice/x, watch bob/x"},
		{"read:users:activity!user=alice", "read alice, watch alice/x"},
		{"read:users:activity", "read alice, read bob, watch alice/x, watch bob/x"},
		{"users:activity!user=alice", "report alice"},
		{"users:activity", "report alice, report bob"},
		{"tokens!user=alice", "tokens of alice"},
		{"self", own},
		{"servers", ofAll},
		{"admin:servers", ofAll},
		{"admin:users", "change users, delete bob, list users, list users as me, read alice, read bob, report alice, report bob, watch alice/x, watch bob/x"},
		{"list:users", "list users, list users as me, read alice, read bob, watch alice/x, watch bob/x"},
		{"list:groups", "list groups, read a group"},
		{"read:groups", "read a group"},
		{"proxy", "routes"},
		{"read:hub", "read hub as me, read the hub"},
		{"proxy!user=alice", ""}, {"list:groups!group=x", ""}, {"read:groups!user=alice", ""}, {"tokens", ""}, {"users:activity!server=alice/x", ""},
		{"delete:servers!user=", ""}, {"delete:servers!server=alice", ""}, {"admin:servers!server=alice/x", ""}, {"delete:users", ""}, {"read:users!server=alice/x", ""},
		{"access:servers!user=ALICE", ""}, {"access:servers", ""}, {"access:servers!group=alice", ""}, {"servers!server=alice", ""},
		{"tokens!server=alice/x", ""}, {"everything", ""}, {"", ""}, {"servers!user=", ""}, {"self!user=alice", ""}, {"admin:users!user=bob", ""},
		{"list:users!user=alice", ""}, {"read:hub!user=alice", ""}, {"list:users!server=alice/", ""},
	} {
		var got []string
		for name, need := range needs {
			if need.action != Version && ByToken([]string{c.scope}).cover("alice", need.action, need.target) {
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
	none := ByToken(nil)
	if none.cover("alice", EnterServers, Target{User: "alice"}) || !none.cover("alice", Version, Target{}) {
		t.Error("no scopes")
	}
}

// TestS13_NeverMoreThanTheOwner: the owner's rights at this moment are the limit of any scope.
func TestS13_NeverMoreThanTheOwner(t *testing.T) {
	everything := []string{"inherit", "admin:servers", "admin:users", "servers!user=bob", "read:users!user=bob", "tokens!user=bob", "list:users", "read:hub"}
	for _, c := range []struct {
		owner User
		need  need
		want  bool
	}{
		{alice, need{Servers, Target{User: "alice"}}, true},
		{alice, need{Servers, Target{User: "bob"}}, false},
		{alice, need{ReadUsers, Target{User: "bob", WholeUser: true}}, false},
		{alice, need{Tokens, Target{User: "bob", WholeUser: true}}, false},
		{root, need{Servers, Target{User: "bob"}}, true},
		{root, need{ReadUsers, Target{User: "bob", WholeUser: true}}, true},
		{root, need{Tokens, Target{User: "root", WholeUser: true}}, true},
		{root, need{Tokens, Target{User: "bob", WholeUser: true}}, false}, // acting as bob
		{User{Name: "root"}, need{Servers, Target{User: "bob"}}, false},   // demoted since
		{root, need{ListUsers, Target{}}, true},
		{root, need{ReadHub, Target{}}, true},
		{alice, need{ListUsers, Target{}}, false},
		{alice, need{ListUsers, Target{User: "alice", WholeUser: true}}, false},
		{alice, need{ReadHub, Target{}}, false},
		{User{Admin: true}, need{ListUsers, Target{}}, false},
		{User{Admin: true}, need{Servers, Target{User: "bob"}}, false},
		{User{}, need{Servers, Target{}}, false},
		{alice, need{}, false},
	} {
		if got := May(c.owner, c.need.action, c.need.target, ByToken(everything)); got != c.want {
			t.Errorf("%+v %+v: %v", c.owner, c.need, got)
		}
	}
}

func TestParseScopes(t *testing.T) {
	got, err := ParseScopes(alice, []string{"servers!user", "access:servers!server=alice/x", "servers!user=alice", "tokens!user=a!user"})
	if err != nil || strings.Join(got, " ") != "access:servers!server=alice/x servers!user=alice tokens!user=a!user" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range [][]string{nil, {}, {""}, {"admin"}, {"servers"}, {"read:users"}, {"delete:servers"}, {"read:servers"}, {"users:activity"}, {"proxy"}, {"list:groups"}, {"read:groups"}, {"access:servers"}, {"admin:servers"}, {"self", "admin:users"}, {"list:users"}, {"read:hub"}, {"servers!user=../x"}, {"access:servers!server=a/b/c"}, make([]string, 31)} {
		if got, err := ParseScopes(alice, bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
	if _, err := ParseScopes(root, []string{"admin:servers", "admin:users", "list:users", "read:hub", "inherit"}); err != nil {
		t.Error(err)
	}
	// What jupyterhub-idle-culler's documentation asks for.
	if _, err := ParseScopes(root, []string{"list:users", "read:users:activity", "read:servers", "delete:servers"}); err != nil {
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
		{"servers!user=alice", "servers!server=alice/", false},
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
		{"list:users", "admin:users", false},
		{"list:users", "list:users", true},
		{"read:users!user=bob", "list:users", true},
		{"read:hub", "list:users", false},
		{"delete:servers!user=alice", "servers!user=alice", true},
		{"servers!user=alice", "delete:servers!user=alice", false},
		{"read:servers!user=alice", "read:users!user=alice", true},
		{"read:users:activity!user=alice", "read:users!user=alice", true},
		{"read:users!user=alice", "users:activity!user=alice", false},
		{"users:activity!user=alice", "servers!server=alice/x", false},
		{"delete:servers", "inherit", true},
		{"delete:servers", "admin:servers", false},
	} {
		if got := Narrower(alice, []string{c.asked}, []string{"tokens!user=alice", c.has}); got != c.want {
			t.Errorf("%s from %s: %v", c.asked, c.has, got)
		}
	}
}

// TestNumberOfScopes: as many as a token may have are taken, one more is refused.
func TestNumberOfScopes(t *testing.T) {
	asked := slices.Repeat([]string{"self"}, maxScopes)
	if _, err := ParseScopes(alice, asked); err != nil {
		t.Error(err)
	}
	if got, err := ParseScopes(alice, append(asked, "self")); err == nil {
		t.Errorf("one too many: %q", got)
	}
}

func FuzzParseScopes(f *testing.F) {
	for _, s := range []string{"access:servers!server=alice/x", "servers!user=alice", "self", "tokens!user=a=b!c", "!", "servers!server=/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kept, err := ParseScopes(alice, []string{text})
		if err != nil {
			return
		}
		// What is kept means the same when it is read again, and never an admin's scope.
		again, err := ParseScopes(alice, kept)
		if err != nil || !slices.Equal(kept, again) {
			t.Errorf("%q: %q, then %q %v", text, kept, again, err)
		}
		if !strings.Contains(kept[0], "!") && kept[0] != scopeSelf && kept[0] != scopeInherit {
			t.Errorf("%q", kept)
		}
	})
}
