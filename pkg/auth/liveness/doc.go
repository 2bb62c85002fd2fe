// Package liveness answers, from memory, whether a session or an API token is still good:
// not revoked, not idle, its user not disabled. And it keeps that answer true: it notes who
// is active, writes that to the accounts now and then, and asks the directory or provider
// again about active users every few minutes.
//
// What the check of a request calls (User, Token, Seen, UsedToken) never waits. All asking
// and writing happens in Run. The package never opens a cookie, never decides who may enter
// what, and lets in no user whom it does not know: it only ever says no.
package liveness
