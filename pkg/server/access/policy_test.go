package access

import (
	"testing"
)

func TestDecide(t *testing.T) {
	alice, bob := User{Name: "alice"}, User{Name: "bob", Groups: []string{"admins", "alice"}}
	carol, nobody := User{Name: "carol", Admin: true}, User{Admin: true, Groups: []string{"admins"}}
	server := func(owner string) Request { return Request{Kind: Server, Owner: owner, Server: "demo"} }
	for _, c := range []struct {
		name string
		user User
		req  Request
		want Decision
	}{
		{"owner", alice, server("alice"), Enter},
		{"administrator", carol, server("alice"), Enter},
		{"someone else, even with telling group names", bob, server("alice"), Forbid},
		{"P8 another case", User{Name: "ALICE"}, server("alice"), Forbid},
		{"P8 a longer name", User{Name: "alicex"}, server("alice"), Forbid},
		{"P8 dotless i", User{Name: "al\u0131ce"}, server("alice"), Forbid},
		{"no owner", alice, server(""), Forbid},
		{"no owner, administrator", carol, server(""), Forbid},
		{"nobody into nobody's", User{}, server(""), Forbid},
		{"administrator without a name", nobody, server("alice"), Forbid},
		{"hub", alice, Request{Kind: Hub}, Enter},
		{"hub without a name", nobody, Request{Kind: Hub}, Forbid},
		{"unknown kind", alice, Request{Owner: "alice"}, Forbid},
		{"unknown kind, administrator", carol, Request{Kind: 77, Owner: "carol"}, Forbid},
	} {
		if got := Decide(c.user, c.req); got != c.want {
			t.Errorf("%s: Decide = %v, want %v", c.name, got, c.want)
		}
	}
	if Decision(0) != Forbid {
		t.Error("the zero decision must forbid")
	}
}

func FuzzDecide(f *testing.F) {
	f.Add("alice", "alice", false, 1)
	f.Add("bob", "alice", true, 2)
	f.Fuzz(func(t *testing.T, name, owner string, admin bool, kind int) {
		got := Decide(User{Name: name, Admin: admin}, Request{Kind: Kind(kind), Owner: owner})
		if got == Enter && (name == "" || Kind(kind) == Server && (owner == "" || !admin && name != owner) || Kind(kind) != Server && Kind(kind) != Hub) {
			t.Fatalf("%q (admin %v) enters kind %d of %q", name, admin, kind, owner)
		}
	})
}
