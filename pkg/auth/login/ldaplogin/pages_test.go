package ldaplogin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/slapd"
)

// capped is a directory with many groups that sends as much at a time as it likes.
type capped struct {
	groups  int  // that alice is in
	page    int  // entries or values in one answer, at most
	noPages bool // it ignores the control for pages, as RFC 4511 §4.1.11 allows
	// what it does wrong
	refers, isElsewhere, forEver, breaksRange, lastPageFails bool
}

func groupName(i int) string { return fmt.Sprintf("group-%d", i) }

// answer is for wire.answer. The cookie is the number of the next group.
func (d capped) answer(honest func(request) []byte) func(request) []byte {
	return func(r request) []byte {
		switch {
		case r.op != ldap.ApplicationSearchRequest:
			return honest(r)
		case strings.HasPrefix(r.fields, "ou=groups"):
			return d.search(r)
		case slices.ContainsFunc(r.attributes, func(a string) bool { return strings.HasPrefix(a, "memberOf") }):
			return d.person(r)
		}
		return honest(r)
	}
}

func (d capped) search(r request) []byte {
	from, to := 0, d.groups
	if r.paging != nil && !d.noPages {
		from, _ = strconv.Atoi(string(r.paging.Cookie))
		to = min(from+d.page, from+int(r.paging.PagingSize), d.groups)
	} else if to > d.page {
		to = d.page
	}
	var reply []byte
	for i := from; i < to && !d.forEver; i++ {
		reply = append(reply, entryPacket(r.id, "cn="+groupName(i)+",ou=groups", "cn", groupName(i))...)
	}
	if d.refers {
		op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
		op.AppendChild(text("ldap://elsewhere.test/ou=more,ou=groups"))
		reply = append(reply, message(r.id, op)...)
	}
	paging := &ldap.ControlPaging{}
	switch {
	case d.isElsewhere:
		return result(r.id, ldap.ApplicationSearchResultDone, ldap.LDAPResultReferral)
	case d.noPages && d.groups > d.page, d.lastPageFails && to == d.groups:
		return append(reply, result(r.id, ldap.ApplicationSearchResultDone, ldap.LDAPResultSizeLimitExceeded)...)
	case d.noPages:
		return append(reply, result(r.id, ldap.ApplicationSearchResultDone, 0)...)
	case d.forEver || to < d.groups:
		paging.Cookie = []byte(strconv.Itoa(to))
	}
	return append(reply, result(r.id, ldap.ApplicationSearchResultDone, 0, paging)...)
}

// person sends alice with as many values of memberOf as it likes, from where it is asked to.
func (d capped) person(r request) []byte {
	from := 0
	for _, a := range r.attributes {
		_, _ = fmt.Sscanf(a, "memberOf;range=%d-*", &from)
	}
	to := min(from+d.page, d.groups)
	name := fmt.Sprintf("memberOf;range=%d-%d", from, to-1)
	switch {
	case from == 0 && to == d.groups:
		name = "memberOf"
	case to == d.groups:
		name = fmt.Sprintf("MemberOf;Range=%d-*", from)
	}
	if d.breaksRange && from > 0 {
		name = "memberOf"
	}
	var values []string
	for i := from; i < to; i++ {
		values = append(values, "cn="+groupName(i)+",ou=groups")
	}
	alice := entryWith(r.id, "uid=alice,ou=people", attribute("uid", "alice"), attribute(name, values...))
	return append(alice, result(r.id, ldap.ApplicationSearchResultDone, 0)...)
}

