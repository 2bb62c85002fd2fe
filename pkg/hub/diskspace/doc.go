// Package diskspace asks nodes how full the volumes of servers are, and what servers take of CPU and
// memory: each kubelet says it of its own pods (Kubernetes: node metrics data, /stats/summary).
//
// It owns how often a node is asked, what of its answer is believed, and that the token is shown to
// a kubelet only that proves its address with a certificate of the cluster's authority. It never
// uses an unverified connection, never asks twice in a quarter of a minute, and keeps no page
// waiting: where an answer is missing, the page is shown without.
package diskspace
