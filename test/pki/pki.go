// Package pki makes throw-away certificates for tests.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/run/mtls"
)

// CA signs certificates for one test.
type CA struct {
	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New returns a CA whose files vanish with the test.
func New(tb testing.TB) *CA {
	tb.Helper()
	ca := &CA{tb: tb, dir: tb.TempDir(), key: newKey(tb)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ca.key.PublicKey, ca.key)
	check(tb, err)
	ca.cert, err = x509.ParseCertificate(der)
	check(tb, err)
	write(tb, filepath.Join(ca.dir, "ca.crt"), "CERTIFICATE", der)
	return ca
}

// Issue returns the files of a certificate with the given DNS name, valid from now
// for the given time (negative: already expired), and for 127.0.0.1.
func (ca *CA) Issue(name string, valid time.Duration, more ...string) mtls.Files {
	ca.tb.Helper()
	key := newKey(ca.tb)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(ca.tb, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: append([]string{name}, more...),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(valid),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	check(ca.tb, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(ca.tb, err)
	dir := ca.tb.TempDir()
	files := mtls.Files{
		Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(ca.dir, "ca.crt"),
	}
	write(ca.tb, files.Cert, "CERTIFICATE", der)
	write(ca.tb, files.Key, "PRIVATE KEY", keyDER)
	return files
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(tb, err)
	return key
}

func write(tb testing.TB, path, kind string, der []byte) {
	check(tb, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
