package ldaplogin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/server/access"
)

const (
	// maxGroups bounds how many groups one person has, nested ones included, and
	// maxDepth how deep they nest. More than that refuses the login: half a list might
	// lack the one group that matters.
	maxGroups = 1000
	maxDepth  = 64
	// perSearch is how many groups one search asks about.
	perSearch = 50
)

var errManyGroups = errors.New("too many groups for one person, or nested too deeply")

// groups returns the groups that entry's user is in.
func (l *Login) groups(c Conn, entry *ldap.Entry, username string) (found, error) {
	known, err := l.memberOf(entry)
	if err != nil {
		return nil, err
	}
	if f := l.cfg.GroupSearch.Filter; f != "" {
		direct, err := l.searchGroups(c, strings.NewReplacer(placeDN, ldap.EscapeFilter(entry.DN), placeName, ldap.EscapeFilter(username)).Replace(f))
		if err != nil {
			return nil, err
		}
		merge(known, direct)
	}
	return known, l.nested(c, known)
}

// group is one group of the directory; names is empty when its DN does not say them.
type group struct {
	dn    string
	names []string
}

// found holds groups by their DN in the one spelling by which two are compared.
type found map[string]group

func (f found) add(dn string, names []string) { f[dnKey(dn)] = group{dn, names} }

// dnKey is the one spelling by which two DNs are compared.
func dnKey(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return dn
	}
	return strings.ToLower(parsed.String())
}

// names returns the groups' names as the directory writes them, sorted.
func (f found) names() []string {
	var names []string
	for _, g := range f {
		names = append(names, g.names...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// any reports whether one of the groups is wanted, by its name (access.SameGroup) or by its DN,
// which directories compare without regard to case and blanks too.
func (f found) any(wanted []string) bool {
	return slices.ContainsFunc(wanted, func(want string) bool {
		if _, ok := f[dnKey(want)]; ok && strings.Contains(want, "=") {
			return true
		}
		for _, g := range f {
			if access.InGroup(g.names, []string{want}) {
				return true
			}
		}
		return false
	})
}

// merge adds what is new in more and returns its DNs, sorted.
func merge(known, more found) (fresh []string) {
	for key, g := range more {
		if _, ok := known[key]; !ok {
			known[key] = g
			fresh = append(fresh, g.dn)
		}
	}
	slices.Sort(fresh)
	return fresh
}

// nested adds the groups that known's groups belong to, level by level, each once:
// a cycle adds nothing new and ends (L8).
func (l *Login) nested(c Conn, known found) error {
	if l.cfg.GroupSearch.NestedFilter == "" {
		return nil
	}
	level := merge(found{}, known)
	for range maxDepth {
		if len(level) == 0 {
			return nil
		}
		var next []string
		for some := range slices.Chunk(level, perSearch) {
			more, err := l.searchGroups(c, anyOf(l.cfg.GroupSearch.NestedFilter, some))
			if err != nil {
				return err
			}
			next = append(next, merge(known, more)...)
			if len(known) > maxGroups {
				return errManyGroups
			}
		}
		level = next
	}
	if len(level) > 0 {
		return errManyGroups
	}
	return nil
}

// anyOf is filter for each of dns, joined by "or".
func anyOf(filter string, dns []string) string {
	var b strings.Builder
	b.WriteString("(|")
	for _, dn := range dns {
		b.WriteString(strings.ReplaceAll(filter, placeDN, ldap.EscapeFilter(dn)))
	}
	b.WriteString(")")
	return b.String()
}

func (l *Login) searchGroups(c Conn, filter string) (found, error) {
	res, err := c.Search(ldap.NewSearchRequest(l.cfg.GroupSearch.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, maxGroups,
		int(timeout.Seconds()), false, filter, []string{l.cfg.GroupNameAttribute}, nil))
	if err != nil {
		return nil, fmt.Errorf("search for groups: %w", err)
	}
	groups := found{}
	for _, e := range res.Entries {
		groups.add(e.DN, e.GetEqualFoldAttributeValues(l.cfg.GroupNameAttribute))
	}
	return groups, nil
}

// memberOf reads the groups that the person's entry names itself. The group's name is
// taken from its DN; a group elsewhere in the directory may have any name, so only
// those below groupSearch.base count.
func (l *Login) memberOf(entry *ldap.Entry) (found, error) {
	groups := found{}
	if l.cfg.MemberOfAttribute == "" {
		return groups, nil
	}
	base, err := ldap.ParseDN(l.cfg.GroupSearch.Base)
	if err != nil {
		return nil, fmt.Errorf("groupSearch.base: %w", err)
	}
	for _, a := range entry.Attributes {
		// Active Directory sends "memberOf;range=0-1499" when there are more.
		if name, option, ok := strings.Cut(a.Name, ";"); ok && strings.EqualFold(name, l.cfg.MemberOfAttribute) && strings.HasPrefix(strings.ToLower(option), "range=") {
			return nil, errManyGroups
		}
	}
	values := entry.GetEqualFoldAttributeValues(l.cfg.MemberOfAttribute)
	if len(values) > maxGroups {
		return nil, errManyGroups
	}
	for _, v := range values {
		dn, err := ldap.ParseDN(v)
		if err != nil || !base.AncestorOfFold(dn) {
			continue
		}
		var names []string
		for _, a := range dn.RDNs[0].Attributes {
			if strings.EqualFold(a.Type, l.cfg.GroupNameAttribute) {
				names = append(names, a.Value)
			}
		}
		groups.add(v, names)
	}
	return groups, nil
}
