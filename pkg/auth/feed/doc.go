// Package feed owns how a replica of authz follows Secrets: one list, then a watch, and the
// moment up to which what it delivered is complete.
//
// A Feed hands each Secret to its Sink and keeps none. A Freshness is that moment: its owner
// proves again and again that the feed is not broken, and reads the age. The package never
// looks into a Secret and decides nothing: what to do while a feed is stale is the caller's
// policy (V7).
package feed
