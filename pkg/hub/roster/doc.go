// Package roster owns the list of all who have something here, as administrators look through
// it: search, filters, order and pages.
//
// It holds values and pure functions. What people have comes from a hub.Cluster, how it looks is
// package web's.
package roster
