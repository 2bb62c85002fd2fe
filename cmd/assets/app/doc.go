// Package app is the configuration of the assets service and its wiring, and the command line of
// "assets pack".
package app
