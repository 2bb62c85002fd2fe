package identity

import (
	"slices"
	"strings"
)

// directory is the Issuer of a link to a user of the directory by name alone, and the first
// part of the Issuer of a link by an attribute. No provider is called so: theirs are URLs.
const directory = "ldap"

// Link is one thing that a login shows of its person. Issuer says what kind of thing it is.
type Link struct {
	Issuer  string `json:"issuer"`  // an OpenID Connect issuer URL, "ldap:<attribute>", or "ldap"
	Subject string `json:"subject"` // unique within the issuer
}

// Named is the link to the directory's user with that name: all there is to know where
// entries have no lasting id.
func Named(name string) Link { return Link{directory, name} }

// Entry is the link to the directory's entry with that value of an attribute that never
// changes, like entryUUID. Attribute names have no case (RFC 4512 §2.5).
func Entry(attribute, value string) Link {
	return Link{directory + ":" + strings.ToLower(attribute), value}
}

// Attribute returns the attribute of a link that Entry made; false for any other.
func (l Link) Attribute() (string, bool) { return strings.CutPrefix(l.Issuer, directory+":") }

// String is the link as it is written into logs.
func (l Link) String() string { return l.Issuer + " " + l.Subject }

// valid reports whether both halves are there.
func (l Link) valid() bool { return l.Issuer != "" && l.Subject != "" }

// Complete reports whether links say who somebody is.
func Complete(links []Link) bool {
	return len(links) > 0 && !slices.ContainsFunc(links, func(l Link) bool { return !l.valid() })
}

// Same reports whether a login that shows links, the strongest first, is of the person of an
// account that is known by links. The strongest kind that both have decides: a weaker one
// that agrees does not outweigh it. Without a common kind it is somebody else.
func Same(known, shown []Link) bool {
	for _, l := range shown {
		if i := slices.IndexFunc(known, func(k Link) bool { return k.Issuer == l.Issuer }); i >= 0 {
			return known[i] == l
		}
	}
	return false
}

// Rivals reports whether links of two persons come from one directory or one provider, so
// that a name of both was given twice there.
func Rivals(known, shown []Link) bool {
	return slices.ContainsFunc(known, func(k Link) bool {
		return slices.ContainsFunc(shown, func(l Link) bool { return l.source() == k.source() })
	})
}

// source is the directory or the provider that a link comes from.
func (l Link) source() string {
	if _, ok := l.Attribute(); ok {
		return directory
	}
	return l.Issuer
}

// HasID reports whether links of a directory's user hold more than the name.
func HasID(shown []Link) bool {
	return slices.ContainsFunc(shown, func(l Link) bool { return l.Issuer != directory })
}

// Lasting returns what an account remembers of a login: the name in the directory only if
// there is nothing better. Beside an id it would let in the next person of that name.
func Lasting(shown []Link) []Link {
	if !HasID(shown) {
		return slices.Clone(shown)
	}
	return slices.DeleteFunc(slices.Clone(shown), func(l Link) bool { return l.Issuer == directory })
}
