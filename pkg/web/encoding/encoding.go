package encoding

import (
	"strconv"
	"strings"
)

// Accepts reports whether a client takes a coding, such as "br" (RFC 9110 §12.5.3): its
// Accept-Encoding headers name it or "*", with a weight above zero. What they name counts before "*".
func Accepts(headers []string, coding string) bool {
	named, others := -1.0, 0.0
	for token := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, rest, _ := strings.Cut(token, ";")
		weight := 1.0
		if key, value, ok := strings.Cut(strings.TrimSpace(rest), "="); ok && strings.EqualFold(strings.TrimSpace(key), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				continue
			}
			weight = q
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case coding, "x-" + coding: // x-gzip is gzip (§8.4.1.3)
			named = max(named, weight)
		case "*":
			others = weight
		}
	}
	if named >= 0 {
		return named > 0
	}
	return others > 0
}
