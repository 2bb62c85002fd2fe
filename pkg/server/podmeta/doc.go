// Package podmeta writes a server's identity on a Kubernetes pod and reads a server from one:
// labels, annotations, ports, readiness. It is the only place that touches the hub.jupyter.org
// and perijove.dev keys of a pod.
//
// It is pure: no client, no clock. It trusts nothing that it reads; the admission policy
// (deploy/chart) limits who may write these keys.
package podmeta
