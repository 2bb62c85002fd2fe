// Package certificate owns which certificate the public listener shows: it watches one
// Kubernetes TLS Secret and publishes its content whenever that is fit to serve.
//
// It tells a Reporter once of a bad or vanished Secret, and the published certificate stays.
// It never writes to the API, and never logs or reports any of a key.
package certificate
