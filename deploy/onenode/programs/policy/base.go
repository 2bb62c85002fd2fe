package policy

import (
	"fmt"
	"net/netip"
)

// Node is where the rules act.
type Node struct {
	Range  netip.Prefix // addresses that this node gives to its pods
	Bridge string       // network interface that the pods are on
}

// BaseChain is a chain that the kernel enters by itself.
type BaseChain struct {
	Name, Hook string
	Order      int // chains of one hook are entered in this order; an accept in one does not spare a packet the next
	Rules      []string
}

// Base returns the chains through which every packet to or from the node's pods goes. What the node itself sends its pods passes none of them: the kubelet
// must reach its pods to probe them, and Kubernetes allows a node that always.
//
//   - Answers pass: conntrack knows them. So does a connection that was allowed when it began and no longer is.
//   - Pods have no IPv6 address of Kubernetes', but the kernel gives each a link-local one, by which they could pass around all rules.
//   - A packet to many is for no pod in particular, so no policy could let it in.
//   - An address of the pods' range that no known pod has gets nothing through: it may be a pod whose rules are not there yet.
func Base(node Node) []BaseChain {
	judge := func(direction Direction) []string {
		pod, _ := direction.ends()
		return []string{
			"ct state established,related accept",
			"ip saddr . ip daddr @" + Self + " accept",
			fmt.Sprintf("%s vmap @%s", pod, direction),
			fmt.Sprintf("%s %s %s != @%s drop", pod, node.Range, pod, Known),
		}
	}
	noIPv6 := func(interfaces ...string) (rules []string) {
		for _, word := range interfaces {
			rules = append(rules, fmt.Sprintf("meta nfproto ipv6 %s %q drop", word, node.Bridge))
		}
		return rules
	}
	toMany := fmt.Sprintf("oifname %q ip daddr { 224.0.0.0/4, 255.255.255.255 } drop", node.Bridge)
	return []BaseChain{
		{Name: "forwarded-egress", Hook: "forward", Order: 1, Rules: append(noIPv6("iifname", "oifname"), judge(Egress)...)},
		{Name: "forwarded-ingress", Hook: "forward", Order: 2, Rules: append([]string{toMany}, judge(Ingress)...)},
		// To the node's own addresses, where the kubelet, the API server and host ports listen.
		{Name: "to-node", Hook: "input", Order: 1, Rules: append(append([]string{`iifname "lo" accept`}, noIPv6("iifname")...), judge(Egress)...)},
	}
}
