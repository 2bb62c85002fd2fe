// Package pins reads deploy/versions.env, the one file that names the versions of
// what the images are made of: KEY=value lines, readable by the shell and here.
//
// It never has a default: a version that is not pinned is an error.
package pins