// TestL8_GroupsAreCompleteOrRefused: directories cap answers. The last group is the one that
// makes alice an administrator, so a list that is cut would tell.
func TestL8_GroupsAreCompleteOrRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		directory capped
		memberOf  bool
		err, why  error
	}{
		"one page":                               {capped{groups: 10, page: 1000}, false, nil, nil},
		"exactly one page":                       {capped{groups: pageSize, page: 1000}, false, nil, nil},
		"several pages":                          {capped{groups: maxGroups, page: 1000}, false, nil, nil},
		"small pages":                            {capped{groups: 300, page: 7}, false, nil, nil},
		"more groups than we take":               {capped{groups: maxGroups + 1, page: 1000}, false, access.ErrNotAllowed, errManyGroups},
		"no pages, and it fits":                  {capped{groups: 300, page: 300, noPages: true}, false, nil, nil},
		"no pages, and a limit":                  {capped{groups: 301, page: 300, noPages: true}, false, access.ErrUnavailable, errSizeLimit},
		"a limit over all pages":                 {capped{groups: 300, page: 100, lastPageFails: true}, false, access.ErrUnavailable, errSizeLimit},
		"another server has more":                {capped{groups: 10, page: 1000, refers: true}, false, access.ErrUnavailable, errElsewhere},
		"another server has all":                 {capped{isElsewhere: true}, false, access.ErrUnavailable, errElsewhere},
		"L11 pages without end":                  {capped{groups: 10, page: 1000, forEver: true}, false, access.ErrUnavailable, nil},
		"memberOf":                               {capped{groups: 10, page: 1500}, true, nil, nil},
		"memberOf in parts":                      {capped{groups: maxGroups, page: 300}, true, nil, nil},
		"memberOf, more groups than we take":     {capped{groups: 1600, page: 1500}, true, access.ErrNotAllowed, errManyGroups},
		"memberOf, the second part is not there": {capped{groups: 500, page: 300, breaksRange: true}, true, access.ErrUnavailable, errParts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			w.answer = c.directory.answer(w.honest)
			login := New(scripted(t, nil, func(cfg *Config) {
				cfg.URLs, cfg.CAFile = []string{w.url}, w.caFile
				cfg.AllowedGroups, cfg.AdminGroups = []string{groupName(0)}, []string{groupName(c.directory.groups - 1)}
				if c.memberOf {
					cfg.GroupSearch.Filter, cfg.MemberOfAttribute = "", "memberOf"
				}
			}).cfg)
			if c.directory.forEver {
				login.timeout = 500 * time.Millisecond
			}
			user, err := login.Check(context.Background(), "alice", "pw")
			if !errors.Is(err, c.err) || !errors.Is(err, c.why) && c.why != nil {
				t.Fatalf("%v", err)
			}
			if err == nil && (len(user.Groups) != c.directory.groups || !user.Admin) {
				t.Errorf("%d groups of %d, administrator: %v", len(user.Groups), c.directory.groups, user.Admin)
			}
		})
	}
}

// TestL8_PagesOfARealDirectory: OpenLDAP sends 100 entries to anyone, and pages to the
// service account.
func TestL8_PagesOfARealDirectory(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	const groups = 230
	addPerson(t, server, "nina", nil)
	admin := server.Admin(t)
	for i := range groups {
		request := ldap.NewAddRequest(groupDN(groupName(i)), nil)
		for attribute, value := range map[string]string{"objectClass": "groupOfNames", "cn": groupName(i), "member": personDN("nina")} {
			request.Attribute(attribute, []string{value})
		}
		if err := admin.Add(request); err != nil {
			t.Fatal(err)
		}
	}
	const member = "(member={dn})"
	for name, c := range map[string]struct {
		change func(*Config)
		err    error
	}{
		"in pages":                {func(*Config) {}, nil},
		"groups in groups":        {func(c *Config) { c.GroupSearch.NestedFilter = member }, nil},
		"memberOf, not in a page": {func(c *Config) { c.GroupSearch.Filter, c.MemberOfAttribute = "", "memberOf" }, nil},
		// Negative control: nina's own connection has the limit for all pages together.
		"a limit": {func(c *Config) {
			c.BindDN, c.BindPasswordFile, c.BindTemplate = "", "", "uid={username},"+peopleBase
		}, errSizeLimit},
	} {
		cfg := everyone(server, member, "", "")
		cfg.AdminGroups = []string{groupName(groups - 1)}
		c.change(&cfg)
		user, err := check(t, cfg, "nina", "nina-password")
		if !errors.Is(err, c.err) || err == nil && (len(user.Groups) != groups || !user.Admin) {
			t.Errorf("%s: %d groups, administrator: %v, %v", name, len(user.Groups), user.Admin, err)
		}
	}
}
