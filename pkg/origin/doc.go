// Package origin owns what counts as our own site: the scheme of the public URL and the
// Host header values that the platform answers.
//
// It compares and never parses a request. Whoever answers a Host that is not ours helps
// a page on another site to reach the platform under that site's name (DNS rebinding).
package origin
