// Package port finds out who holds a TCP port of this machine, from /proc alone
// (proc(5)): "address already in use" does not say whom to ask.
package port
