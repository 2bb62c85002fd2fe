// Package liveness answers, from memory, whether a session or an API token still stands:
// not revoked, not idle, its person not disabled. And it keeps that answer true: it notes
// who is active, writes that to the accounts now and then, and asks the directory again
// about active people every few minutes.
//
// What the check of a request calls (Over, Seen, Current, Token) never waits for anything.
// All asking and writing happens in Run. The package never opens a cookie, never decides
// who may enter what, and never lets anybody in who is not known: it only ever says no.
package liveness
