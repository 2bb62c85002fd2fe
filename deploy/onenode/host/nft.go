package host

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

// ownTable is our nftables table of one node as nft(8) input, replaced in one transaction.
//
//   - Pods speak to the outside with the machine's address: the first node, which is on the way of all others, puts it in.
//   - The bridge has route_localnet (CNI portmap sets it so that http://localhost:<hostPort> works). Without the guard a pod could then reach what
//     listens on the node's 127.0.0.1, as in CVE-2020-8558. Cables to further nodes are guarded like the bridge.
func ownTable(n layout.Node) string {
	guarded, outbound := `!= "lo"`, ""
	if n.First() {
		guarded = fmt.Sprintf("%q", layout.InterfaceStart+"*") // the machine's other interfaces are none of our business
		outbound = fmt.Sprintf(`	chain outbound {
		type nat hook postrouting priority srcnat;
		ip saddr { %[1]s, %[2]s } ip daddr != { %[1]s, %[2]s, 224.0.0.0/4 } masquerade
	}
`, layout.PodCIDR, layout.NodeCIDR)
	}
	return fmt.Sprintf(`table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
	chain guard {
		type filter hook prerouting priority raw;
		iifname %[2]s ip daddr 127.0.0.0/8 drop
		iifname %[2]s ip saddr 127.0.0.0/8 drop
	}
%[3]s}
`, layout.NFTTable, guarded, outbound)
}

func nft(script string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s (does the kernel have nf_tables?)", err, out)
	}
	return nil
}

// ListTables returns the machine's nftables tables, each as "family name".
func ListTables() ([]string, error) {
	out, err := exec.Command("nft", "list", "tables").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("nft list tables: %w: %s (does the kernel have nf_tables?)", err, out)
	}
	var tables []string
	for line := range strings.Lines(string(out)) {
		if table, ok := strings.CutPrefix(strings.TrimSpace(line), "table "); ok {
			tables = append(tables, table)
		}
	}
	return tables, nil
}
