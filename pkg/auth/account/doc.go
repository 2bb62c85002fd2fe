// Package account owns what the platform remembers of a person between two requests:
// whose login a user name belongs to, what the directory said last, the sessions that
// are open and the API tokens.
//
// There is one Kubernetes Secret per person. Every replica of authz watches them all and
// answers from memory; the Secrets themselves are not kept. What happens to an account
// is a method on Account, a pure value; Store is the adapter: it reads, writes with
// optimistic locking, and watches.
//
// It never decides who may log in, never opens a cookie and never ends a session by
// itself: pkg/auth/revocation does. It holds no secret in clear text: tokens are hashes, a
// refresh token and an ID token hint are sealed before they get here, and both are left
// out of what is held in memory.
package account
