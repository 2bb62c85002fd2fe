// Package server owns a user's server as a value: its identity, its path, and the
// Kubernetes-safe name derived from it. A server is any web application published for one
// user; JupyterLab is the usual one.
//
// It is pure: besides the standard library it imports the names of contract. It never reads a
// pod (see podmeta) and never decides what a user may do (see access).
package server
