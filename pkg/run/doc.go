// Package run owns the life of a service process: its command line and configuration file,
// its log and exit code, its listeners and their shutdown, its client of the Kubernetes API.
//
// It knows no service's configuration and no handler. It never decides who may connect (see
// mtls).
package run
