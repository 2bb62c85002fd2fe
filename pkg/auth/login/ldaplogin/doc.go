// Package ldaplogin checks a user name and a password against an LDAP directory
// (RFC 4511) and returns the person that the directory's entry describes; it also looks
// a person up again later, so that who was disabled or left a group does not stay in.
//
// Searches run as the service account on a few connections that are kept; a password is
// tried on a connection of its own that is closed afterwards. So no search can run with
// a person's identity, nor one login with another's. What the form said is only ever a
// search term or a part of a DN, escaped; the canonical name comes from the entry.
//
// It never sees a cookie or a request and never says whether a name exists: unknown,
// disabled and wrong password give one error after the same exchanges. It never sends
// anything to a directory without TLS. It does not count guesses: pkg/auth/login/ratelimit does.
package ldaplogin
