// Package cluster asks the node's Kubernetes API the few questions that `up` and `status` have, and applies the node's own manifests.
//
// It is a client with the administrator's certificate. It owns no rule: what is applied comes from package parts.
package cluster
