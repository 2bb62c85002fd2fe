// Package rig starts what the benchmarks measure, as real processes inside one network
// namespace: etcd and kube-apiserver, xds-server, authz, Envoys, the upstream that plays
// all pods, and the peers.
//
// It measures nothing. Everything that it starts dies with the benchmark.
package rig
