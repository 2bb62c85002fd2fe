// Package pool owns how many pods of a profile wait for users at an hour, and what follows from the
// pods that there are: which are made, which are deleted, and which one a start takes.
//
// It is pure: values in, values out; no client, no clock, no logger. Package spawn knows what a
// waiting pod is made of, and package kube makes, claims and deletes them.
//
// A pod has one of a row of names (its slot), so that of two replicas that make one at a moment the
// API refuses the second. A pod that was somebody's never waits again.
package pool
