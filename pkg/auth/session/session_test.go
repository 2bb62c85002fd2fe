package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/perijove/perijove/pkg/server/access"
)

func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, MinSecret) }

func ring(t testing.TB, secrets ...[]byte) *Ring {
	t.Helper()
	r, err := NewRing(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func alice() Session {
	return New(access.User{Name: "alice", DisplayName: "Alice Ångström", Groups: []string{"students"}, Admin: true}, "ldap", now(), 12*time.Hour)
}

func seal(t testing.TB, r *Ring, s Session) string {
	t.Helper()
	v, err := r.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRoundTrip(t *testing.T) {
	r, s := ring(t, secret(1)), alice()
	got, err := r.Open(seal(t, r, s), now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got, cmpopts.IgnoreUnexported(Session{}), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
	if len(got.User.Groups) != 0 {
		t.Error("groups must not travel in the cookie")
	}
}

func TestS1_EveryLoginHasItsOwnID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := alice()
		if len(s.ID) != 22 || seen[s.ID] {
			t.Fatalf("session id %q is short or repeated", s.ID)
		}
		seen[s.ID] = true
	}
}

func TestS2_AnyAlteredByteIsRefused(t *testing.T) {
	r := ring(t, secret(1))
	value := seal(t, r, alice())
	for i := range len(value) {
		for _, c := range alterations(value, i) {
			if c == value[i] {
				continue
			}
			altered := value[:i] + string(rune(c)) + value[i+1:]
			if _, err := r.Open(altered, now()); err != ErrInvalid { //nolint:errorlint // one error shape is the promise
				t.Fatalf("byte %d changed from %q to %q: %v", i, value[i], c, err)
			}
		}
	}
	for i := range len(value) {
		if _, err := r.Open(value[:i], now()); err != ErrInvalid { //nolint:errorlint // as above
			t.Fatalf("truncated to %d bytes: %v", i, err)
		}
	}
	// Negative control: the unaltered value opens.
	if _, err := r.Open(value, now()); err != nil {
		t.Fatal(err)
	}
}

func TestS2_PartsOfTwoCookiesDoNotMix(t *testing.T) {
	r := ring(t, secret(1))
	a, b := strings.Split(seal(t, r, alice()), "."), strings.Split(seal(t, r, alice()), ".")
	for i := 2; i < 5; i++ {
		mixed := append([]string{}, a...)
		mixed[i] = b[i]
		if _, err := r.Open(strings.Join(mixed, "."), now()); !errors.Is(err, ErrInvalid) {
			t.Errorf("part %d of another cookie was accepted: %v", i, err)
		}
	}
}

func TestS3_Expiry(t *testing.T) {
	r, s := ring(t, secret(1)), alice()
	value := seal(t, r, s)
	for after, ok := range map[time.Duration]bool{0: true, 12*time.Hour - time.Second: true, 12 * time.Hour: false, 13 * time.Hour: false} {
		if _, err := r.Open(value, now().Add(after)); (err == nil) != ok {
			t.Errorf("%v after login: %v", after, err)
		}
	}
	s.Expires = time.Unix(s.Expires.UnixMilli(), 0) // milliseconds taken for seconds
	if _, err := r.Open(seal(t, r, s), now()); !errors.Is(err, ErrInvalid) {
		t.Errorf("an end in the wrong unit was accepted: %v", err)
	}
}

func TestOtherPurposesDoNotOpen(t *testing.T) {
	r := ring(t, secret(1))
	k := r.first()
	for name, c := range map[string]struct {
		typ    jose.ContentType
		claims claims
		ok     bool
	}{
		"negative control": {headerType, claims{audience, "a", "", false, "sid", now().UnixMilli(), now().Unix() + 60, "ldap"}, true},
		"other type":       {"perijove-other", claims{audience, "a", "", false, "sid", now().UnixMilli(), now().Unix() + 60, "ldap"}, false},
		"other audience":   {headerType, claims{"else", "a", "", false, "sid", now().UnixMilli(), now().Unix() + 60, "ldap"}, false},
		"no subject":       {headerType, claims{audience, "", "", false, "sid", now().UnixMilli(), now().Unix() + 60, "ldap"}, false},
		"no id":            {headerType, claims{audience, "a", "", false, "", now().UnixMilli(), now().Unix() + 60, "ldap"}, false},
		"no end":           {headerType, claims{audience, "a", "", false, "sid", now().UnixMilli(), 0, "ldap"}, false},
	} {
		enc, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: jose.JSONWebKey{Key: k.seal, KeyID: k.id}},
			(&jose.EncrypterOptions{}).WithType(c.typ))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := json.Marshal(c.claims)
		if err != nil {
			t.Fatal(err)
		}
		jwe, err := enc.Encrypt(plain)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jwe.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Open(value, now()); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRotation(t *testing.T) {
	old, both, swapped, fresh := ring(t, secret(1)), ring(t, secret(1), secret(2)), ring(t, secret(2), secret(1)), ring(t, secret(2))
	oldCookie, newCookie := seal(t, old, alice()), seal(t, swapped, alice())
	for name, c := range map[string]struct {
		ring  *Ring
		value string
		ok    bool
	}{
		"old key on a replica that knows both":  {both, oldCookie, true},
		"old key after the swap":                {swapped, oldCookie, true},
		"new key on a replica yet to swap":      {both, newCookie, true},
		"old key after it was dropped":          {fresh, oldCookie, false},
		"new key where it was never introduced": {old, newCookie, false},
	} {
		if _, err := c.ring.Open(c.value, now()); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := old.Open(oldCookie, now())
	if err != nil {
		t.Fatal(err)
	}
	again, err := swapped.Open(oldCookie, now())
	if err != nil {
		t.Fatal(err)
	}
	if old.XSRF(s) != swapped.XSRF(again) {
		t.Error("adding a key must not change the form token of a living session")
	}
}

func TestLongestNamesFit(t *testing.T) {
	r := ring(t, secret(1))
	for _, name := range []string{strings.Repeat("x", 255), strings.Repeat("<", 255), strings.Repeat("张", 85)} {
		s := New(access.User{Name: name, DisplayName: strings.Repeat("é<", 300), Admin: true}, "ldap", now(), time.Hour)
		value := seal(t, r, s)
		if len(value) > MaxCookie {
			t.Errorf("%d bytes", len(value))
		}
		if got, err := r.Open(value, now()); err != nil || got.User.Name != name {
			t.Errorf("name of %d bytes did not survive: %v", len(name), err)
		}
	}
	if _, err := r.Seal(New(access.User{Name: strings.Repeat("x", 2000)}, "ldap", now(), time.Hour)); err == nil {
		t.Error("a session over the limit must not be sealed")
	}
}

func TestTokens(t *testing.T) {
	r, other := ring(t, secret(1), secret(2)), ring(t, secret(3))
	a, b := alice(), alice()
	if !r.CheckXSRF(a, r.XSRF(a)) {
		t.Error("the own token is refused")
	}
	for name, token := range map[string]string{"another session's": r.XSRF(b), "another ring's": other.XSRF(a), "none": "", "the login token": r.LoginToken(a.ID)} {
		if r.CheckXSRF(a, token) {
			t.Errorf("%s token is accepted", name)
		}
	}
	rotated := ring(t, secret(2), secret(1))
	if !rotated.CheckLoginToken("pre", r.LoginToken("pre")) {
		t.Error("a login form opened before a rotation is refused")
	}
	for name, ok := range map[string]bool{
		"other cookie": r.CheckLoginToken("pre2", r.LoginToken("pre")), "no token": r.CheckLoginToken("pre", ""),
		"no cookie": r.CheckLoginToken("", r.LoginToken("")), "other ring": r.CheckLoginToken("pre", other.LoginToken("pre")),
	} {
		if ok {
			t.Errorf("login token: %s is accepted", name)
		}
	}
}

func TestNewRingRefuses(t *testing.T) {
	for name, secrets := range map[string][][]byte{"none": nil, "short": {make([]byte, MinSecret-1)}, "repeated": {secret(1), secret(1)}} {
		if _, err := NewRing(secrets...); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), string(secret(1))) {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

// TestFaultsNameTheKey: an operator with several keys learns which one is wrong.
func TestFaultsNameTheKey(t *testing.T) {
	for want, secrets := range map[string][][]byte{
		"session key 2 repeats":   {secret(1), secret(1)},
		"session key 3: needs":    {secret(1), secret(2), make([]byte, MinSecret-1)},
		"session key 1: needs at": {nil},
	} {
		if _, err := NewRing(secrets...); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestCookieFillsItsLimit: a session that needs all bytes of a cookie opens, and one that
// needs more is refused when it is sealed, not when it is opened.
func TestCookieFillsItsLimit(t *testing.T) {
	r := ring(t, secret(1))
	s := alice()
	longest := 0
	for n := range MaxCookie {
		s.Method = strings.Repeat("m", n)
		value, err := r.Seal(s)
		if err != nil {
			break
		}
		if _, err := r.Open(value, now()); err != nil {
			t.Fatalf("%d bytes are sealed and not opened", len(value))
		}
		longest = len(value)
	}
	// base64 grows by one or two bytes at a time.
	if longest < MaxCookie-1 || longest > MaxCookie {
		t.Errorf("the longest cookie has %d bytes", longest)
	}
}

// TestLongestSession: a session may last as long as any, and not a second longer.
func TestLongestSession(t *testing.T) {
	r := ring(t, secret(1))
	for lifetime, ok := range map[time.Duration]bool{maxLifetime: true, maxLifetime + time.Second: false} {
		s := New(access.User{Name: "alice"}, "ldap", now(), lifetime)
		if _, err := r.Open(seal(t, r, s), now()); (err == nil) != ok {
			t.Errorf("for %v: %v", lifetime, err)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"", 3, ""},
		{"aå", 2, "a"}, {"aå", 3, "aå"}, {"a日本", 5, "a日"},
		{"\x80\x80\x80", 2, ""}, // no character begins anywhere
	} {
		if got := shorten(c.text, c.limit); got != c.want {
			t.Errorf("%q to %d bytes: %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

func TestStrictLimit(t *testing.T) {
	for limit, want := range map[int]bool{5: true, 4: false} {
		if got := Strict("AA.AA", 2, limit); got != want {
			t.Errorf("five bytes where %d are allowed: %v", limit, got)
		}
	}
}

func FuzzOpen(f *testing.F) {
	// Sealed once with secret(1): fuzz workers are processes of their own and would
	// each seal another value.
	const good = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiODgwYjk5MzczYjA1IiwidHlwIjoicGVyaWpvdmUtc2Vzc2lvbiJ9..9ne6J79KRd8RFXjG." +
		"u7Fn-uo2irwcYFO-_oRUErY2DdSeik3oIpws7ZuXN4hY12atBWvG5ahFLKcSJ1MD4RtNn8qG9XKFe70H_jAAdkUlXa0lgD3zIXJqGy-BZtgjIjaChPzi7di1eVegpd4sGxVS1YeMspuwC4hzyRmdF55zO27huGsrpmBpP2_BfiVeyjqDysQKdqgcuWf-bT6wj3zdj0GtAiBoUfIcS9axPl1giqdSrJeL" +
		".7Aj6H17sdvZnlQnFjzcM6g"
	r := ring(f, secret(1))
	if _, err := r.Open(good, now()); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(strings.Repeat(".", 2000))
	f.Add("e30..." + good)
	f.Fuzz(func(t *testing.T, value string) {
		s, err := r.Open(value, now())
		if err == nil && value != good {
			t.Fatalf("%q opened to %+v", value, s)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b, secret(1))
	value := seal(b, r, alice())
	for b.Loop() {
		if _, err := r.Open(value, now()); err != nil {
			b.Fatal(err)
		}
	}
}

// alterations are bytes to put at i: some anywhere, every letter of base64url at the
// end, where a lenient decoder ignores bits.
func alterations(s string, i int) []byte {
	some := []byte{'A', 'B', '_', '.', '=', '\n', s[i] ^ 1, s[i] ^ 4}
	if i == len(s)-1 {
		some = append(some, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"...)
	}
	return some
}

// TestKeysAreReplacedWhileInUse: sessions and form tokens of old keys live on as long as
// those are on the ring; a key that was taken off opens nothing.
func TestKeysAreReplacedWhileInUse(t *testing.T) {
	r := ring(t, secret(1))
	cookie := seal(t, r, alice())
	opened, err := r.Open(cookie, now())
	if err != nil {
		t.Fatal(err)
	}
	form := r.XSRF(opened)
	for _, keys := range [][][]byte{{secret(1), secret(2)}, {secret(2), secret(1)}} {
		r.Replace(ring(t, keys...))
		again, err := r.Open(cookie, now())
		if err != nil || !r.CheckXSRF(again, form) {
			t.Errorf("logged out by a new key: %v", err)
		}
	}
	r.Replace(ring(t, secret(2)))
	if _, err := r.Open(cookie, now()); err == nil {
		t.Error("a key that was taken off still opens")
	}
}
