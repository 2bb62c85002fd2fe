// Package identity is the result of any login: who the visitor is.
//
// It holds values only. It never asks a directory, reads a cookie or decides what
// a user may do: pkg/login makes a User, pkg/session carries one, pkg/policy judges it.
package identity
