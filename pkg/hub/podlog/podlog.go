package podlog

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"unicode"
)

// MaxBytes is how much of a log is shown at most.
const MaxBytes = 64 << 10

// Tail returns the last MaxBytes of what r gives. A first line that is cut is left out: a secret
// without its name would not be found.
func Tail(r io.Reader) ([]byte, error) {
	var all []byte
	cut := false
	chunk := make([]byte, 32<<10) //nolint:mnd // a buffer
	for {
		n, err := r.Read(chunk)
		all = append(all, chunk[:n]...)
		if len(all) > 2*MaxBytes { //nolint:mnd // so that each byte is moved once
			all, cut = append([]byte(nil), all[len(all)-MaxBytes:]...), true
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if err == nil {
			continue
		}
		if len(all) > MaxBytes {
			all, cut = all[len(all)-MaxBytes:], true
		}
		if cut {
			_, all, _ = bytes.Cut(all, []byte("\n"))
		}
		return all, nil
	}
}

var (
	// ansi are the escape sequences of terminals (ECMA-48): colours, and titles of windows.
	ansi = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|[@-Z\\\\^_])")
	// redrawn is a line that a program writes anew, such as a progress bar.
	redrawn = regexp.MustCompile("[^\n]*\r+([^\n])")
)

// Text returns a log as it is shown: lines without what only a terminal understands, and without
// secrets. It is untrusted, to be escaped.
func Text(log []byte) string {
	s := strings.ToValidUTF8(string(log), "�")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = ansi.ReplaceAllString(s, "")
	s = redrawn.ReplaceAllString(s, "$1")
	s = strings.Map(func(r rune) rune {
		// Format characters could turn the text around (U+202E).
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, s)
	return Mask(strings.TrimRight(s, " \n\t"))
}

// masked stands for a secret.
const masked = "•••"

// name matches the names of what is secret, with words around them.
const name = `[A-Za-z0-9_.\-]*(?:token|secret|passw(?:or)?d|passphrase|api[_\-]?key|access[_\-]?key|private[_\-]?key|credential|signature|session|cookie|authorization|_xsrf)[A-Za-z0-9_\-]*`

// rules are applied in turn.
var rules = []struct {
	pattern *regexp.Regexp
	with    string
}{
	// A private key (RFC 7468), also one whose beginning or end is not there.
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`), masked},
	{regexp.MustCompile(`\A[A-Za-z0-9+/=\s]*-----END [A-Z ]*PRIVATE KEY-----`), masked},
	// Headers of requests, whole.
	{regexp.MustCompile(`(?i)\b((?:set-)?cookie["']?\s*:)[^\n]+`), "${1} " + masked},
	{regexp.MustCompile(`(?i)\b((?:proxy-)?authorization["']?\s*:)[^\n]+`), "${1} " + masked},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{8,}`), "${1} " + masked},
	// JSON Web Tokens: API tokens of many services, our passes and sessions (RFC 7519, 7516).
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*){1,4}`), masked},
	// Tokens that their services mark as such, ours too.
	{regexp.MustCompile(`\b(?:hub_|gh[pousr]_|github_pat_|glpat-|hf_|sk-|xox[abprs]-|AKIA)[A-Za-z0-9_\-]{8,}`), masked},
	// The password in an address.
	{regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.\-]*://)[^/\s:@]*:[^/\s@]+@`), "${1}" + masked + "@"},
	// name=value in addresses, also quoted ones, environments and programs.
	{regexp.MustCompile(`(?i)(` + name + `["']?\s*(?:=|%3D|%253D)\s*)(?:"[^"\n]*"?|'[^'\n]*'?|[^\s&"',;)}\]%]+)`), "${1}" + masked},
	// "name": "value", and name: value where the value looks like no word.
	{regexp.MustCompile(`(?i)(` + name + `["']?\s*:\s*)(?:"[^"\n]{4,}"?|'[^'\n]{4,}'?|[A-Za-z0-9+/_.=\-]{16,})`), "${1}" + masked},
}

// Mask hides what looks like a secret.
func Mask(s string) string {
	for _, r := range rules {
		s = r.pattern.ReplaceAllString(s, r.with)
	}
	return s
}
