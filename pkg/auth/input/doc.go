// Package input tells when a user types into a page that sends no requests: a terminal, a
// notebook whose websocket is open. Without it such a user would be logged out as idle.
//
// Envoy reports for each open websocket, every few seconds, how many bytes it has received
// from the client, and whose session opened it (Tag). meter.go tells a user's input from what a
// page sends by itself, server.go puts it behind gRPC (Envoy's access log service).
//
// Input extends a session that is alive and never revives one. What a server sends is no
// input: a kernel that works does not keep its user logged in. Nothing here waits, and nothing
// reads what was typed: Envoy reports a number.
package input
