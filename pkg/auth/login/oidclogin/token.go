package oidclogin

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/auth/session"
)

const (
	// maxToken bounds a token before anything parses it, in bytes (O16). Tokens with
	// hundreds of groups have about 20 KB.
	maxToken = 64 << 10
	// skew is how much a provider's clock may differ from ours.
	skew = time.Minute
	// maxSubject is the longest subject that the standard allows (Core §2).
	maxSubject = 255
)

// algorithms are the signatures that are believed: no "none", nothing with a shared
// key. A provider's own list can only make it shorter.
func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// checkForm refuses before any parsing what is no signed token: too long, encrypted, or
// with a header that tells where the key is to be had or what must be understood (O5).
// It returns the header's type.
func checkForm(raw string) (typ string, err error) {
	if !session.Strict(raw, 3, maxToken) {
		return "", errors.New("is no signed token, or is too long")
	}
	head, _, _ := strings.Cut(raw, ".")
	data, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "", errors.New("has no header")
	}
	var header map[string]any
	if json.Unmarshal(data, &header) != nil {
		return "", errors.New("has no header")
	}
	for _, name := range []string{"jwk", "jku", "x5u", "crit", "zip", "b64"} {
		if _, ok := header[name]; ok {
			return "", fmt.Errorf("has the header %q", name)
		}
	}
	typ, _ = header["typ"].(string)
	return typ, nil
}

// expected is what an ID token must be made for.
type expected struct {
	clientID string
	nonce    string // "" for a refreshed token, which has none of ours
	subject  string // "" at login, when any is welcome
}

// check is everything about an ID token that the library leaves to its caller: nonce,
// authorised party, times, subject. Issuer, audience and signature it has checked.
func (e expected) check(c claims, now time.Time) error {
	if err := checkTimes(c, now); err != nil {
		return err
	}
	sub := c.text("sub")
	if !validSubject(sub) {
		return errors.New("has no subject of 1 to 255 ASCII characters")
	}
	if e.subject != "" && sub != e.subject {
		return errors.New("is about somebody else")
	}
	if e.nonce != "" && subtle.ConstantTimeCompare([]byte(c.text("nonce")), []byte(e.nonce)) != 1 {
		return errors.New("was not made for this login (nonce)")
	}
	return e.checkParty(c)
}

// checkParty: a token for several audiences, or with an authorised party, must have been
// issued to us (Core §3.1.3.7, O4).
func (e expected) checkParty(c claims) error {
	_, present := c["azp"]
	if list, ok := c["aud"].([]any); ok && len(list) > 1 && !present {
		return errors.New("is for several audiences and does not say to whom it was issued")
	}
	if present && c.text("azp") != e.clientID {
		return errors.New("was issued to another client (azp)")
	}
	return nil
}

// checkTimes: the token lives now, give or take the skew of clocks (O6).
func checkTimes(c claims, now time.Time) error {
	exp, ok := c.time("exp")
	if !ok || !now.Before(exp.Add(skew)) {
		return errors.New("has expired, or does not say when it does")
	}
	iat, ok := c.time("iat")
	if !ok || iat.After(now.Add(skew)) {
		return errors.New("was issued in the future, or does not say when")
	}
	if _, present := c["nbf"]; !present {
		return nil
	}
	if nbf, ok := c.time("nbf"); !ok || nbf.After(now.Add(skew)) {
		return errors.New("is not valid yet")
	}
	return nil
}

// time reads a NumericDate (RFC 7519 §2). Numbers outside of four-digit years are none:
// seconds that were written as milliseconds would live for ever.
func (c claims) time(name string) (time.Time, bool) {
	const year1, year9999 = 1, 253402300799
	seconds, ok := c[name].(float64)
	if !ok || seconds < year1 || seconds > year9999 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(seconds * 1000)), true
}

func validSubject(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxSubject
}
