// Package ads owns how resources reach Envoys: a delta ADS server that sends
// each Envoy what changed, and knows what each has ACKed.
//
// Its cost is O(changed): every stream keeps the set of names that its Envoy does
// not have yet, and at most one response of a type is under way; what changes
// meanwhile is coalesced. go-control-plane's own caches walk all resources for
// every stream and change (35 ms at 100 000, measured), so only its protocol
// server is used. Versions are content hashes: replicas agree, and an Envoy that
// reconnects to another one gets only what differs, removals included.
//
// It knows no route and no pod. State-of-the-world streams and Fetch are refused
// (CVE-2026-53714: a check that covered only one of the methods).
package ads
