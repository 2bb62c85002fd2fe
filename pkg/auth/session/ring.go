package session

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perijove/perijove/pkg/server/access"
)

// MaxCookie bounds a sealed session in bytes. Browsers keep about 4 KB per cookie, and
// every request to the hub carries it.
const MaxCookie = 1024

// MinSecret is the least number of bytes of a ring's secret.
const MinSecret = 32

// ErrInvalid is the one answer to a cookie that opens to no live session, whatever is
// wrong with it: an answer that told altered from expired would be an oracle (S2).
var ErrInvalid = errors.New("no valid session")

const (
	// headerType and audience bind a sealed value to this purpose: a value that we
	// sealed for something else does not open as a session.
	headerType = "perijove-session"
	audience   = "perijove session v1"
	// maxLifetime is the longest that any session may claim to live; it catches an end
	// written in another unit (S3).
	maxLifetime = 31 * 24 * time.Hour
)

// Ring is an ordered set of keys. The first seals, all open: a new key goes to the end
// on every replica before it goes to the front on any (pkg/auth/keyring). The keys can be
// replaced while the ring is in use.
type Ring struct {
	keys atomic.Pointer[[]key]
}

type key struct {
	id    string
	seal  []byte
	token []byte
	enc   jose.Encrypter
}

// NewRing derives its keys from secrets of at least MinSecret random bytes each.
func NewRing(secrets ...[]byte) (*Ring, error) {
	if len(secrets) == 0 {
		return nil, errors.New("a key ring needs at least one secret")
	}
	var keys []key
	for i, secret := range secrets {
		k, err := newKey(secret)
		if err != nil {
			return nil, fmt.Errorf("session key %d: %w", i+1, err)
		}
		if slices.ContainsFunc(keys, func(other key) bool { return other.id == k.id }) {
			return nil, fmt.Errorf("session key %d repeats another", i+1)
		}
		keys = append(keys, k)
	}
	ring := &Ring{}
	ring.keys.Store(&keys)
	return ring, nil
}

// Replace makes r use the keys of other from now on.
func (r *Ring) Replace(other *Ring) { r.keys.Store(other.keys.Load()) }

func (r *Ring) all() []key { return *r.keys.Load() }

func (r *Ring) first() key { return r.all()[0] }

// newKey derives one key for each use, so that no value made for one use says anything
// about another (RFC 5869).
func newKey(secret []byte) (key, error) {
	if len(secret) < MinSecret {
		return key{}, fmt.Errorf("needs at least %d bytes, has %d", MinSecret, len(secret))
	}
	derived := map[string][]byte{}
	for _, use := range []string{"id", "seal", "token"} {
		b, err := hkdf.Key(sha256.New, secret, nil, "perijove session "+use, 32)
		if err != nil {
			return key{}, fmt.Errorf("derive key: %w", err)
		}
		derived[use] = b
	}
	k := key{id: hex.EncodeToString(derived["id"][:6]), seal: derived["seal"], token: derived["token"]}
	enc, err := jose.NewEncrypter(jose.A256GCM,
		jose.Recipient{Algorithm: jose.DIRECT, Key: jose.JSONWebKey{Key: k.seal, KeyID: k.id}},
		(&jose.EncrypterOptions{}).WithType(headerType))
	if err != nil {
		return key{}, fmt.Errorf("make cipher: %w", err)
	}
	k.enc = enc
	return k, nil
}

func (r *Ring) find(id string) (key, bool) {
	for _, k := range r.all() {
		if k.id == id {
			return k, true
		}
	}
	return key{}, false
}

// claims is what a sealed session says (names as in RFC 7519 where there is one).
type claims struct {
	Audience    string `json:"aud"`
	Subject     string `json:"sub"`
	DisplayName string `json:"name,omitempty"`
	Admin       bool   `json:"admin,omitempty"`
	ID          string `json:"sid"`
	SinceMillis int64  `json:"since_ms"`
	Expires     int64  `json:"exp"`
	Method      string `json:"amr"`
}

