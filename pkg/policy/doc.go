// Package policy decides who may enter what. It is one pure function over values: who
// the visitor is, and what the route that Envoy picked says about the target.
//
// It never sees a path, a cookie or a clock, and what it does not know it forbids.
package policy
