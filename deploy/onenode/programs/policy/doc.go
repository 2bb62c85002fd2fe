// Package policy turns pods, namespaces and NetworkPolicies into the nftables rules of one node.
//
// It is pure: the same objects give the same Table, whatever was before. It knows no kernel and no API server; package enforce writes tables and watches objects.
//
// How a packet that opens a connection is judged, once as the egress of its sender and once as the ingress of its receiver, if that pod is on this node: the
// verdict map of the direction sends the address of a pod that some policy isolates to the chain of its namespace. There each policy that selects the
// pod has its own chain, and a rule in it that fits accepts. The end of the namespace's chain drops. Pods and ports are elements of sets, so that a pod that comes,
// goes or changes its labels changes elements and no rule.
package policy
