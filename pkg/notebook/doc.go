// Package notebook owns what a user's server is: its identity, the path it lives
// at, and the Kubernetes-safe name derived from it. A "notebook" here is any web
// application published for one user; JupyterLab is the usual one.
//
// It is pure and imports only the standard library. It never reads a pod (see
// podform) and never decides who may enter (see policy).
package notebook
