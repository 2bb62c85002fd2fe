// Package rootfs unpacks Debian packages into a folder and runs programs in it.
//
// Packages are only unpacked: their install scripts do not run, so there is no package
// database to patch, no leftover of this machine, and it takes seconds. What such a
// script would have done and an image needs, its recipe does by name.
package rootfs
