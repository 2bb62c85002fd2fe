// Package pass owns the pass: a short-lived signed token (JWT, RFC 7519, ES256) that
// says that a user may enter one owner's servers. It travels in a cookie with the
// path of that owner, so it is seen by no other owner's pods, and Envoy can check it
// with nothing but the public keys.
//
// A pass is made from a session after pkg/server/access agreed. It never outlives the session,
// and an expired one is not worthless: it still proves which session it came from.
// The package reads no clock and does not know whether the session was revoked.
package pass
