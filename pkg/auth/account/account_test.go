package account

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const idle = 2 * time.Hour

func open(id string, seen time.Duration) Session {
	return Session{ID: id, Since: now().Add(-seen), Expires: now().Add(time.Hour), LastSeen: now().Add(-seen)}
}

func ids(sessions []Session) string {
	var all []string
	for _, s := range sessions {
		all = append(all, s.ID)
	}
	return strings.Join(all, " ")
}

func TestSessionIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		expires, seen time.Duration // from now, before now
		want          bool
	}{
		"in use":                  {time.Hour, 0, false},
		"almost idle":             {time.Hour, idle - 1, false},
		"idle":                    {time.Hour, idle, true},
		"its last moment":         {1, 0, false},
		"its time is up":          {0, 0, true},
		"seen by a clock ahead":   {time.Hour, -time.Minute, false},
		"long over and in use":    {-time.Hour, 0, true},
		"recorded without a time": {time.Hour, 100 * 365 * 24 * time.Hour, true},
	} {
		s := Session{Expires: now().Add(c.expires), LastSeen: now().Add(-c.seen)}
		if s.Over(now(), idle) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}

// TestD9_OldestSessionGivesWay: a script that logs in again and again fills no Secret,
// and the sessions that fell out are named so that they can be revoked.
func TestD9_OldestSessionGivesWay(t *testing.T) {
	var a Account
	for i := range MaxSessions {
		if out := a.AddSession(open(fmt.Sprint(i), time.Duration(MaxSessions-i)*time.Minute), now(), idle); len(out) != 0 {
			t.Fatalf("%v fell out of %d", out, i)
		}
	}
	a.Touch("0", now()) // being used does not help: what began first ends first
	if out := a.AddSession(open("new", 0), now(), idle); ids(out) != "0" {
		t.Errorf("%s fell out; 0 began first", ids(out))
	}
	// A replica whose clock is behind writes the newest session with the oldest time.
	if out := a.AddSession(open("late", time.Hour), now(), idle); ids(out) != "1" {
		t.Errorf("%s fell out", ids(out))
	}
	if _, ok := a.Session("late"); !ok || len(a.Sessions) != MaxSessions {
		t.Errorf("%d sessions, the newest is kept: %v", len(a.Sessions), ok)
	}
	// The same session recorded twice takes one place.
	if out := a.AddSession(open("late", 0), now(), idle); len(out) != 0 || len(a.Sessions) != MaxSessions {
		t.Errorf("%s fell out", ids(out))
	}
}

func TestSessionsThatAreOverMakeRoomFirst(t *testing.T) {
	a := Account{Sessions: []Session{open("idle", 3*time.Hour), open("used", time.Minute)}}
	if out := a.AddSession(open("new", 0), now(), idle); len(out) != 0 || ids(a.Sessions) != "used new" {
		t.Errorf("%s, out: %s", ids(a.Sessions), ids(out))
	}
}

func TestChangesDoNotReachOtherHolders(t *testing.T) {
	held := Account{Sessions: []Session{open("a", time.Hour), open("b", time.Hour)}, Tokens: []Token{{ID: "1", Expires: now().Add(time.Hour)}, {ID: "2", Expires: now().Add(time.Hour)}}}
	a := held
	a.Touch("a", now())
	a.EndSession("a")
	a.TouchToken("1", now())
	a.RemoveToken("1")
	a.AddSession(open("c", 0), now(), idle)
	a.Forget(now(), idle)
	if ids(held.Sessions) != "a b" || held.Sessions[0].LastSeen.Equal(now()) || held.Tokens[0].ID != "1" || !held.Tokens[0].LastUsed.IsZero() {
		t.Errorf("a change reached another holder: %+v", held)
	}
}

func TestTouchNeverGoesBack(t *testing.T) {
	a := Account{Sessions: []Session{open("a", 0)}, Tokens: []Token{{ID: "1", LastUsed: now()}}}
	if a.Touch("a", now().Add(-time.Minute)) || a.Touch("nobody", now()) || a.TouchToken("1", now().Add(-time.Minute)) || a.TouchToken("2", now()) {
		t.Error("an older moment was taken")
	}
	if !a.Touch("a", now().Add(time.Minute)) || !a.TouchToken("1", now().Add(time.Minute)) {
		t.Error("a newer moment was not taken")
	}
}

func TestTokensAreBounded(t *testing.T) {
	var a Account
	for i := range MaxTokens {
		if err := a.AddToken(Token{ID: fmt.Sprint(i), Expires: now().Add(time.Hour)}, now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.AddToken(Token{ID: "more", Expires: now().Add(time.Hour)}, now()); err == nil {
		t.Error("no bound")
	}
	// Expired ones make room.
	if err := a.AddToken(Token{ID: "later", Expires: now().Add(3 * time.Hour)}, now().Add(2*time.Hour)); err != nil || len(a.Tokens) != 1 {
		t.Errorf("%v, %d tokens", err, len(a.Tokens))
	}
}

func TestTextIsCapped(t *testing.T) {
	var a Account
	long := strings.Repeat("ä", 500)
	a.AddSession(Session{ID: "s", Expires: now().Add(time.Hour), LastSeen: now(), Agent: long, Address: "\xff"}, now(), idle)
	if err := a.AddToken(Token{ID: "t", Note: long, Expires: now().Add(time.Hour)}, now()); err != nil {
		t.Fatal(err)
	}
	if s := a.Sessions[0]; len(s.Agent) != maxAgent || s.Address != "" || len(a.Tokens[0].Note) != maxNote {
		t.Errorf("%d, %q, %d", len(s.Agent), s.Address, len(a.Tokens[0].Note))
	}
}
