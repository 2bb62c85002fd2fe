package account

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/test/locking"
)

// entryOf is what a directory shows of an entry with that id and name.
func entryOf(id, name string) []identity.Link {
	return []identity.Link{identity.Entry("entryUUID", id), identity.Named(name)}
}

// TestL9_AReusedNameOpensNothing: the directory gives the name of a user who left, or who was
// renamed, to another person.
func TestL9_AReusedNameOpensNothing(t *testing.T) {
	s := replica(t, locking.NewClientset())
	for _, c := range []struct {
		what  string
		shown []identity.Link
		name  string
		err   error
	}{
		{"the first login", entryOf("1", "alice"), "alice", nil},
		{"again", entryOf("1", "alice"), "alice", nil},
		{"another person of that name", entryOf("2", "alice"), "", ErrReused},
		{"a person without an id", entryOf("2", "alice")[1:], "", ErrReused},
		{"the user is renamed and keeps the name here", entryOf("1", "alicia"), "alice", nil},
		{"another person of the old name", entryOf("2", "alice"), "", ErrReused},
		{"another person of the new name gets an account of that name", entryOf("3", "alicia"), "alicia", nil},
		{"the user under a name that is another's here", entryOf("1", "alicia"), "alice", nil},
		{"a provider's alice", []identity.Link{{Issuer: "https://idp.test", Subject: "1"}}, "", ErrTaken},
	} {
		wanted := "alice"
		if c.shown[len(c.shown)-1] == identity.Named("alicia") {
			wanted = "alicia"
		}
		name, err := s.Claim(t.Context(), c.shown, wanted, nothing)
		if name != c.name || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", c.what, name, err)
		}
		if reused := errors.Is(err, ErrReused); reused != (c.err == ErrReused) || reused && !strings.Contains(err.Error(), "kept for ldap:entryuuid 1") {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// TestL9_AnAccountFromBeforeTakesTheID: accounts were tied to the name. The first login
// after that ties one to the id, and then the name alone is worth nothing.
func TestL9_AnAccountFromBeforeTakesTheID(t *testing.T) {
	client := locking.NewClientset()
	s := replica(t, client)
	update(t, s, "alice", func(a *Account) {
		a.Links = []identity.Link{identity.Named("alice")}
		a.Sessions = []Session{{ID: "old", Since: now().Add(-time.Hour), LastSeen: now(), Expires: now().Add(time.Hour)}}
		a.Tokens = []Token{{ID: "t", Hash: "h", Expires: now().Add(time.Hour)}}
	})
	// A replica that has seen nothing yet finds the account by the name's label.
	for _, replica := range []*Store{New(client, settings()), s} {
		if name, err := replica.Claim(t.Context(), entryOf("1", "alice"), "alice", nothing); err != nil || name != "alice" {
			t.Fatalf("%q, %v", name, err)
		}
	}
	a, _, err := s.Load(t.Context(), "alice")
	if err != nil || !slices.Equal(a.Links, entryOf("1", "alice")[:1]) || len(a.Sessions) != 1 || len(a.Tokens) != 1 || a.Foreign("old", a.Sessions[0].Since) {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := s.Claim(t.Context(), entryOf("2", "alice"), "alice", nothing); !errors.Is(err, ErrReused) {
		t.Errorf("%v", err)
	}
	// Where entries have no id, names are all there is.
	update(t, s, "bob", func(a *Account) { a.Links = []identity.Link{identity.Named("bob")} })
	if name, err := s.Claim(t.Context(), []identity.Link{identity.Named("bob")}, "bob", nothing); err != nil || name != "bob" {
		t.Errorf("%q, %v", name, err)
	}
}

func TestL9_Recognise(t *testing.T) {
	for name, c := range map[string]struct{ known, shown, want []identity.Link }{
		"takes the id":                     {entryOf("1", "alice")[1:], entryOf("1", "alice"), entryOf("1", "alice")[:1]},
		"another person's changes nothing": {entryOf("1", "alice")[:1], entryOf("2", "alice"), entryOf("1", "alice")[:1]},
		"nothing new":                      {entryOf("1", "alice")[:1], nil, entryOf("1", "alice")[:1]},
	} {
		a := Account{Links: c.known}
		if a.Recognise(c.shown); !slices.Equal(a.Links, c.want) {
			t.Errorf("%s: %v", name, a.Links)
		}
	}
}

func TestL9_ForeignSessions(t *testing.T) {
	a := Account{Since: now(), Sessions: []Session{{ID: "recorded", Since: now().Add(-time.Millisecond)}}}
	for _, c := range []struct {
		id      string
		since   time.Time
		foreign bool
	}{
		{"of the owner before", now().Add(-time.Millisecond), true},
		{"recorded", now().Add(-time.Millisecond), false}, // the very login that claimed the name
		{"not recorded yet", now(), false},
	} {
		if a.Foreign(c.id, c.since) != c.foreign {
			t.Errorf("%s", c.id)
		}
	}
	if (Account{}).Foreign("s", time.Unix(1, 0)) {
		t.Error("an account from before this was recorded ends sessions")
	}
}
