// Package cookies owns how our cookies are read from and written to headers: exactly
// one cookie of a name or none at all, and one set of attributes for setting and for
// deleting.
//
// It never looks into a value: pkg/auth/session and pkg/auth/pass do. Envoy keeps our cookies from
// pods (pkg/gateway/listener).
package cookies
