// Package compact owns the strict form of JOSE compact values (RFC 7515 §3.1, RFC 7516
// §3.1): one token has one spelling.
//
// It judges the form only and knows no key. Decoders of base64 ignore spare bits and
// line breaks, so that a sealed or signed value would have many spellings, each of them
// genuine to a library and different to a list or a cache.
package compact

import (
	"encoding/base64"
	"strings"
)

// Strict reports whether value has exactly that many parts of unpadded base64url in
// canonical form and is at most limit bytes long.
func Strict(value string, parts, limit int) bool {
	if len(value) > limit || strings.Count(value, ".") != parts-1 || strings.ContainsAny(value, "\r\n") {
		return false
	}
	for part := range strings.SplitSeq(value, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return true
}
