package revocation

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/test/locking"
)

// TestD9_OneUserTakesLittleRoom: a user logs in and out without end. The list keeps a bounded
// number of their sessions, all that ended stay over, the one in use goes on.
func TestD9_OneUserTakesLittleRoom(t *testing.T) {
	client := fake.NewClientset()
	s := synced(t, start(t, client))
	const logouts = 3 * perUser
	began := func(i int) time.Time { return now().Add(time.Duration(i) * time.Second) }
	for i := range logouts {
		one := Session{ID: fmt.Sprint(i), User: "mallory", Since: began(i), Until: began(i).Add(12 * time.Hour)}
		if err := s.RevokeSession(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	l := stored(t, client)
	if len(l.Sessions) != perUser || len(l.Users) != 1 || s.Unwritten() != 0 {
		t.Errorf("%d sessions and %d users are listed, %d wait to be written", len(l.Sessions), len(l.Users), s.Unwritten())
	}
	for i := range logouts {
		for _, list := range []List{l, *s.view.Load()} {
			if !list.Revoked(fmt.Sprint(i), "mallory", began(i)) {
				t.Fatalf("session %d lives on", i)
			}
		}
	}
	if l.Revoked("in use", "mallory", began(logouts)) || l.Revoked("hers", "alice", now().Add(-time.Hour)) {
		t.Error("another session ended too")
	}
}

// TestD9_ManyUsersFillTheList: more logouts of one lifetime than a Secret holds. Alice's is
// written all the same, and another replica knows it.
func TestD9_ManyUsersFillTheList(t *testing.T) {
	client := locking.NewClientset()
	a := synced(t, start(t, client))
	full := List{Sessions: map[string]Entry{}}
	for user := range 300 {
		for i := range perUser {
			full.Sessions[fmt.Sprintf("%022d", user*perUser+i)] = Entry{
				User: fmt.Sprintf("student-%03d", user), Since: now().UnixMilli(), Until: now().Add(12 * time.Hour).UnixMilli(),
			}
		}
	}
	if b, err := full.Encode(); err != nil || len(b) < maxBytes {
		t.Fatalf("negative control: the list has %d bytes (%v) and would fit", len(b), err)
	}
	if err := a.add(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	if err := a.RevokeSession(t.Context(), alices("hers")); err != nil {
		t.Errorf("alice's logout: %v", err)
	}
	b := synced(t, start(t, client))
	if !b.Revoked("hers", "alice", now().Add(-time.Hour)) || !b.Revoked(fmt.Sprintf("%022d", 7), "student-000", now()) {
		t.Error("a session lives on at a replica that starts now")
	}
}

// TestBoundKeepsTheNewest and turns the others into one epoch; what belongs to no user stays.
func TestBoundKeepsTheNewest(t *testing.T) {
	l := List{
		Sessions: map[string]Entry{
			"1": {"alice", 1, 100}, "2": {"alice", 2, 90}, "3": {"alice", 3, 80}, "b": {"bob", 1, 50}, "nobody's": {"", 0, 9},
		},
		Users: map[string]Epoch{"alice": {Before: 1, Until: 120}},
	}
	got := l.Bound(1)
	if len(got.Sessions) != 3 || got.Sessions["3"].Since != 3 || got.Users["alice"] != (Epoch{Before: 2, Until: 120}) || len(got.Users) != 1 {
		t.Errorf("%+v", got)
	}
	if !got.Covers(l) || l.Covers(got) {
		t.Error("a bounded list revokes as much and more")
	}
	if len(l.Sessions) != 5 || l.Users["alice"].Before != 1 {
		t.Error("the list itself was changed")
	}
	if same := l.Bound(3); len(same.Sessions) != 5 || same.Users["alice"].Before != 1 {
		t.Errorf("nothing was too many: %+v", same)
	}
}

// TestTheFirstFormIsStillRead: entries that an older replica wrote.
func TestTheFirstFormIsStillRead(t *testing.T) {
	l, err := Decode([]byte(`{"sessions":{"old":1763733600000,"new":{"user":"alice","since":1,"until":2}}}`))
	if err != nil || l.Sessions["old"].Until != 1763733600000 || l.Sessions["new"] != (Entry{"alice", 1, 2}) {
		t.Errorf("%+v %v", l, err)
	}
	if _, err := Decode([]byte(`{"sessions":{"x":"tomorrow"}}`)); err == nil {
		t.Error("nonsense was read")
	}
}
