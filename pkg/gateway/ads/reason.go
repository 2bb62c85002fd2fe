package ads

import (
	"regexp"
	"strings"
	"unicode"
)

// maxReason bounds a cleaned reason, in bytes.
const maxReason = 600

var (
	// dump is a line of a message in protobuf's text format, and the line before the first.
	dump = regexp.MustCompile(`^(goo\.gle/debug\w*|[\w.]+: ?\S.*|(\[[\w./]+\]|[\w.]+) ?[{<]|[}>])\s*$`)
	// quoted is a value in that format, also where the dump is one line.
	quoted = regexp.MustCompile(`"(\\.|[^"\\])*"?`)
	// dense is what no word is and a key or a secret may be.
	dense = regexp.MustCompile(`[A-Za-z0-9_+/=-]{32,}`)
)

// reason makes Envoy's message about a refusal fit for logs and answers: one line of at most
// maxReason bytes without the refused resource. Envoy may repeat that resource whole, with the
// secret of a user's server in it.
func reason(message string) string {
	var kept []string
	lines := strings.Split(message, "\n")
	for _, line := range lines {
		if line = strings.TrimSpace(line); len(lines) == 1 || !dump.MatchString(line) {
			kept = append(kept, strings.TrimLeft(line, ": "))
		}
	}
	text := quoted.ReplaceAllString(strings.Join(kept, " "), "…")
	text = dense.ReplaceAllStringFunc(text, func(s string) string {
		if strings.ContainsAny(s, "0123456789") {
			return "…"
		}
		return s
	})
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "")
	}
	if text == "" {
		return "Envoy gave no reason"
	}
	return text
}
