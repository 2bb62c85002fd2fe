package pass

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/cookies"
)

func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func newKey(t testing.TB) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return k, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func ring(t testing.TB, pems ...[]byte) *Ring {
	t.Helper()
	r, err := NewRing(pems...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func alice() session.Session {
	return session.New(access.User{Name: "alice", DisplayName: "Alice"}, "ldap", now(), time.Hour)
}

func sign(t testing.TB, r *Ring, p Pass) string {
	t.Helper()
	token, err := r.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestRoundTripAndStates(t *testing.T) {
	_, pemKey := newKey(t)
	r := ring(t, pemKey)
	p := New(alice(), "bob", now(), time.Minute)
	token := sign(t, r, p)
	for after, want := range map[time.Duration]State{
		0: Valid, 29 * time.Second: Valid, 30 * time.Second: Expired, 59 * time.Minute: Expired, time.Hour: Bad, 48 * time.Hour: Bad,
	} {
		got, state := r.Verify(token, now().Add(after))
		if state != want {
			t.Errorf("after %v: state %v, want %v", after, state, want)
		}
		if state == Bad && !cmp.Equal(got, Pass{}, cmpopts.IgnoreUnexported(session.Session{})) {
			t.Errorf("after %v: a bad token yields %+v", after, got)
		}
		if state != Bad {
			if diff := cmp.Diff(p, got, cmpopts.IgnoreUnexported(session.Session{})); diff != "" {
				t.Error(diff)
			}
		}
	}
}

func TestPassNeverOutlivesItsSession(t *testing.T) {
	p := New(alice(), "alice", now().Add(59*time.Minute+30*time.Second), time.Minute)
	if !p.Expires.Equal(now().Add(time.Hour)) {
		t.Errorf("expires %v", p.Expires)
	}
}

// Envoy relies on a pass for half of the time that a revocation may take; then its
// browser gets a fresh one.
func TestPassExpiresAtHalfLife(t *testing.T) {
	if p := New(alice(), "alice", now(), time.Minute); !p.Expires.Equal(now().Add(30 * time.Second)) {
		t.Errorf("a pass for a minute expires at %v", p.Expires)
	}
	if p := New(alice(), "alice", now(), 0); p.Expires.After(now()) {
		t.Errorf("a pass for no time expires at %v", p.Expires)
	}
}

func TestS2_AlteredTokensAreBad(t *testing.T) {
	_, pemKey := newKey(t)
	r := ring(t, pemKey)
	token := sign(t, r, New(alice(), "alice", now(), time.Minute))
	for i := range len(token) {
		for _, c := range alterations(token, i) {
			if altered := token[:i] + string(rune(c)) + token[i+1:]; c != token[i] && state(r, altered) != Bad {
				t.Fatalf("byte %d changed from %q to %q is accepted", i, token[i], c)
			}
		}
		if state(r, token[:i]) != Bad {
			t.Fatalf("cut to %d bytes is accepted", i)
		}
	}
	if state(r, token) != Valid {
		t.Fatal("negative control: the unaltered token must be valid")
	}
}

func state(r *Ring, token string) State {
	_, s := r.Verify(token, now())
	return s
}

// TestO5_ForgedTokensAreBad tries the known ways to have a token accepted without the
// key: no algorithm, the public key as an HMAC secret, own keys in the header.
func TestO5_ForgedTokensAreBad(t *testing.T) {
	key, pemKey := newKey(t)
	other, _ := newKey(t)
	r := ring(t, pemKey)
	good := sign(t, r, New(alice(), "alice", now(), time.Minute))
	parts := strings.Split(good, ".")
	kid := r.keys.Load().public.Keys[0].KeyID
	enc := base64.RawURLEncoding.EncodeToString
	head := func(s string) string { return enc([]byte(s)) }

	none := head(`{"alg":"none","kid":"`+kid+`"}`) + "." + parts[1] + "."
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	hs := head(`{"alg":"HS256","kid":"`+kid+`"}`) + "." + parts[1]
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(hs))
	forged := map[string]string{
		"alg none": none, "alg none with the old signature": none + parts[2], "HMAC with the public key": hs + "." + enc(mac.Sum(nil)),
		"empty": "", "dots": "..", "many dots": strings.Repeat(".", 100000), "no signature": parts[0] + "." + parts[1] + ".",
		"all-zero signature": parts[0] + "." + parts[1] + "." + enc(make([]byte, 64)),
	}
	withKey := func(k *ecdsa.PrivateKey, kid string, embed bool) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k, KeyID: kid}}, &jose.SignerOptions{EmbedJWK: embed})
		if err != nil {
			t.Fatal(err)
		}
		forger := &Ring{}
		forger.keys.Store(&keySet{signer: s})
		return sign(t, forger, New(alice(), "alice", now(), time.Minute))
	}
	forged["right kid, other key"] = withKey(other, kid, false)
	forged["own key in the header"] = withKey(other, kid, true)
	forged["unknown kid"] = withKey(key, "unknown", false)
	forged["no kid"] = withKey(key, "", false)
	for name, token := range forged {
		if state(r, token) != Bad {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIncompleteClaimsAreBad(t *testing.T) {
	_, pemKey := newKey(t)
	r := ring(t, pemKey)
	full := map[string]any{
		"iss": contract.PassIssuer, "sub": "alice", "owner": "alice", "sid": "x", "admin": false, "iat": now().Unix(),
		"exp": now().Unix() + 60, "sxp": now().Unix() + 3600, "since_ms": now().UnixMilli(),
	}
	token := func(change func(map[string]any)) string {
		c := map[string]any{}
		for k, v := range full {
			c[k] = v
		}
		change(c)
		s, err := jwt.Signed(r.keys.Load().signer).Claims(c).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if state(r, token(func(map[string]any) {})) != Valid {
		t.Fatal("negative control: full claims must be valid")
	}
	for k := range full {
		if k == "admin" {
			continue
		}
		if state(r, token(func(c map[string]any) { delete(c, k) })) != Bad {
			t.Errorf("a pass without %s is accepted", k)
		}
	}
	for name, change := range map[string]func(map[string]any){
		"other issuer":            func(c map[string]any) { c["iss"] = "else" },
		"admin as text (O10)":     func(c map[string]any) { c["admin"] = "true" },
		"pass outlives session":   func(c map[string]any) { c["exp"] = now().Unix() + 7200 },
		"owner is a list":         func(c map[string]any) { c["owner"] = []string{"alice"} },
		"session is already over": func(c map[string]any) { c["sxp"], c["exp"] = now().Unix(), now().Unix()-60 },
	} {
		if state(r, token(change)) != Bad {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRotationAndJWKS(t *testing.T) {
	_, pem1 := newKey(t)
	_, pem2 := newKey(t)
	before, both, after := ring(t, pem1), ring(t, pem2, pem1), ring(t, pem2)
	p := New(alice(), "alice", now(), time.Minute)
	oldToken, newToken := sign(t, before, p), sign(t, both, p)
	if state(both, oldToken) != Valid || state(both, newToken) != Valid || state(after, newToken) != Valid {
		t.Error("rotation breaks living passes")
	}
	if state(after, oldToken) != Bad || state(before, newToken) != Bad {
		t.Error("a key that is not on the ring is accepted")
	}
	raw, err := both.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), `"d"`) {
		t.Fatal("the public key set holds a private key")
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) != 2 || !set.Keys[0].IsPublic() {
		t.Fatalf("%s: %v", raw, err)
	}
	parsed, err := jwt.ParseSigned(oldToken, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var c claims
	if err := parsed.Claims(set, &c); err != nil || c.Owner != "alice" {
		t.Errorf("a stranger with the key set cannot verify: %v", err)
	}
}

func TestNewRingRefuses(t *testing.T) {
	_, good := newKey(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := x509.MarshalECPrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaDER, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, pems := range map[string][][]byte{
		"none": nil, "no PEM": {[]byte("secret")}, "repeated": {good, good},
		"certificate": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})},
		"broken":      {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})},
		"P-384":       {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: wide})},
		"RSA":         {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rsaDER})},
	} {
		if _, err := NewRing(pems...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// An operator with several keys learns which one is wrong.
	for want, pems := range map[string][][]byte{"pass key 2 repeats": {good, good}, "pass key 2: is not": {good, []byte("secret")}} {
		if _, err := NewRing(pems...); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestPassMayEndWithItsSession: near its end a session gives passes that end at the same
// second.
func TestPassMayEndWithItsSession(t *testing.T) {
	_, pemKey := newKey(t)
	r := ring(t, pemKey)
	p := New(alice(), "alice", now().Add(time.Hour-10*time.Second), time.Minute)
	if !p.Expires.Equal(p.Session.Expires) {
		t.Fatalf("the pass ends at %v, the session at %v", p.Expires, p.Session.Expires)
	}
	if _, state := r.Verify(sign(t, r, p), now().Add(time.Hour-5*time.Second)); state != Valid {
		t.Errorf("state %v", state)
	}
}

func TestCookiePathsCoverEverySpelling(t *testing.T) {
	for owner, want := range map[string][]string{
		"alice": {"/user/alice/"}, "a@x.org": {"/user/a@x.org/", "/user/a%40x.org/"}, "a b": {"/user/a%20b/"}, "张": {"/user/%E5%BC%A0/"},
	} {
		if diff := cmp.Diff(want, Paths(owner)); diff != "" {
			t.Error(diff)
		}
	}
	set := SetCookies(cookies.Jar{Secure: true}, "tok", "a@x.org")
	if len(set) != 2 || set[0] != "perijove-pass=tok; Path=/user/a@x.org/; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("%q", set)
	}
	if del := DeleteCookies(cookies.Jar{}, "alice"); len(del) != 1 || del[0] != "perijove-pass=; Path=/user/alice/; Max-Age=0; HttpOnly; SameSite=Lax" {
		t.Errorf("%q", del)
	}
}

func FuzzVerify(f *testing.F) {
	_, pemKey := newKey(f)
	r := ring(f, pemKey)
	f.Add("..")
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.AAAA")
	f.Add(sign(f, r, New(alice(), "alice", now(), time.Minute))[1:])
	f.Fuzz(func(t *testing.T, token string) {
		// The worker's key is fresh: nothing that is not signed here may verify.
		if p, s := r.Verify(token, now()); s != Bad {
			t.Fatalf("%q verified as %+v", token, p)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	_, pemKey := newKey(b)
	r := ring(b, pemKey)
	token := sign(b, r, New(alice(), "alice", now(), time.Minute))
	for b.Loop() {
		if _, s := r.Verify(token, now()); s != Valid {
			b.Fatal(s)
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
