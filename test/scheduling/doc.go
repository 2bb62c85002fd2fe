// Package scheduling tests how servers get nodes: the real kube-apiserver and the real kube-scheduler,
// configured and with the rights as the chart says, pods as the spawner makes them, and nodes that are
// objects only. No kubelet runs anything.
package scheduling
