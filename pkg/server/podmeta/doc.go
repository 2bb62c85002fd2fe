// Package podmeta owns how a server is written on a Kubernetes pod and read back:
// labels, annotations, ports, readiness. It is the only place that touches the
// hub.jupyter.org and perijove.dev keys of a pod.
//
// It is pure: no client, no clock. It trusts nothing that it reads; who may write
// these keys is the admission policy's business (deploy/chart).
package podmeta
