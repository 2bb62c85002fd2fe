// Package oidclogin logs people in with an OpenID Connect provider (OpenID Connect Core
// 1.0, RFC 6749, RFC 7636, RFC 9207): it makes the request that a browser is sent away
// with, judges the answer that it brings back, and turns the claims into a person.
//
// A Provider owns everything that is asked of one provider: discovery, the exchange of
// the code, the check of the ID token, user info, the refresh of a login, logout in both
// directions. What the provider must prove is decided by pure functions over claims.
//
// It keeps nothing between the two halves of a login but a sealed value that the
// browser carries. It never sets a cookie, never decides whose name a login gets
// (pkg/auth/account does) and never fetches an address that a token or a browser named.
package oidclogin
