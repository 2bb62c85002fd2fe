// Package origin owns what counts as our own site: the scheme of the public URL, the Host
// header values that the platform answers, and, where everybody has one, the host of each
// person's servers.
//
// It compares and never parses a request. Whoever answers a Host that is not ours helps
// a page on another site to reach the platform under that site's name (DNS rebinding).
package origin
