// Package scopes owns how servers and the platform's own pages become Envoy
// routes: one ScopedRouteConfiguration per owner, so that one person's change is
// one small resource whatever the number of people.
//
// It is pure: the same servers give the same bytes in any order. A server that
// cannot be routed is skipped with its reason and never harms another. The
// listener those routes hang on is package listener's.
package scopes