// Seal turns s into a cookie value of at most MaxCookie bytes.
func (r *Ring) Seal(s Session) (string, error) {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false) // six bytes for each "<" of a name would break the limit
	err := enc.Encode(claims{
		Audience: audience, Subject: s.User.Name, DisplayName: s.User.DisplayName, Admin: s.User.Admin,
		ID: s.ID, SinceMillis: s.Since.UnixMilli(), Expires: s.Expires.Unix(), Method: s.Method,
	})
	if err != nil {
		return "", fmt.Errorf("encode session: %w", err)
	}
	sealed, err := r.first().enc.Encrypt(bytes.TrimSpace(plain.Bytes()))
	if err != nil {
		return "", fmt.Errorf("seal session: %w", err)
	}
	value, err := sealed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("serialize session: %w", err)
	}
	if len(value) > MaxCookie {
		return "", fmt.Errorf("the sealed session has %d bytes; at most %d are allowed", len(value), MaxCookie)
	}
	return value, nil
}

// Open returns the session in a cookie value, or ErrInvalid: altered, truncated, sealed
// with a key that is not on the ring or for another purpose, or over at now.
func (r *Ring) Open(value string, now time.Time) (Session, error) {
	if !Strict(value, 5, MaxCookie) {
		return Session{}, ErrInvalid
	}
	sealed, err := jose.ParseEncryptedCompact(value, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil || sealed.Header.ExtraHeaders[jose.HeaderType] != headerType {
		return Session{}, ErrInvalid
	}
	k, ok := r.find(sealed.Header.KeyID)
	if !ok {
		return Session{}, ErrInvalid
	}
	plain, err := sealed.Decrypt(k.seal)
	if err != nil {
		return Session{}, ErrInvalid
	}
	var c claims
	if err := json.Unmarshal(plain, &c); err != nil {
		return Session{}, ErrInvalid
	}
	s := Session{
		User: access.User{Name: c.Subject, DisplayName: c.DisplayName, Admin: c.Admin},
		ID:   c.ID, Since: time.UnixMilli(c.SinceMillis), Expires: time.Unix(c.Expires, 0), Method: c.Method, keyID: k.id,
	}
	if c.Audience != audience || !s.live(now) {
		return Session{}, ErrInvalid
	}
	return s, nil
}

func (s Session) live(now time.Time) bool {
	return s.User.Name != "" && s.ID != "" && now.Before(s.Expires) &&
		s.Expires.After(s.Since) && s.Expires.Sub(s.Since) <= maxLifetime
}

// XSRF is the token that forms and calls of the hub must repeat: an HMAC of the session
// ID, so that it lives and dies with the session.
func (r *Ring) XSRF(s Session) string {
	k, ok := r.find(s.keyID)
	if !ok {
		k = r.first()
	}
	return k.mac("xsrf", s.ID)
}

// CheckXSRF reports in constant time whether token is the session's.
func (r *Ring) CheckXSRF(s Session, token string) bool {
	return hmac.Equal([]byte(r.XSRF(s)), []byte(token))
}

// LoginToken is the token of the login form, bound to the pre-session cookie: a form
// from another site cannot know it (S7).
func (r *Ring) LoginToken(preSession string) string { return r.first().mac("login", preSession) }

// CheckLoginToken reports in constant time whether token was made for preSession with
// any key of the ring.
func (r *Ring) CheckLoginToken(preSession, token string) bool {
	ok := false
	for _, k := range r.all() {
		if hmac.Equal([]byte(k.mac("login", preSession)), []byte(token)) {
			ok = true
		}
	}
	return ok && preSession != ""
}

// mac length-prefixes its fields: without it "ab"+"c" and "a"+"bc" would be one.
func (k key) mac(use, value string) string {
	m := hmac.New(sha256.New, k.token)
	fmt.Fprintf(m, "%d:%s%d:%s", len(use), use, len(value), value)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16])
}
