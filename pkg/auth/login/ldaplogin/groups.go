package ldaplogin

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/server/access"
)

const (
	// maxGroups bounds how many groups one person has, nested ones included, and
	// maxDepth how deep they nest.
	maxGroups = 1000
	maxDepth  = 64
	// perSearch is how many groups one search asks about.
	perSearch = 50
	// pageSize is how many groups one answer holds (RFC 2696): half of what Active Directory
	// gives at most.
	pageSize = 500
	// ownDomainOnly keeps Active Directory from referring to its other partitions, where no
	// groups are: LDAP_SERVER_DOMAIN_SCOPE_OID ([MS-ADTS] §3.1.1.3.4.1.4).
	ownDomainOnly = "1.2.840.113556.1.4.1339"
)

// Why a person's groups are not known in full. That refuses the login: half a list might lack
// the one group that matters. errManyGroups is about the person, the others are about the
// directory.
var (
	errManyGroups = fmt.Errorf("%w: in more than %d groups, or in groups nested deeper than %d", access.ErrNotAllowed, maxGroups, maxDepth)
	errElsewhere  = errors.New("a part of groupSearch.base is on another server")
	errSizeLimit  = errors.New("the directory's size limit is below the number of the user's groups, and it does not send them in pages (OpenLDAP: size.prtotal)")
	errParts      = errors.New("the directory sends a list of groups in parts that do not fit together")
)

// groups returns the groups that entry's user is in.
func (l *Login) groups(c Conn, entry *ldap.Entry, username string) (found, error) {
	known, err := l.memberOf(c, entry)
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
	paging := ldap.NewControlPaging(pageSize)
	request := ldap.NewSearchRequest(l.cfg.GroupSearch.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0,
		int(timeout.Seconds()), false, filter, []string{l.cfg.GroupNameAttribute}, []ldap.Control{paging, ldap.NewControlString(ownDomainOnly, false, "")})
	groups := found{}
	for {
		res, err := c.Search(request)
		switch {
		case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
			return nil, errSizeLimit
		case ldap.IsErrorWithCode(err, ldap.LDAPResultReferral):
			return nil, errElsewhere
		case err != nil:
			return nil, fmt.Errorf("search for groups: %w", err)
		case len(res.Referrals) > 0:
			return nil, fmt.Errorf("%w: %.100q", errElsewhere, res.Referrals[0])
		}
		for _, e := range res.Entries {
			groups.add(e.DN, e.GetEqualFoldAttributeValues(l.cfg.GroupNameAttribute))
		}
		if len(groups) > maxGroups {
			return nil, errManyGroups
		}
		next := cookieOf(res.Controls)
		if len(next) == 0 {
			return groups, nil
		}
		paging.SetCookie(next)
	}
}

// cookieOf returns what to ask for the next page with; nothing after the last page, and
// where the server knows no pages: then it has sent all, or has failed with
// sizeLimitExceeded.
func cookieOf(controls []ldap.Control) []byte {
	paging, _ := ldap.FindControl(controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
	if paging == nil {
		return nil
	}
	return paging.Cookie
}

// memberOf reads the groups that the person's entry names itself. The group's name is
// taken from its DN; a group elsewhere in the directory may have any name, so only
// those below groupSearch.base count.
func (l *Login) memberOf(c Conn, entry *ldap.Entry) (found, error) {
	groups := found{}
	if l.cfg.MemberOfAttribute == "" {
		return groups, nil
	}
	base, err := ldap.ParseDN(l.cfg.GroupSearch.Base)
	if err != nil {
		return nil, fmt.Errorf("groupSearch.base: %w", err)
	}
	values, err := l.allValues(c, entry, l.cfg.MemberOfAttribute)
	if err != nil {
		return nil, err
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
	if len(groups) > maxGroups {
		return nil, errManyGroups
	}
	return groups, nil
}

// allValues returns an attribute's values. Active Directory sends 1500 of them, under the name
// "memberOf;range=0-1499", and more when it is asked for "memberOf;range=1500-*"
// ([MS-ADTS] §3.1.1.3.1.3.3). maxReply bounds all of them together.
func (l *Login) allValues(c Conn, entry *ldap.Entry, attribute string) ([]string, error) {
	all := entry.GetEqualFoldAttributeValues(attribute)
	part, from, to, ok := partOf(entry, attribute)
	if !ok {
		return all, nil
	}
	for {
		if !ok || from != len(all) {
			return nil, errParts
		}
		if all = append(all, part...); to == "*" {
			return all, nil
		}
		if len(part) == 0 || to != strconv.Itoa(len(all)-1) {
			return nil, errParts
		}
		more := fmt.Sprintf("%s;range=%d-*", attribute, len(all))
		res, err := c.Search(ldap.NewSearchRequest(entry.DN, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, int(timeout.Seconds()), false, "(objectClass=*)", []string{more}, nil))
		if err != nil {
			return nil, fmt.Errorf("read more groups: %w", err)
		}
		if len(res.Entries) != 1 {
			return nil, errParts
		}
		part, from, to, ok = partOf(res.Entries[0], attribute)
	}
}

// partOf returns the values that entry holds of a longer list, and which they are: from the
// first, counted from 0, to the last, "*" for the end of the list.
func partOf(entry *ldap.Entry, attribute string) (values []string, from int, to string, ok bool) {
	for _, a := range entry.Attributes {
		name, option, _ := strings.Cut(strings.ToLower(a.Name), ";")
		bounds, ranged := strings.CutPrefix(option, "range=")
		if name != strings.ToLower(attribute) || !ranged {
			continue
		}
		low, high, _ := strings.Cut(bounds, "-")
		first, err := strconv.Atoi(low)
		if err != nil {
			first = -1 // no list begins so
		}
		return a.Values, first, high, true
	}
	return nil, 0, "", false
}
