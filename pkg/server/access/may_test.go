package access

import "testing"

func TestMay(t *testing.T) {
	bob := User{Name: "bob", Groups: []string{"admins", "alice"}}
	carol, nameless := User{Name: "carol", Admin: true}, User{Admin: true, Groups: []string{"admins"}}
	of := func(owner string) Target { return Target{User: owner, Server: "demo"} }
	for _, c := range []struct {
		name   string
		user   User
		action Action
		target Target
		want   bool
	}{
		{"owner enters", alice, EnterServers, of("alice"), true},
		{"administrator enters", carol, EnterServers, of("alice"), true},
		{"someone else, even with telling group names", bob, EnterServers, of("alice"), false},
		{"P8 another case", User{Name: "ALICE"}, EnterServers, of("alice"), false},
		{"P8 a longer name", User{Name: "alicex"}, EnterServers, of("alice"), false},
		{"P8 dotless i", User{Name: "al\u0131ce"}, EnterServers, of("alice"), false},
		{"no owner", alice, EnterServers, of(""), false},
		{"no owner, administrator", carol, EnterServers, of(""), false},
		{"no name into no owner's", User{}, EnterServers, of(""), false},
		{"administrator without a name", nameless, EnterServers, of("alice"), false},
		{"pages", alice, Pages, Target{}, true},
		{"pages without a name", nameless, Pages, Target{}, false},
		{"version", alice, Version, Target{}, true},
		{"start one's own", alice, Servers, of("alice"), true},
		{"start another's", alice, Servers, of("bob"), false},
		{"administrator starts another's", carol, Servers, of("bob"), true},
		{"read another", alice, ReadUsers, Target{User: "bob"}, false},
		{"administrator reads another", carol, ReadUsers, Target{User: "bob"}, true},
		{"administrator, logged in, lists another's tokens", carol, Tokens, Target{User: "bob"}, true},
		{"another's tokens", alice, Tokens, Target{User: "bob"}, false},
		{"S13 administrator makes a token for another", carol, MakeTokens, Target{User: "bob"}, false},
		{"make one's own token", alice, MakeTokens, Target{User: "alice"}, true},
		{"end one's own sessions", alice, EndSessions, Target{User: "alice"}, true},
		{"end another's sessions", alice, EndSessions, Target{User: "bob"}, false},
		{"administrator ends another's sessions", carol, EndSessions, Target{User: "bob"}, true},
		{"list users", alice, ListUsers, Target{}, false},
		{"list users, of oneself", alice, ListUsers, Target{User: "alice", WholeUser: true}, false},
		{"administrator lists users", carol, ListUsers, Target{}, true},
		{"read the hub", alice, ReadHub, Target{}, false},
		{"administrator reads the hub", carol, ReadHub, Target{}, true},
		{"stop one's own", alice, StopServers, of("alice"), true},
		{"stop another's", alice, StopServers, of("bob"), false},
		{"administrator stops another's", carol, StopServers, of("bob"), true},
		{"watch another's", alice, ReadServers, of("bob"), false},
		{"say that another is active", alice, ReportActivity, of("bob"), false},
		{"groups", alice, ListGroups, Target{}, false},
		{"a group of one's own", bob, ReadGroups, Target{User: "bob"}, false},
		{"administrator lists groups", carol, ListGroups, Target{}, true},
		{"administrator reads a group", carol, ReadGroups, Target{}, true},
		{"routes", alice, Routes, Target{}, false},
		{"administrator reads routes", carol, Routes, Target{}, true},
		{"change oneself", alice, AdminUsers, Target{User: "alice"}, false},
		{"unknown action", alice, "fly", of("alice"), false},
		{"unknown action, administrator", carol, "fly", of("carol"), false},
		{"no action", alice, "", of("alice"), false},
	} {
		if got := May(c.user, c.action, c.target, BySession()); got != c.want {
			t.Errorf("%s: May = %v, want %v", c.name, got, c.want)
		}
		if May(c.user, c.action, c.target, Grants{}) && c.action != Version {
			t.Errorf("%s: the zero Grants let it happen", c.name)
		}
	}
}

// TestS12_TokensAreForNoPages: no token opens a page or ends a session, whatever its scopes are.
func TestS12_TokensAreForNoPages(t *testing.T) {
	all := ByToken([]string{"inherit", "self", "admin:servers", "admin:users"})
	for _, action := range []Action{Pages, EndSessions} {
		if May(root, action, Target{User: "root"}, all) {
			t.Errorf("a token is good for %s", action)
		}
		if !May(root, action, Target{User: "root"}, BySession()) {
			t.Errorf("negative control: a session is not good for %s", action)
		}
	}
}

func FuzzMay(f *testing.F) {
	f.Add("alice", "alice", false, "access:servers")
	f.Add("bob", "alice", true, "pages")
	f.Fuzz(func(t *testing.T, name, owner string, admin bool, action string) {
		if !May(User{Name: name, Admin: admin}, Action(action), Target{User: owner}, BySession()) {
			return
		}
		general := Action(action) == Pages || Action(action) == Version || admin && Action(action).General()
		if name == "" || !general && (owner == "" || !admin && name != owner) || Action(action) == MakeTokens && name != owner {
			t.Fatalf("%q (admin %v) may %q to %q", name, admin, action, owner)
		}
	})
}
