// Package dataplane tests the real Envoy with the three services in process and
// small upstreams in place of pods: no cluster. It covers what only the whole data
// path can show: which request reaches which pod, and what everyone else is told.
//
// Requests that clients would tidy up (paths, headers) are sent over raw sockets.
package dataplane
