// Package occupancy owns how full the cluster is: how many servers ran over the last day, and what
// they are promised of each node.
//
// It holds values and pure functions. The samples are kept in the cluster by package kube and drawn
// by package web.
package occupancy
