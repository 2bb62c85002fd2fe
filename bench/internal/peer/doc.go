// Package peer is JupyterHub on the cluster that `make up` has made: hub and proxy run on the
// machine, its servers are pods like the platform's own, in a namespace apart. It measures nothing.
package peer
