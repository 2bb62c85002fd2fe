// Package app is the command line of onenode: it reads the arguments and puts the other packages to work in order. Rules live in those.
package app
