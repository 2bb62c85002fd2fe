// Package gobuild compiles Go programs of this repository, all of them with the same flags, and says meanwhile how far it
// is.
//
// Go's build cache keys a compiled package by its flags and by the version of its module. So what one program has compiled,
// the next one finds, as long as all are built here and the go.mod files pin the same versions (see TestOneVersion).
package gobuild
