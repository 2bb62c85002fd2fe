// Package app owns how an Envoy leaves: it makes Envoy say that it is not ready,
// asks clients to go elsewhere, and waits until it serves none any more.
//
// It talks to Envoy's admin port only, which is on loopback, and never stops Envoy:
// that is the caller's (the kubelet's) next step.
package app
