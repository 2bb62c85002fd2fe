// Package space makes the network namespaces in which further nodes live, and enters them (namespaces(7)).
//
// It knows files and folders, not nodes: what is inside a namespace (interfaces, rules) is the work of package host, what runs in it of package parts.
package space
