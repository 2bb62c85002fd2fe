// Package app is the command line of the image builder and its wiring.
package app
