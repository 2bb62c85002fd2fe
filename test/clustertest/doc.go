// Package clustertest is what every hub.Cluster must do, as tests: each implementation
// runs the same suite.
package clustertest
