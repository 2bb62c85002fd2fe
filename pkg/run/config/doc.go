// Package config owns how a service reads its configuration: strict YAML, every
// fault reported at once with its key, secrets only as files.
//
// It knows no service's fields and never falls back silently. An unknown key is a fault: an
// allow-list whose key is misspelt and ignored would let everyone in.
package config
