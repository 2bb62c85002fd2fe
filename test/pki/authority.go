package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/perijove/perijove/pkg/run/mtls"
)

// Pair is a certificate and its private key (PKCS #8), both PEM.
type Pair struct{ Chain, Key []byte }

// Authority signs certificates. It needs no test, so that benchmarks can use it too.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes a CA that is valid for a day.
func NewAuthority() (*Authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	return &Authority{cert, key}, nil
}

// Sign makes a certificate for the DNS names and for 127.0.0.1, to serve and to call
// with. It ends after valid; a negative one has ended already.
func (a *Authority) Sign(valid time.Duration, names ...string) (Pair, error) {
	key, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return Pair{}, fmt.Errorf("make a serial number: %w", err)
	}
	return encode(&x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(valid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, key, a.cert, a.key)
}

// Pair returns the CA's own certificate and key, for a service that signs.
func (a *Authority) Pair() (Pair, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode a key: %w", err)
	}
	return Pair{Chain: block("CERTIFICATE", a.cert.Raw), Key: block("PRIVATE KEY", der)}, nil
}

// SelfSigned makes a certificate for one DNS name with a key of any kind.
func SelfSigned(key crypto.Signer, name string) (Pair, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0)}
	return encode(template, key, template, key)
}

// Write puts the pair and the CA into dir under the names of a Kubernetes TLS Secret:
// tls.crt, tls.key and ca.crt.
func (a *Authority) Write(dir string, p Pair) (mtls.Files, error) {
	files := mtls.Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")}
	for path, data := range map[string][]byte{files.Cert: p.Chain, files.Key: p.Key, files.CA: block("CERTIFICATE", a.cert.Raw)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return mtls.Files{}, fmt.Errorf("write a certificate: %w", err)
		}
	}
	return files, nil
}

// encode signs the template with the parent's key.
func encode(template *x509.Certificate, key crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return Pair{}, fmt.Errorf("sign a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode a key: %w", err)
	}
	return Pair{Chain: block("CERTIFICATE", der), Key: block("PRIVATE KEY", keyDER)}, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
