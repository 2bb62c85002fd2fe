// Package publish owns the way from pods to published routes: it keeps which pods
// claim which user, rebuilds the scopes of exactly the users that changed, and
// knows which server's route every Envoy has ACKed.
//
// Reading a pod is podmeta's, building routes is scopes', sending them ads'.
// A pod that cannot be published is told to a Reporter and harms no other.
package publish
