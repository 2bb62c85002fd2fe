// Package cleanup removes the node from the machine, half started or half killed too.
//
// It has three steps: Look collects what there is, Plan (pure) decides what of it is ours, Do carries the plan out. Ours is only what lies in the state folder,
// carries one of our names, has our mark in its environment, or was not there according to the ledger and is empty now.
package cleanup
