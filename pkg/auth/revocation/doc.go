// Package revocation owns which sessions are over before their time: session IDs (a
// logout) and per-user epochs (an administrator ends all of a person's sessions).
//
// The list lives in one Kubernetes Secret that every replica of authz watches; nothing
// else of a session is stored anywhere. List is the pure value, Store the adapter. A
// revocation holds here at once and elsewhere as soon as the watch delivers it. When the
// Kubernetes API is away the last known list goes on working, and what was revoked here
// meanwhile is written as soon as it is back. The package never opens a cookie and never
// un-revokes anything before its session would have ended anyway.
package revocation
