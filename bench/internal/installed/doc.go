// Package installed is the platform as `make up` has put it on this machine, for benchmarks that use
// it from outside: its cluster, people whom they add to its development directory, and an end to
// those people's servers. It changes no setting of the platform.
package installed
