// Package session owns the session cookie: what it says, how it is sealed and opened,
// and the form tokens bound to it.
//
// A session is AEAD-sealed into its cookie (JWE, RFC 7516: alg "dir", enc "A256GCM"),
// so that authz answers when the directory and the Kubernetes API are both away.
// Nothing is stored here. Whether a session was revoked, pkg/auth/revocation knows; what its
// user may do, pkg/server/access. It never reads a clock or a request: time comes in as a value.
package session
