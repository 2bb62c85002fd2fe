// Package revocation owns which sessions are over before their time: single sessions (a
// logout) and per-user epochs (an administrator ends all sessions of a user).
//
// The list lives in one Kubernetes Secret that every replica of authz follows; a session is
// otherwise stored nowhere but in its account. List is the pure value, Store the adapter: it
// reads, writes and follows the Secret. A revocation holds here at once and elsewhere as soon
// as the watch delivers it. When the Kubernetes API is away the last known list stays in
// force, and what was revoked here meanwhile is written as soon as it is back.
//
// A user's entries are bounded: more of them become an epoch. So no user fills the list that
// all logouts need. The package never opens a cookie and never makes a session valid again.
package revocation
