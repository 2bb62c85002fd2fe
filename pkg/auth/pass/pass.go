package pass

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
)

// maxToken bounds what is parsed at all, in bytes.
const maxToken = 2048

// Pass lets one user into one owner's servers for a short time.
type Pass struct {
	// Session is the session behind it; the user's groups and the method of logging in are
	// not kept.
	Session session.Session
	Owner   string // raw name of the servers' owner
	Issued  time.Time
	Expires time.Time
}

// New makes the pass of session s for owner's servers. ttl is how long after a revocation
// its user may still go on. The pass expires for Envoy after half of that, which leaves
// the other half for clocks that differ and for Envoy's own tolerance of a second, and is
// when the browser gets a fresh one. The session's end comes first if it is earlier. A
// ttl of 0 makes a pass that has expired already: only authz takes it, as a proof of who
// asks, and looks at the session behind it each time.
func New(s session.Session, owner string, now time.Time, ttl time.Duration) Pass {
	expires := now.Add(ttl / 2)
	if expires.After(s.Expires) {
		expires = s.Expires
	}
	s.User.Groups, s.Method = nil, ""
	return Pass{Session: s, Owner: owner, Issued: now.Truncate(time.Second), Expires: expires.Truncate(time.Second)}
}

// State is what Verify found. The zero State is Bad.
type State int

// States of a token.
const (
	// Bad: not ours, altered, or its session is over.
	Bad State = iota
	// Expired: ours, its time is over, its session's is not.
	Expired
	// Valid: ours and in time.
	Valid
)

// Ring is an ordered set of ES256 keys: the first signs, all verify (pkg/auth/keyring says in
// which order). The keys can be replaced while the ring is in use.
type Ring struct {
	keys atomic.Pointer[keySet]
}

type keySet struct {
	signer jose.Signer
	public jose.JSONWebKeySet
}

// Replace makes r use the keys of other from now on.
func (r *Ring) Replace(other *Ring) { r.keys.Store(other.keys.Load()) }

// NewRing reads P-256 private keys in PEM ("PRIVATE KEY" or "EC PRIVATE KEY"), one each.
func NewRing(pems ...[]byte) (*Ring, error) {
	if len(pems) == 0 {
		return nil, errors.New("a key ring needs at least one key")
	}
	keys := &keySet{}
	for i, data := range pems {
		private, err := parseKey(data)
		if err != nil {
			return nil, fmt.Errorf("pass key %d: %w", i+1, err)
		}
		public := jose.JSONWebKey{Key: private.Public(), Algorithm: string(jose.ES256), Use: "sig"}
		thumb, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("pass key %d: %w", i+1, err)
		}
		public.KeyID = base64.RawURLEncoding.EncodeToString(thumb[:9])
		if len(keys.public.Key(public.KeyID)) > 0 {
			return nil, fmt.Errorf("pass key %d repeats another", i+1)
		}
		keys.public.Keys = append(keys.public.Keys, public)
		if i > 0 {
			continue
		}
		keys.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}},
			(&jose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			return nil, fmt.Errorf("make signer: %w", err)
		}
	}
	r := &Ring{}
	r.keys.Store(keys)
	return r, nil
}

func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("is not PEM")
	}
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("is PEM of type %q, not a private key", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("parse private key: %w", err)
	}
	k, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || k.Curve != elliptic.P256() {
		return nil, errors.New("is not an ECDSA key on the curve P-256")
	}
	return k, nil
}

// claims is what a pass says. Names are percent-encoded (contract.EncodeHeader). Since is
// in milliseconds, all other times in seconds. The keys that Envoy reads are
// contract.Claim….
type claims struct {
	Issuer         string `json:"iss"`
	Subject        string `json:"sub"`
	Owner          string `json:"owner"`
	SessionID      string `json:"sid"`
	Admin          bool   `json:"admin"`
	DisplayName    string `json:"name"`
	Issued         int64  `json:"iat"`
	Expires        int64  `json:"exp"`
	SessionExpires int64  `json:"sxp"`
	SinceMillis    int64  `json:"since_ms"`
}

// Sign turns p into a token.
func (r *Ring) Sign(p Pass) (string, error) {
	user := p.Session.User
	if user.DisplayName == "" {
		user.DisplayName = user.Name // Envoy would leave the header out
	}
	token, err := jwt.Signed(r.keys.Load().signer).Claims(claims{
		Issuer: contract.PassIssuer, Subject: contract.EncodeHeader(user.Name), Owner: contract.EncodeHeader(p.Owner),
		SessionID: p.Session.ID, Admin: user.Admin, DisplayName: contract.EncodeHeader(user.DisplayName), Issued: p.Issued.Unix(), Expires: p.Expires.Unix(),
		SessionExpires: p.Session.Expires.Unix(), SinceMillis: p.Session.Since.UnixMilli(),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign pass: %w", err)
	}
	return token, nil
}

// Verify judges a token at now. The Pass is zero when the State is Bad.
func (r *Ring) Verify(token string, now time.Time) (Pass, State) {
	p, ok := r.genuine(token)
	if !ok {
		return Pass{}, Bad
	}
	return p.at(now)
}

// genuine reports whether we signed token, whatever the time is, and what it says.
func (r *Ring) genuine(token string) (Pass, bool) {
	if !session.Strict(token, 3, maxToken) {
		return Pass{}, false
	}
	// The only algorithm is named here: a token's own "alg" chooses nothing.
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(parsed.Headers) != 1 || parsed.Headers[0].KeyID == "" {
		return Pass{}, false
	}
	keys := r.keys.Load().public.Key(parsed.Headers[0].KeyID)
	if len(keys) != 1 {
		return Pass{}, false
	}
	var c claims
	if err := parsed.Claims(keys[0].Key, &c); err != nil || !c.complete() {
		return Pass{}, false
	}
	var names [3]string
	for i, encoded := range []string{c.Subject, c.DisplayName, c.Owner} {
		name, err := contract.DecodeHeader(encoded)
		if err != nil {
			return Pass{}, false
		}
		names[i] = name
	}
	return Pass{
		Session: session.Session{
			User: access.User{Name: names[0], DisplayName: names[1], Admin: c.Admin},
			ID:   c.SessionID, Since: time.UnixMilli(c.SinceMillis), Expires: time.Unix(c.SessionExpires, 0),
		},
		Owner: names[2], Issued: time.Unix(c.Issued, 0), Expires: time.Unix(c.Expires, 0),
	}, true
}

// at judges a genuine pass at now.
func (p Pass) at(now time.Time) (Pass, State) {
	switch {
	case !now.Before(p.Session.Expires):
		return Pass{}, Bad
	case !now.Before(p.Expires):
		return p, Expired
	}
	return p, Valid
}

func (c claims) complete() bool {
	return c.Issuer == contract.PassIssuer && c.Subject != "" && c.Owner != "" && c.SessionID != "" &&
		c.Issued > 0 && c.Expires > 0 && c.SessionExpires >= c.Expires && c.SinceMillis > 0
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517) for Envoy's jwt_authn.
func (r *Ring) JWKS() ([]byte, error) {
	b, err := json.Marshal(r.keys.Load().public)
	if err != nil {
		return nil, fmt.Errorf("encode key set: %w", err)
	}
	return b, nil
}
