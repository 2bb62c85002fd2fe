// Package server owns what a user's server is: its identity, the path it lives
// at, and the Kubernetes-safe name derived from it. A server is any web application
// published for one user; JupyterLab is the usual one.
//
// It is pure and imports only the standard library. It never reads a pod (see
// podmeta) and never decides what a user may do (see access).
package server
