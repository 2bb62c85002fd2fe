// Package claims asks the Kubernetes API which pods of a node were claimed, and where their homes are. It writes nothing
// but events, and trusts only what it asked itself: no name that a caller gives is a path.
package claims
