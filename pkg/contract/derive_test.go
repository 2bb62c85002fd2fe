package contract_test

import (
	"bytes"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
)

// TestSecretsOfAPod: each purpose, pod and nonce has its own secret. The value of a server's is that of pods that run
// while the platform is updated, so it stays what it was.
func TestSecretsOfAPod(t *testing.T) {
	master := bytes.Repeat([]byte("k"), 32)
	const before = "xCGi2Ymx42TUW9A1ylvOhfDnl8WUzma09-aP29hMTxQ"
	if got := contract.ServerSecret(master, "ns", "server-alice", "n1"); got != before {
		t.Errorf("the secret of a server is now %q", got)
	}
	seen := map[string]bool{}
	for _, pod := range [][3]string{{"ns", "a", "n"}, {"ns", "an", ""}, {"nsa", "", "n"}, {"ns", "a", "m"}} {
		for _, derive := range []func([]byte, string, string, string) string{contract.ServerSecret, contract.OrderKey} {
			seen[derive(master, pod[0], pod[1], pod[2])] = true
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d secrets of 8 are different", len(seen))
	}
}
