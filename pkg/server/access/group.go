package access

import (
	"slices"
	"strings"
)

// SameGroup reports whether two names are one group's. Directories compare names without regard
// to case and to blanks around and between words (caseIgnoreMatch, RFC 4517 §4.2.11), so what an
// administrator writes may be spelt otherwise than what a directory answers. A name without a
// letter is no group's.
//
// The login at an OpenID Connect provider compares exactly: its groups may be identifiers, two of
// which differ by case.
func SameGroup(a, b string) bool {
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	a, b = words(a), words(b)
	return a != "" && strings.EqualFold(a, b)
}

// InGroup reports whether one of a user's groups is one of wanted.
func InGroup(groups, wanted []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return SameGroup(g, w) })
	})
}
