// Package proof owns the certificates by which spawned pods prove which pod they are: what
// is in one, and the CA of servers that signs it.
//
// It keeps no list of certificates and revokes none: a pod's key dies with the pod's Secret,
// and no other pod ever has the same UID. Envoy's side is in pkg/gateway/listener.
package proof
