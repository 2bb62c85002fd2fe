// Package app is the driver's configuration and its wiring.
package app
