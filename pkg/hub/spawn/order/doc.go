// Package order owns the one message that a waiting pod of a pool gets: how it is written, how it is sent, and which
// answers and exit codes mean what. The other side is deploy/chart/files/waiting.py.
//
// It never decides which pod gets an order, and never sends one twice by itself.
package order
