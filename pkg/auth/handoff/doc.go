// Package handoff owns how a login gets from the hub's host to a user's own host, where each
// user has one (origin.Site.PerUser): the address to come back to, and the one-time code in it.
//
//  1. A page on alice's host has no pass. It gets a nonce in a cookie of that host and goes
//     to the hub's login page; "next" is ReturnTo.URL, which names the nonce's digest.
//  2. The login page, once there is a session, sends the browser back with a code: sealed,
//     for this owner, this digest, 30 seconds.
//  3. Alice's host redeems the code once, against the nonce in the cookie.
//
// So a code that leaks is useless in another browser, and no attacker can plant a login of
// their own in another browser (RFC 6749 §10.12). It never decides whether the user may
// enter (pkg/server/access) or makes a pass (pkg/auth/pass).
package handoff
