package server

import "strings"

// HostLabel returns the DNS label (RFC 1035 §2.3.4, at most 63 bytes, lower case) of the
// host of a user's servers, in installations with a host for each user. No two users share a label.
//
// It is the user's slug, with one exception: browsers read a label that begins with "xn--" as
// Punycode (RFC 5890 §2.3.2.1) and refuse it if it is not valid Punycode.
func HostLabel(user string) string {
	label := slug(user)
	if strings.HasPrefix(label, "xn--") {
		return "x" + label // still injective: only a hashed slug contains "--"
	}
	return label
}
