// Package certificate owns which certificate the public listener shows: it watches one
// Kubernetes TLS Secret and publishes its content whenever that is fit to serve.
//
// A bad or vanished Secret is told to a Reporter, once, and what was published stays.
// It never writes to the API, and never logs or reports any of a key.
package certificate
