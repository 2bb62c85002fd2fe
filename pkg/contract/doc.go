// Package contract owns every name that two processes share: labels, annotations,
// headers, cookies, paths and xDS resource names, and the pure functions that
// derive one side of an agreement from the other.
//
// It imports nothing but the standard library, and it never reads or writes
// anything. A literal "x-perijove-…" or "hub.jupyter.org/…" elsewhere in the tree is a bug.
package contract
