// Package enforce keeps one node's nftables table as package policy computes it.
//
// It owns the table perijove_policy of the network namespace that the process runs in: Writer writes it, a change as one transaction. Enforcer watches
// pods, namespaces and NetworkPolicies, and hears from the CNI plugin (programs/policycni) of a pod's address before the pod's first process runs and
// before another pod can get the address. It decides nothing about who may connect to whom.
package enforce
