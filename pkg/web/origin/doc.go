// Package origin owns what counts as our own site: the scheme of the public URL, the Host
// header values that the platform answers and, if each user has a host, those hosts.
//
// It compares and never parses a request. A service that answers a Host that is not ours
// lets a page of another site reach the platform under that site's name (DNS rebinding).
package origin
