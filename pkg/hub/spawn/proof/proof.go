package proof

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/perijove/perijove/pkg/contract"
)

// CA signs pods' certificates.
type CA struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// Pair is a pod's certificate and its private key (PKCS #8), both PEM.
type Pair struct{ Certificate, Key []byte }

// New reads the CA of servers from two PEM texts. Of several certificates the first one
// signs; the others are for Envoy, which trusts them all while a CA is being replaced. No
// error holds any of the key.
func New(certificates, key []byte) (*CA, error) {
	pair, err := tls.X509KeyPair(certificates, key)
	if err != nil {
		return nil, fmt.Errorf("read the servers' CA: %w", err)
	}
	if !pair.Leaf.IsCA || pair.Leaf.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("the certificate %q may not sign others", pair.Leaf.Subject)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key of the servers' CA cannot sign")
	}
	return &CA{pair.Leaf, signer}, nil
}

// Issue makes the certificate of the pod with this UID (contract.ProofName), with a key of
// its own (ECDSA on P-256). It is valid as long as the CA is, since a pod cannot change its
// certificate while it runs.
func (ca *CA) Issue(uid string) (Pair, error) {
	name, err := contract.ProofName(uid)
	if err != nil {
		return Pair{}, fmt.Errorf("issue a pod's certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a pod's key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // RFC 5280 §4.1.2.2: at most 20 bytes
	if err != nil {
		return Pair{}, fmt.Errorf("make a serial number: %w", err)
	}
	// No common name: it has 64 characters at most (RFC 5280, appendix A), and names are read
	// from the extension, which must be critical then (§4.2.1.6). crypto/x509 sees to that.
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: []string{name},
		NotBefore: ca.certificate.NotBefore, NotAfter: ca.certificate.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, // good for nothing as a client's
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return Pair{}, fmt.Errorf("sign a pod's certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode a pod's key: %w", err)
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}
