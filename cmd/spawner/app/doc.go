// Package app is the spawner as a function: configuration, wiring, and nothing else.
package app
