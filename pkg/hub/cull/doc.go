// Package cull decides whether a server is in use, from what the server itself replies to three
// questions (Jupyter Server's REST API: /api/status, /api/kernels, /api/terminals).
//
// A server is in use while a kernel works, however silently, and for some time after the last
// kernel message, terminal output or input, changed file or opened page. A tab that only asks for
// news is no use. It is pure: no client, no clock; package kube asks and stops. A reply that
// cannot be read is no verdict, so it stops no server.
package cull
