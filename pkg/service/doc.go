// Package service owns the life of a service process: its command line, its
// configuration file, its log, its exit code.
//
// It knows no service's configuration and starts nothing by itself.
package service
