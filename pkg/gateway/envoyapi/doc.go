// Package envoyapi owns the pieces of Envoy's API that both the routes (package scopes) and
// the listener (package listener) are written with: the names of filters, packed messages,
// matchers.
//
// It is pure. It knows no route, no host and no setting.
package envoyapi
