// Package mtls owns access to internal TCP ports: TLS 1.3, a client certificate of the
// platform's own CA, and a name on the port's list. Files are read again when they change, so
// rotation needs no restart.
//
// It has no mode that skips verification, and a port without names refuses all.
package mtls
