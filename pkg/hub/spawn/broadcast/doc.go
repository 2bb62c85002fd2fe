// Package broadcast tells those who watch a server that something about it has changed.
//
// It says that, never what: a watcher looks again, so a missed or doubled call does no
// harm. It knows nothing of clusters.
package broadcast
