// Package parts says what the node consists of: which programs run, with which arguments, configuration files and certificates, in which order,
// and how to see that each of them works.
//
// It is pure: values in, values out. It starts nothing (package supervise does) and writes nothing (package app does).
package parts
