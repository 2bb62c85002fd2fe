// Package access owns the user as a value, the ways in which a login fails, and the rights of
// users.
//
// It holds values and pure functions. It never asks a directory and never reads a cookie, a
// path or a clock: pkg/auth/login makes a User, pkg/auth/session carries it, this package
// judges it. It forbids every action that it does not know.
package access
