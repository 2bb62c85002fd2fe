// Package config owns how a service reads its configuration: strict YAML, every
// fault reported at once with its key, secrets only as files.
//
// It knows no service's fields and never falls back silently: an unknown key is a
// fault, since a misspelt setting that is ignored is how allow-lists fail open.
package config
