package session

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/server/access"
)

func TestBoxOpensForItsUseOnly(t *testing.T) {
	oldSecret, newSecret := bytes.Repeat([]byte{1}, MinSecret), bytes.Repeat([]byte{2}, MinSecret)
	ring := func(secrets ...[]byte) *Ring {
		r, err := NewRing(secrets...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := ring(oldSecret)
	sealed, err := r.SealFor("a token", []byte("plain text"))
	if err != nil {
		t.Fatal(err)
	}
	for name, ring := range map[string]*Ring{"same ring": r, "rotated ring": ring(newSecret, oldSecret)} {
		if got, err := ring.OpenFor("a token", sealed); err != nil || string(got) != "plain text" {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	session, err := r.Seal(New(access.User{Name: "alice"}, "ldap", time.Now(), time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ring       *Ring
		use, value string
	}{
		"another use":      {r, "a state", sealed},
		"another key":      {ring(newSecret), "a token", sealed},
		"a session":        {r, "a token", session},
		"cut":              {r, "a token", sealed[:len(sealed)-2]},
		"nothing":          {r, "a token", ""},
		"another spelling": {r, "a token", sealed + "\n"},
	} {
		if got, err := c.ring.OpenFor(c.use, c.value); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s opens: %q %v", name, got, err)
		}
	}
	if _, err := r.Open(sealed, time.Now()); !errors.Is(err, ErrInvalid) {
		t.Errorf("a box opens as a session: %v", err)
	}
	if _, err := r.SealFor("a token", make([]byte, MaxBox+1)); err == nil {
		t.Error("no limit")
	}
}

// TestBoxHasALimit: what is as long as allowed is sealed, and not one byte more.
func TestBoxHasALimit(t *testing.T) {
	r := ring(t, secret(1))
	sealed, err := r.SealFor("a token", make([]byte, MaxBox))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.OpenFor("a token", sealed); err != nil || len(got) != MaxBox {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := r.SealFor("a token", make([]byte, MaxBox+1)); err == nil {
		t.Error("one byte too many is sealed")
	}
}
