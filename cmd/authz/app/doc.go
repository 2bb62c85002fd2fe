// Package app is the authz service: its configuration and its wiring. Everything it
// does is in the packages that Run puts together.
package app
