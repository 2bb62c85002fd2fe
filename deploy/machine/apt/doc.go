// Package apt installs Debian packages that are missing, and nothing else: it never
// upgrades or removes one, and a daemon that a package brings along is not started.
package apt
