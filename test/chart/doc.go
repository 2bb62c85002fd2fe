// Package chart renders the Helm chart for tests and benchmarks, so that they use what an installation
// has and no copy of it. It owns no expectation of what is rendered and talks to no cluster.
package chart
