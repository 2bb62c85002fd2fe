package listener_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/test/golden"
	"github.com/perijove/perijove/test/pki"
)

func keyPair(t *testing.T, key crypto.Signer) (chain, keyPEM []byte) {
	t.Helper()
	pair, err := pki.SelfSigned(key, "hub.example")
	if err != nil {
		t.Fatal(err)
	}
	return pair.Chain, pair.Key
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCertificateIsWhatEnvoyNeedsAndNothingElse(t *testing.T) {
	chain, key := keyPair(t, ecKey(t, elliptic.P256()))
	secret, leaf, err := listener.Certificate(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := secret.ValidateAll(); err != nil {
		t.Errorf("Envoy's own validation: %v", err)
	}
	got := secret.GetTlsCertificate()
	if secret.GetName() != contract.CertificateName || leaf.DNSNames[0] != "hub.example" ||
		!bytes.Equal(got.GetCertificateChain().GetInlineBytes(), chain) || !bytes.Equal(got.GetPrivateKey().GetInlineBytes(), key) {
		t.Errorf("secret %s for %v differs from what went in", secret.GetName(), leaf.DNSNames)
	}
	// A file that holds both, and words around them.
	both, _, err := listener.Certificate(append(append([]byte("notes\n"), key...), chain...), key)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(both, secret) {
		t.Error("a combined file gives another secret: the key would be in the chain")
	}
}

// Certificate refuses the pairs that Envoy would refuse, since it can report them, and no
// error shows a key.
func TestCertificateRefusesWhatCannotServe(t *testing.T) {
	chain, key := keyPair(t, ecKey(t, elliptic.P256()))
	_, otherKey := keyPair(t, ecKey(t, elliptic.P256()))
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weakChain, weakKey := keyPair(t, weak)
	oldChain, oldKey := keyPair(t, ecKey(t, elliptic.P224()))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edChain, edKey := keyPair(t, ed)
	for name, c := range map[string]struct {
		chain, key []byte
		says       string
	}{
		"nothing":     {nil, nil, "failed to find any PEM data"},
		"no key":      {chain, nil, "failed to find any PEM data in key"},
		"another key": {chain, otherKey, "does not match"},
		"swapped":     {key, chain, "failed to find"},
		"cut short":   {chain[:len(chain)/2], key, "failed to find"},
		"1024 bits":   {weakChain, weakKey, "1024 bits"},
		"P-224":       {oldChain, oldKey, "P-224"},
		"Ed25519":     {edChain, edKey, "neither RSA nor ECDSA"},
	} {
		secret, _, err := listener.Certificate(c.chain, c.key)
		if err == nil || secret != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want a refusal that says %q", name, err, c.says)
			continue
		}
		for line := range strings.Lines(string(c.key)) {
			if line = strings.TrimSpace(line); len(line) > 30 && strings.Contains(err.Error(), line) {
				t.Errorf("%s: the error shows the key", name)
			}
		}
	}
}

// The listener stays the same when the certificate changes: it holds a name.
func TestListenerHoldsNoCertificate(t *testing.T) {
	s := settings()
	s.TLS = true
	text := string(golden.YAML(t, listener.Listener(s)))
	if !strings.Contains(text, "sdsConfig") || strings.Contains(text, "inlineBytes") || strings.Contains(text, "privateKey") {
		t.Errorf("the listener does not only name its certificate:\n%s", text)
	}
}

func TestListeners(t *testing.T) {
	s := settings()
	if n := len(listener.Listeners(s)); n != 1 {
		t.Errorf("%d listeners without a redirect port", n)
	}
	s.RedirectPort = 8080
	if n := len(listener.Listeners(s)); n != 2 {
		t.Errorf("%d listeners with one", n)
	}
}
