// Package memory keeps servers in memory, without Kubernetes: for the tests of the hub's
// pages, and for whoever wants to see them without a cluster.
//
// What a pod is, what its state means and what a start does about it comes from package
// spawn, as for pkg/hub/spawn/kube; test/clustertest holds both to the same
// behaviour. No container runs here: Change says what would have become of a pod.
package memory
