package session

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
