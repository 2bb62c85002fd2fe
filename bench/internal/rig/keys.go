package rig

import (
	"bytes"
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
	"time"
)

// Files in the rig's folder.
const (
	fileServerKey  = "server.key"
	fileSessionKey = "session.key"
	filePassKey    = "pass.pem"
	dirTLS         = "tls"
)

// writeKeys makes every secret of the platform for this one run. Nothing is reached
// over mutual TLS, but Envoy's bootstrap names the files, so they must be there.
func (r *Rig) writeKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "benchmark"}, DNSNames: []string{"benchmark"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	privatePEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if err := os.Mkdir(r.Path(dirTLS), 0o700); err != nil {
		return fmt.Errorf("folder of certificates: %w", err)
	}
	for name, data := range map[string][]byte{
		fileServerKey: bytes.Repeat([]byte("k"), 32), fileSessionKey: bytes.Repeat([]byte("s"), 32), filePassKey: privatePEM,
		dirTLS + "/tls.crt": certificate, dirTLS + "/ca.crt": certificate, dirTLS + "/tls.key": privatePEM,
	} {
		if err := os.WriteFile(r.Path(name), data, 0o600); err != nil {
			return fmt.Errorf("write a key: %w", err)
		}
	}
	return nil
}
