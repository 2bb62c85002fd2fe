// Package apiserver runs a real kube-apiserver with its etcd for tests, inside a network namespace
// of package netns: optimistic locking, watches and admission are Kubernetes' own. It starts no
// kubelet, scheduler or controller; kwok may play the nodes. `onenode build`, a part of make up, builds
// the programs.
package apiserver
