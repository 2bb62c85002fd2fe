package session

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// MaxBox bounds what SealFor takes, in bytes: tokens of large providers have 2 to 8 KB.
const MaxBox = 16 << 10

// SealFor seals plain for one use ("oidc refresh token"), as a JWE in compact form with
// the ring's first key. A value that was sealed for one use opens for no other, and
// never as a session: each use has a key of its own.
func (r *Ring) SealFor(use string, plain []byte) (string, error) {
	if len(plain) > MaxBox {
		return "", fmt.Errorf("seal for %s: %d bytes are too much", use, len(plain))
	}
	k := r.first()
	boxKey, err := k.boxKey(use)
	if err != nil {
		return "", err
	}
	enc, err := jose.NewEncrypter(jose.A256GCM,
		jose.Recipient{Algorithm: jose.DIRECT, Key: jose.JSONWebKey{Key: boxKey, KeyID: k.id}}, nil)
	if err != nil {
		return "", fmt.Errorf("seal for %s: %w", use, err)
	}
	sealed, err := enc.Encrypt(plain)
	if err != nil {
		return "", fmt.Errorf("seal for %s: %w", use, err)
	}
	return sealed.CompactSerialize()
}

// OpenFor returns what SealFor sealed for the same use with any key of the ring, or
// ErrInvalid.
func (r *Ring) OpenFor(use, value string) ([]byte, error) {
	if !Strict(value, 5, 2*MaxBox) {
		return nil, ErrInvalid
	}
	sealed, err := jose.ParseEncryptedCompact(value, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, ErrInvalid
	}
	k, ok := r.find(sealed.Header.KeyID)
	if !ok {
		return nil, ErrInvalid
	}
	boxKey, err := k.boxKey(use)
	if err != nil {
		return nil, err
	}
	plain, err := sealed.Decrypt(boxKey)
	if err != nil {
		return nil, ErrInvalid
	}
	return plain, nil
}

func (k key) boxKey(use string) ([]byte, error) {
	b, err := hkdf.Key(sha256.New, k.seal, nil, "perijove box "+use, 32)
	if err != nil {
		return nil, fmt.Errorf("derive key for %s: %w", use, err)
	}
	return b, nil
}
