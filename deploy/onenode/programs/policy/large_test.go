package policy_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
)

// TestFiveHundredPoliciesAndPods measures what a change costs with the real nft, computing included. The bound for one change is what a pod's start may bear.
func TestFiveHundredPoliciesAndPods(t *testing.T) {
	node := newNode(t, 0)
	node.node.Range = netip.MustParsePrefix("10.244.0.0/16")
	cluster := large(500, 500)
	for i := range cluster.Pods {
		cluster.Pods[i].Local = true
	}
	write := func(what string, most time.Duration) {
		t.Helper()
		started := time.Now()
		table, faults := policy.Compute(cluster)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		node.in(func() {
			operations, err := node.writer.Write(t.Context(), table)
			must(t, err)
			took := time.Since(started)
			t.Logf("%s: %d operations, %s", what, operations, took.Round(time.Millisecond))
			if took > most || operations == 0 {
				t.Errorf("%s: %s, at most %s", what, took, most)
			}
		})
	}
	write("the whole table", 20*time.Second)
	gone := cluster.Pods[499]
	cluster.Pods = cluster.Pods[:499]
	write("a pod goes", 2*time.Second)
	cluster.Pods = append(cluster.Pods, gone)
	write("a pod comes", 2*time.Second)
	cluster.Policies = cluster.Policies[:499]
	write("a policy goes", 2*time.Second)
	cluster.Pods[7].Labels = map[string]string{"bit1": "1"}
	write("a pod gets other labels", 2*time.Second)
}
