// Package nodes plays a cluster's scheduler and kubelets for pods that never run: it binds each
// pod to a node, waits until the pod's Secrets are there as a kubelet does, reports that it runs,
// and deletes it when that is asked for. One program answers for all pods, each at an address of
// its own, with the pod's own certificate if it has one.
//
// It runs no container, mounts no volume and pulls no image: how long these take is its caller's
// choice.
package nodes
