package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"
)

// Prefix begins every token, so that secret scanners and people recognise one.
const Prefix = "hub_"

// MaxLifetime is the longest that a token may live.
const MaxLifetime = 90 * 24 * time.Hour

// length of a token: the prefix and 256 bits in base64url.
const length = len(Prefix) + 43

// New makes a token of 256 random bits and its hash. Only the hash may be kept.
func New() (token, hash string) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	token = Prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return token, digest(token)
}

// Hash returns the hash of a token, and whether it has the form of one. SHA-256 without
// salt is enough: 256 random bits cannot be guessed.
func Hash(token string) (string, bool) {
	if len(token) != length || !strings.HasPrefix(token, Prefix) {
		return "", false
	}
	return digest(token), true
}

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// FromHeader returns the credentials of an Authorization header whose scheme is
// JupyterHub's "token" or RFC 6750's "Bearer". ok is false for any other scheme.
func FromHeader(authorization string) (credentials string, ok bool) {
	scheme, rest, found := strings.Cut(authorization, " ")
	if !found || !strings.EqualFold(scheme, "token") && !strings.EqualFold(scheme, "bearer") {
		return "", false
	}
	return strings.TrimSpace(rest), true
}
