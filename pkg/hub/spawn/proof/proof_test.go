package proof_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/proof"
	"github.com/perijove/perijove/test/pki"
)

const uid = "0b8fd1a6-54c5-4a4e-8f1c-6f2b7a0c9d3e"

// authority is a CA of servers and what trusts it.
func authority(t *testing.T) (*proof.CA, *x509.CertPool) {
	t.Helper()
	ca := pki.New(t)
	pair := ca.Pair()
	issuer, err := proof.New(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return issuer, ca.Pool()
}

// issue returns the certificate of a pod; its key must be its own.
func issue(t *testing.T, ca *proof.CA, uid string) *x509.Certificate {
	t.Helper()
	pair, err := ca.Issue(uid)
	if err != nil {
		t.Fatal(err)
	}
	both, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return both.Leaf
}

// K8: a certificate is good for one pod, as a server, and to nobody who does not trust the
// CA of servers.
func TestK8_CertificateIsOfOnePod(t *testing.T) {
	ca, roots := authority(t)
	_, foreign := authority(t)
	leaf := issue(t, ca, uid)
	mine, _ := contract.ProofName(uid)
	other, _ := contract.ProofName("5e0c41c7-7a55-4f5b-9d55-3a4d8b7f2c11")
	check := func(what string, options x509.VerifyOptions, want bool) {
		t.Helper()
		if _, err := leaf.Verify(options); (err == nil) != want {
			t.Errorf("%s: %v, want good = %v", what, err, want)
		}
	}
	check("its own name", x509.VerifyOptions{DNSName: mine, Roots: roots}, true) // negative control
	check("another pod's name", x509.VerifyOptions{DNSName: other, Roots: roots}, false)
	check("a name below its own", x509.VerifyOptions{DNSName: "x." + mine, Roots: roots}, false)
	check("as a client", x509.VerifyOptions{DNSName: mine, Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, false)
	check("another CA", x509.VerifyOptions{DNSName: mine, Roots: foreign}, false)
	if !slices.Equal(leaf.DNSNames, []string{mine}) || leaf.IPAddresses != nil || leaf.URIs != nil || leaf.EmailAddresses != nil || leaf.Subject.String() != "" {
		t.Errorf("the certificate names %v %v %v %v %q", leaf.DNSNames, leaf.IPAddresses, leaf.URIs, leaf.EmailAddresses, leaf.Subject)
	}
	if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("CA %v, usage %v", leaf.IsCA, leaf.KeyUsage)
	}
}

// A pod lives as long as it likes, also where its node's clock is an hour late.
func TestCertificateLastsAsLongAsTheCA(t *testing.T) {
	ca, roots := authority(t)
	leaf := issue(t, ca, uid)
	for after, want := range map[time.Duration]bool{-59 * time.Minute: true, 0: true, 23 * time.Hour: true, 25 * time.Hour: false} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: time.Now().Add(after)}); (err == nil) != want {
			t.Errorf("after %v of a CA of 24 h: %v", after, err)
		}
	}
}

func TestTwoPodsShareNoKeyAndNoSerialNumber(t *testing.T) {
	ca, _ := authority(t)
	first, again := issue(t, ca, uid), issue(t, ca, uid)
	if first.SerialNumber.Cmp(again.SerialNumber) == 0 || string(first.RawSubjectPublicKeyInfo) == string(again.RawSubjectPublicKeyInfo) {
		t.Error("two certificates share a key or a serial number")
	}
}

// K8: no UID makes a certificate of several pods, or of a service.
func TestK8_HostileUIDsGetNoCertificate(t *testing.T) {
	ca, _ := authority(t)
	for _, bad := range []string{"", "*", "*.pod", "a.b", "a\x00b", "perijove-gateway.x", strings.Repeat("a", 64), "A"} {
		if pair, err := ca.Issue(bad); err == nil {
			t.Errorf("UID %q got a certificate:\n%s", bad, pair.Certificate)
		}
	}
}

func TestWhatIsNoCAIsRefused(t *testing.T) {
	ours, other := pki.New(t), pki.New(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := pki.SelfSigned(key, contract.NameGateway)
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string]pki.Pair{
		"nothing":              {},
		"a service's":          leaf,
		"another CA's key":     {Chain: ours.Pair().Chain, Key: other.Pair().Key},
		"a key without a CA":   {Key: ours.Pair().Key},
		"no key":               {Chain: ours.Pair().Chain},
		"a certificate as key": {Chain: ours.Pair().Chain, Key: ours.Pair().Chain},
	} {
		if _, err := proof.New(pair.Chain, pair.Key); err == nil || strings.Contains(err.Error(), "PRIVATE KEY") {
			t.Errorf("%s: %v", what, err)
		}
	}
	both := append(ours.Pair().Chain, other.Pair().Chain...)
	ca, err := proof.New(both, ours.Pair().Key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := issue(t, ca, uid).Verify(x509.VerifyOptions{Roots: ours.Pool()}); err != nil {
		t.Errorf("while the CA is replaced the first one signs: %v", err)
	}
}

func BenchmarkIssue(b *testing.B) {
	authority, err := pki.NewAuthority()
	if err != nil {
		b.Fatal(err)
	}
	pair, err := authority.Pair()
	if err != nil {
		b.Fatal(err)
	}
	ca, err := proof.New(pair.Chain, pair.Key)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ca.Issue(uid); err != nil {
			b.Fatal(err)
		}
	}
}
