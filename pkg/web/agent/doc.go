// Package agent names a browser and its system from what the browser says of itself (RFC 9110
// §10.1.5, User-Agent), so that a user knows a session again.
//
// It owns the few names that it gives. It never decides anything: any program may call itself
// anything. It never returns a word of the header, which is untrusted.
package agent
