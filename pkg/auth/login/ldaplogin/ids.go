package ldaplogin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/server/access"
)

// maxID bounds an id in bytes.
const maxID = 256

// errOtherEntry: a known name leads to the entry of another person.
var errOtherEntry = fmt.Errorf("%w: the name is another entry's now", access.ErrNotAllowed)

// idKind is one attribute that identifies an entry for good: the directory writes it once and
// never into another entry, whatever an entry is called and wherever it is moved.
type idKind struct {
	attribute string
	required  bool // an entry without it is refused
	// text is the id in one spelling; value is what a search compares with the attribute.
	text  func(raw []byte) string
	value func(text string) string
}

// lastingIDs are those of the directories that we know, the strongest first. Most are
// operational: a directory sends them only when they are named.
func lastingIDs() []idKind {
	return []idKind{
		{"objectGUID", false, guid, guidOctets},     // Active Directory
		{"ipaUniqueID", false, uuid, exactOctets},   // FreeIPA
		{"entryUUID", false, uuid, exactOctets},     // RFC 4530
		{"nsUniqueId", false, fours, exactOctets},   // 389 Directory Server
		{"ibm-entryUUID", false, uuid, exactOctets}, // IBM Security Directory Server
		{"GUID", false, exact, exactOctets},         // eDirectory
	}
}

// idKinds are the attributes that tell this directory's entries apart.
func (c Config) idKinds() []idKind {
	kinds := lastingIDs()
	if c.IDAttribute == "" {
		return kinds
	}
	own := idKind{attribute: c.IDAttribute, text: exact, value: exactOctets}
	if i := slices.IndexFunc(kinds, func(k idKind) bool { return strings.EqualFold(k.attribute, c.IDAttribute) }); i >= 0 {
		own = kinds[i]
		kinds = slices.Delete(kinds, i, i+1)
	}
	own.required = true
	return slices.Insert(kinds, 0, own)
}

// of returns the entry's id of this kind, or "" if there is not exactly one.
func (k idKind) of(entry *ldap.Entry) string {
	values := entry.GetEqualFoldRawAttributeValues(k.attribute)
	if len(values) != 1 || len(values[0]) > maxID {
		return ""
	}
	return k.text(values[0])
}

// links returns what the entry with that name shows of its person, the strongest first.
func (l *Login) links(entry *ldap.Entry, name string) ([]identity.Link, error) {
	var shown []identity.Link
	for _, kind := range l.ids {
		switch id := kind.of(entry); {
		case id != "":
			shown = append(shown, identity.Entry(kind.attribute, id))
		case kind.required:
			return nil, fmt.Errorf("%w: the entry needs one value of %s (idAttribute), of at most %d bytes", access.ErrNotAllowed, kind.attribute, maxID)
		}
	}
	return append(shown, identity.Named(name)), nil
}

// again returns the entry of a user who is known by links. The name is looked up first, since
// directories index it. If it leads nowhere, or to another person, the id is: the user may
// have been renamed.
func (l *Login) again(c Conn, name string, known []identity.Link) (*ldap.Entry, error) {
	entry, err := l.byName(c, name)
	if err == nil {
		if err = l.recognise(entry, known); err == nil {
			return entry, nil
		}
	}
	if !errors.Is(err, access.ErrNotAllowed) || errors.Is(err, errManyEntries) {
		return nil, err
	}
	renamed, unanswered := l.byID(c, known)
	switch {
	case unanswered != nil: // and says nothing about the person
		return nil, unanswered
	case renamed == nil:
		return nil, err
	}
	return renamed, l.recognise(renamed, known)
}

// recognise fails unless entry is of the person who is known by links.
func (l *Login) recognise(entry *ldap.Entry, known []identity.Link) error {
	name, err := l.canonical(entry)
	if err != nil {
		return err
	}
	shown, err := l.links(entry, name)
	if err != nil {
		return err
	}
	if !identity.Same(known, shown) {
		return errOtherEntry
	}
	return nil
}

// byID returns the entry with the strongest known id, or nil. The person must still pass the
// configured filter.
func (l *Login) byID(c Conn, known []identity.Link) (*ldap.Entry, error) {
	for _, kind := range l.ids {
		for _, link := range known {
			if link != identity.Entry(kind.attribute, link.Subject) {
				continue
			}
			entry, _, err := l.one(c, l.cfg.UserSearch.Base, ldap.ScopeWholeSubtree, l.anyName("("+kind.attribute+"="+ldap.EscapeFilter(kind.value(link.Subject))+")"))
			return entry, err
		}
	}
	return nil, nil
}

// uuid spells a UUID as RFC 4122 §3 does, whatever case, dashes and braces it comes with.
// Anything else stays as it is.
func uuid(raw []byte) string { return grouped(string(raw), 8, 4, 4, 4, 12) }

// fours spells a UUID in the four groups of nsUniqueId.
func fours(raw []byte) string { return grouped(string(raw), 8, 8, 8, 8) }

func grouped(text string, sizes ...int) string {
	digits, ok := hexDigits(text)
	if !ok {
		return exact([]byte(text))
	}
	var parts []string
	for _, n := range sizes {
		parts, digits = append(parts, digits[:n]), digits[n:]
	}
	return strings.Join(parts, "-")
}

// hexDigits returns the 32 digits of a UUID.
func hexDigits(text string) (string, bool) {
	digits := strings.NewReplacer("-", "", "{", "", "}", "").Replace(strings.ToLower(strings.TrimSpace(text)))
	octets, err := hex.DecodeString(digits)
	return digits, err == nil && len(octets) == 16
}

// guid spells the 16 octets of a GUID as Active Directory's own tools do: the first three
// groups are little-endian ([MS-DTYP] §2.3.4).
func guid(raw []byte) string {
	if len(raw) != 16 {
		return uuid(raw)
	}
	return uuid([]byte(hex.EncodeToString(littleEndian(raw))))
}

// guidOctets is the inverse of guid.
func guidOctets(text string) string {
	digits, ok := hexDigits(text)
	if !ok {
		return exactOctets(text)
	}
	octets, _ := hex.DecodeString(digits) // they are hex digits
	return string(littleEndian(octets))
}

// littleEndian turns the first three groups of a GUID around, in either direction.
func littleEndian(octets []byte) []byte {
	turned := slices.Clone(octets)
	for _, group := range [][]byte{turned[0:4], turned[4:6], turned[6:8]} {
		slices.Reverse(group)
	}
	return turned
}

// exact is a value as it is: two that differ in a letter's case may be two persons. What is
// no printable text becomes "#" and hex digits, like a text that begins so.
func exact(raw []byte) string {
	text := string(raw)
	unprintable := strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
	if utf8.ValidString(text) && !unprintable && !strings.HasPrefix(text, "#") {
		return text
	}
	return "#" + hex.EncodeToString(raw)
}

// exactOctets is the inverse of exact.
func exactOctets(text string) string {
	if digits, ok := strings.CutPrefix(text, "#"); ok {
		octets, _ := hex.DecodeString(digits) // exact wrote them
		return string(octets)
	}
	return text
}
