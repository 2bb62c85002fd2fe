// Package telemetry owns a service's reports about itself: JSON logs with the request id that
// Envoy made, Prometheus metrics, health, and the private port that serves them.
//
// It never logs a header, a cookie, a query or a body: each may hold a secret.
package telemetry
