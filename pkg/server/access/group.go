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
	key := groupKey(a)
	return key != "" && key == groupKey(b)
}

// groupKey is the same text for all spellings of a group's name, "" for no group. Of letters
// with several small or large forms (K, the Kelvin sign) one is left.
func groupKey(name string) string {
	return strings.ToLower(strings.ToUpper(strings.Join(strings.Fields(name), " ")))
}

// Groups are a user's groups, ready to be asked many times.
type Groups map[string]bool

// NewGroups returns the groups with these names.
func NewGroups(names []string) Groups {
	g := make(Groups, len(names))
	for _, name := range names {
		if key := groupKey(name); key != "" {
			g[key] = true
		}
	}
	return g
}

// Any reports whether one of the groups is one of wanted (SameGroup).
func (g Groups) Any(wanted []string) bool {
	return slices.ContainsFunc(wanted, func(name string) bool { return g[groupKey(name)] })
}

// InGroup reports whether one of a user's groups is one of wanted.
func InGroup(groups, wanted []string) bool { return NewGroups(groups).Any(wanted) }
