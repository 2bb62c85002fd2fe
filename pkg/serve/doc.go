// Package serve owns how a service listens and stops: Unix sockets and TCP, time
// limits against slow clients, graceful shutdown of HTTP and gRPC.
//
// It never decides who may connect (see mtls) and knows no handler.
package serve
