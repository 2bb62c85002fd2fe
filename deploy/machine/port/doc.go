// Package port finds the program that holds a TCP port of this machine, from /proc alone
// (proc(5)): "address already in use" does not name it.
package port
