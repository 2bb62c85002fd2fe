package listener_test

import (
	"bytes"
	"crypto/elliptic"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/test/pki"
)

func TestCheckCA(t *testing.T) {
	ca, next := pki.New(t).Pair(), pki.New(t).Pair()
	leaf, err := pki.SelfSigned(ecKey(t, elliptic.P256()), "pod")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"one CA":                           ca.Chain,
		"two, while the first is replaced": append(bytes.Clone(ca.Chain), next.Chain...),
	} {
		if err := listener.CheckCA(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string][]byte{
		"nothing":                 nil,
		"no PEM":                  []byte("CA"),
		"a pod's certificate":     leaf.Chain,
		"broken":                  []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"its private key as well": append(bytes.Clone(ca.Chain), ca.Key...),
	} {
		if err := listener.CheckCA(text); err == nil || strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
