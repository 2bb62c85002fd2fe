// Package listener owns what never changes while Envoy runs: the public listener with
// its hardening, the upstream clusters, and the replies that Envoy gives by itself.
//
// It is pure. Nothing per user belongs here: any change of a listener drains the
// websockets on it (measured on Envoy 1.40), which is why routes are scopes
// (package scopes) and certificates come by SDS.
package listener
