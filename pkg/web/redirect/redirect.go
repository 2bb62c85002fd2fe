package redirect

import (
	"net/url"
	"strings"
)

// maxLength bounds a value in bytes: it becomes a Location header. Envoy's default limit
// for all request headers together is 60 KiB.
const maxLength = 4096

// maxDecodings bounds how many layers of percent-encoding are looked through.
const maxDecodings = 4

// Safe takes the value of a "next" parameter (a path with an optional query, as it
// stood in a request line) and returns it unchanged with ok true if every browser
// resolves it to our own origin; otherwise "", false.
//
// Refused: anything not starting with exactly one slash, backslashes (browsers read
// them as slashes, WHATWG URL §4.4), control bytes, spaces and non-ASCII (browsers
// drop or fold some of them before parsing), fragments, dot segments, empty
// segments, and all of these hidden behind up to four layers of percent-encoding,
// since a proxy or an upstream may decode once more than we do.
func Safe(next string) (path string, ok bool) {
	if len(next) > maxLength || !strings.HasPrefix(next, "/") || !plain(next) {
		return "", false
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	onlyPath, _, _ := strings.Cut(next, "?")
	for range maxDecodings {
		if !harmless(onlyPath) {
			return "", false
		}
		decoded, err := url.PathUnescape(onlyPath)
		if err != nil || decoded == onlyPath {
			// "100%25.txt" decodes to "100%.txt", which decodes no further: the
			// name of a file, not a trick.
			return next, true
		}
		onlyPath = decoded
	}
	return "", false
}

// plain reports whether s is printable ASCII without the bytes that browsers treat
// specially anywhere in a URL.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return false
		}
	}
	return true
}

// harmless judges one decoding of a path: false if a lenient reader could take part of it
// for a host, a parent folder or the end of a header line.
func harmless(path string) bool {
	if strings.Contains(path, "//") || strings.ContainsFunc(path, hostile) {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		// "..;x" is a parent folder to some servers (CVE-2026-73551).
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return false
		}
	}
	return true
}

func hostile(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }
