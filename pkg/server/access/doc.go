// Package access owns who a user is, how a login fails, and what a user may do.
//
// It holds values and pure functions. It never asks a directory, reads a cookie, a path or a
// clock: pkg/auth/login makes a User, pkg/auth/session carries one, this package judges it.
// It forbids what it does not know.
package access
