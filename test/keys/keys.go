// Package keys makes the keys that sessions are sealed and passes are signed with, for
// tests that need some and test something else.
package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
)

// Sessions returns a ring of one key, the same one each time: replicas of a test share it.
func Sessions(t testing.TB) *session.Ring {
	t.Helper()
	return sessions(t, 1)
}

// Foreign returns a ring of another installation: no key of Sessions opens what it seals.
func Foreign(t testing.TB) *session.Ring {
	t.Helper()
	return sessions(t, 2)
}

func sessions(t testing.TB, fill byte) *session.Ring {
	t.Helper()
	ring, err := session.NewRing(bytes.Repeat([]byte{fill}, session.MinSecret))
	check(t, err)
	return ring
}

// Passes returns a ring of one new key.
func Passes(t testing.TB) *pass.Ring {
	t.Helper()
	key, err := PEM()
	check(t, err)
	ring, err := pass.NewRing(key)
	check(t, err)
	return ring
}

// Files makes the key files that all replicas of one installation share, and returns
// their paths, as authz's sessionKeyFiles and passKeyFiles name them.
func Files(t testing.TB) (sessionKey, passKey string) {
	t.Helper()
	dir := t.TempDir()
	sessionKey, passKey = filepath.Join(dir, "session"), filepath.Join(dir, "pass.pem")
	key, err := PEM()
	check(t, err)
	check(t, os.WriteFile(passKey, key, 0o600))
	check(t, os.WriteFile(sessionKey, []byte(rand.Text()+rand.Text()), 0o600))
	return sessionKey, passKey
}

// PEM returns a new key for passes: P-256, PKCS #8.
func PEM() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
