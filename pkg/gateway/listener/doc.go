// Package listener owns the part of Envoy's configuration that never changes at run time:
// the public listener with its hardening, the upstream clusters, and Envoy's own replies.
//
// It is pure. Nothing per user belongs here: any change of a listener drains the
// websockets on it (measured on Envoy 1.40), which is why routes are scopes
// (package scopes) and certificates come by SDS.
package listener
