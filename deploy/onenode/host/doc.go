// Package host changes the machine for the node, outside the state folder: kernel settings, the bridge, one nftables table, the cgroup that
// holds all pods. Before it changes anything it notes in the ledger how things were, so that `down` (package cleanup) can tell what is ours.
//
// Everything can be repeated. It starts no part of Kubernetes.
package host
