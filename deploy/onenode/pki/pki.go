package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Lifetime of every certificate. The node is for development: it is expected to be thrown away long before, and `onenode up` renews after half of it.
const Lifetime = 365 * 24 * time.Hour

// Leaf says what one certificate is for: Hosts make it a serving certificate, Client a client's; it may be both.
type Leaf struct {
	Name   string // file name without ending
	CN     string // user name for Kubernetes
	Groups []string
	Hosts  []string // DNS names and IP addresses it serves
	Client bool     // may present itself as a client
	CA     string   // file name of the authority that signs it
}

// Files is file name → PEM.
type Files map[string][]byte

// File names. Each authority is trusted for one purpose: a certificate of the cluster's must not open etcd, where all Secrets lie, nor pass for the front proxy, which may name any user.
const (
	CA      = "ca.crt"
	EtcdCA  = "etcd-ca.crt"
	FrontCA = "front-proxy-ca.crt"
	Leaves  = "leaves.json" // what the certificates were made for; see Fresh
	SAKey   = "service-account.key"
	SAPub   = "service-account.pub"
)

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// Make returns the authorities' certificates, the service-account key pair and <name>.crt and .key of each leaf. The authorities' keys are not
// returned: nothing signs after start, and a key that is not kept cannot be stolen.
func Make(leaves []Leaf, now time.Time) (Files, error) {
	files := Files{}
	authorities := map[string]authority{}
	for _, name := range []string{CA, EtcdCA, FrontCA} {
		made, err := newAuthority("perijove-onenode-"+strings.TrimSuffix(name, ".crt"), now)
		if err != nil {
			return nil, err
		}
		authorities[name], files[name] = made, made.pem
	}
	for _, leaf := range leaves {
		signer, ok := authorities[leaf.CA]
		if !ok {
			return nil, fmt.Errorf("certificate %s: no authority %q", leaf.Name, leaf.CA)
		}
		cert, key, err := signer.issue(leaf, now)
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", leaf.Name, err)
		}
		files[leaf.Name+".crt"], files[leaf.Name+".key"] = cert, key
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("service-account key: %w", err)
	}
	if files[SAKey], err = encodeKey(key); err != nil {
		return nil, err
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("service-account public key: %w", err)
	}
	files[SAPub] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})
	if files[Leaves], err = json.Marshal(leaves); err != nil {
		return nil, fmt.Errorf("list of certificates: %w", err)
	}
	return files, nil
}

func newAuthority(name string, now time.Time) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("authority %s: %w", name, err)
	}
	serial, err := newSerial()
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour), // a clock that steps back a little after boot must not refuse the cluster
		NotAfter:     now.Add(Lifetime),
		KeyUsage:     x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:         true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, fmt.Errorf("authority %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fmt.Errorf("authority %s: %w", name, err)
	}
	return authority{cert: cert, key: key, pem: encodeCert(der)}, nil
}

func (a authority) issue(leaf Leaf, now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: leaf.CN, Organization: leaf.Groups},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(Lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	if len(leaf.Hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if leaf.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, host := range leaf.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	if key, err = encodeKey(private); err != nil {
		return nil, nil, err
	}
	return encodeCert(der), key, nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	return serial, nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// Fresh reports whether dir holds everything that Make returns for exactly these leaves, with at least half of its life left at now.
// Anything else is to be made anew as a whole: a mix of two authorities would fail in ways that are hard to read.
func Fresh(dir string, leaves []Leaf, now time.Time) bool {
	block, err := readPEM(filepath.Join(dir, CA))
	if err != nil {
		return false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || now.Add(Lifetime/2).After(cert.NotAfter) {
		return false
	}
	made, err := os.ReadFile(filepath.Join(dir, Leaves))
	if err != nil {
		return false
	}
	if wanted, err := json.Marshal(leaves); err != nil || !bytes.Equal(made, wanted) {
		return false
	}
	want := []string{EtcdCA, FrontCA, SAKey, SAPub}
	for _, leaf := range leaves {
		want = append(want, leaf.Name+".crt", leaf.Name+".key")
	}
	for _, name := range want {
		if _, err := readPEM(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

func readPEM(path string) (*pem.Block, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", path)
	}
	return block, nil
}

// Write puts the files into dir, readable by their owner only.
func Write(dir string, files Files) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
	}
	return nil
}
