package handoff

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/keys"
)

const nonce = "0123456789012345678901"

func fixture(t testing.TB) (*session.Ring, origin.Site, session.Session) {
	t.Helper()
	ring := keys.Sessions(t)
	site, err := origin.Parse("https://hub.test", nil)
	if err == nil {
		site, err = site.WithUserDomain("people.test")
	}
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1_700_000_000_123)
	return ring, site, session.New(access.User{Name: "carol", DisplayName: "Carol <3", Admin: true}, "ldap", now, time.Hour)
}

func TestWishes(t *testing.T) {
	_, site, _ := fixture(t)
	for _, c := range []struct{ owner, path, want string }{
		{"alice", "/user/alice/lab?x=%2F&y", "/user/alice/lab?x=%2F&y"},
		{"a@b c", "/user/a%40b%20c/x", "/user/a%40b%20c/x"},
		{"alice", "//evil.test", "/user/alice/"},
		{"alice", "/user/bob/lab", "/user/alice/"},
		{"alice", "/hub/logout", "/user/alice/"},
		{"a+b", "", "/user/a%2Bb/"},
	} {
		w := NewReturnTo(c.owner, c.path, nonce)
		got, ok := Parse(site, w.URL(site))
		if !ok || got != w || got.Path != c.want {
			t.Errorf("%q: %+v, %v; want the path %s", c.path, got, ok, c.want)
		}
		if strings.Contains(w.URL(site), nonce) {
			t.Error("the nonce is in the address")
		}
	}
	one, err := origin.Parse("https://hub.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if w, ok := Parse(one, NewReturnTo("alice", "/user/alice/", nonce).URL(site)); ok {
		t.Errorf("with one host for all: %+v", w)
	}
}

// U1-U3: what is accepted is exactly what URL writes, whatever else is tried.
func FuzzU1_U3_OnlyOurWishesAreAccepted(f *testing.F) {
	_, site, _ := fixture(f)
	good := NewReturnTo("alice", "/user/alice/lab", nonce).URL(site)
	f.Add(good)
	f.Add(strings.Replace(good, "alice.people.test", "evil.test", 1))
	f.Add(strings.Replace(good, "https://", "https://evil.test\\@", 1))
	f.Fuzz(func(t *testing.T, next string) {
		w, ok := Parse(site, next)
		if !ok {
			return
		}
		if !strings.HasPrefix(next, site.UserBaseURL(w.Owner)+"/user/") || w.URL(site) != next {
			t.Errorf("accepted %q as %+v", next, w)
		}
		if again := NewReturnTo(w.Owner, w.Path, nonce); again.Path != w.Path {
			t.Errorf("the path %q is not %q's", w.Path, w.Owner)
		}
	})
}

func TestO2_CodesAreBound(t *testing.T) {
	ring, site, s := fixture(t)
	now := s.Since
	code := func() string {
		location, err := Answer(ring, site, NewReturnTo("alice", "/user/alice/lab", nonce), s, now)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(location)
		if err != nil || u.Host != "alice.people.test" || u.Path != "/user/alice/oauth_callback" {
			t.Fatalf("%s, %v", location, err)
		}
		return u.Query().Get("code")
	}
	cookie, err := ring.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ring.SealFor("oidc refresh token", []byte(`{"owner":"alice","jti":"x","sid":"y"}`))
	if err != nil {
		t.Fatal(err)
	}
	redeemer := NewRedeemer(ring)
	for name, c := range map[string]struct {
		code, owner, nonce string
		at                 time.Time
		want               error
	}{
		"another owner":         {code(), "bob", nonce, now, ErrForeign},
		"a session":             {cookie, "alice", nonce, now, ErrForeign},
		"sealed for other uses": {other, "alice", nonce, now, ErrForeign},
		"nothing":               {"", "alice", nonce, now, ErrForeign},
		"another browser":       {code(), "alice", nonce[1:] + "x", now, ErrSpent},
		"no nonce":              {code(), "alice", "", now, ErrSpent},
		"too late":              {code(), "alice", nonce, now.Add(31 * time.Second), ErrSpent},
		"from the future":       {code(), "alice", nonce, now.Add(-31 * time.Second), ErrSpent},
		"in time":               {code(), "alice", nonce, now.Add(30 * time.Second), nil},
	} {
		if _, _, err := redeemer.Redeem(c.code, c.owner, c.nonce, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	once := code()
	got, path, err := redeemer.Redeem(once, "alice", nonce, now)
	if err != nil || path != "/user/alice/lab" || got.User.Name != s.User.Name || got.User.DisplayName != s.User.DisplayName || !got.User.Admin ||
		got.ID != s.ID || !got.Since.Equal(s.Since) || !got.Expires.Equal(s.Expires) {
		t.Errorf("%+v %s, %v", got, path, err)
	}
	if _, path, err := redeemer.Redeem(once, "alice", nonce, now); !errors.Is(err, ErrSpent) || path != "/user/alice/lab" {
		t.Errorf("a second time: %s, %v", path, err)
	}
}

// TestOneUserDoesNotKeepOthersOut: a user redeems codes without end. They are refused for a
// while; another user gets to her server.
func TestOneUserDoesNotKeepOthersOut(t *testing.T) {
	ring, site, s := fixture(t)
	redeemer, now := NewRedeemer(ring), s.Since
	redeem := func(user string, at time.Time) error {
		who := s
		who.User.Name = user
		location, err := Answer(ring, site, NewReturnTo(user, "/user/"+user+"/lab", nonce), who, at)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = redeemer.Redeem(u.Query().Get("code"), user, nonce, at)
		return err
	}
	for i := range perUser {
		if err := redeem("mallory", now); err != nil {
			t.Fatalf("code %d: %v", i, err)
		}
	}
	if err := redeem("mallory", now); !errors.Is(err, ErrSpent) {
		t.Errorf("mallory has no bound: %v", err)
	}
	if err := redeem("alice", now); err != nil {
		t.Errorf("alice cannot reach her server: %v", err)
	}
	if err := redeem("mallory", now.Add(2*lifetime)); err != nil {
		t.Errorf("mallory is refused for ever: %v", err)
	}
}
