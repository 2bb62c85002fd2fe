// Package ldaplogin checks a user name and a password against an LDAP directory
// (RFC 4511) and returns the person that the directory's entry describes.
//
// One login is one connection: TLS first, then search as the service account, then bind
// as the person, then close. No connection is ever shared or kept, so no login can run
// with another's identity. What the form said is only ever a search term; the canonical
// name comes from the entry. It never sees a cookie or a request and never says whether
// a name exists: a wrong password and an unknown user give one error after the same
// exchanges.
package ldaplogin
