// Package starts holds tests of starts by the hundred: two spawner replicas in this process, a real
// kube-apiserver, and nodes that kwok (https://kwok.sigs.k8s.io) simulates. It needs what make up
// builds, and no cluster.
package starts
