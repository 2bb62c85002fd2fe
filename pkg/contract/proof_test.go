package contract_test

import (
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
)

func TestProofName(t *testing.T) {
	const uid = "0b8fd1a6-54c5-4a4e-8f1c-6f2b7a0c9d3e"
	if name, err := contract.ProofName(uid); err != nil || name != uid+".pod.perijove.internal" {
		t.Errorf("ProofName = %q, %v", name, err)
	}
}

// K8: no UID makes a name that is several pods' or somebody else's.
func TestK8_HostileUIDsHaveNoProofName(t *testing.T) {
	for _, uid := range []string{
		"", "*", "*.x", "a.b", "a.", ".a", "-a", "a-", "A", "a b", "a\n", "a\x00", "a,DNS:b", "ä", "perijove_gateway", strings.Repeat("a", 64),
	} {
		if name, err := contract.ProofName(uid); err == nil {
			t.Errorf("UID %q is proven by %q", uid, name)
		}
	}
}
