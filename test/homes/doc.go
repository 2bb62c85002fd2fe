// Package homes shows on the real cluster that late homes lose no file: a home full of files is mounted into pods, the
// pods end in every way that there is, and the files are counted each time.
//
// It is for the one-node cluster of this machine and runs as root: it reads homes from outside, kills the driver in the
// middle of system calls, and cuts the cluster's power.
package homes
