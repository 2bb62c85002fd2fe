// Package trail owns the short list of what happened to a person's servers or account, which
// administrators read on their pages.
//
// It is kept in what a service writes about the person anyway, so an event costs no call of the
// API. It is no audit log: it is short, and the oldest events are forgotten. It never holds a
// password, a token or a session's id.
package trail
