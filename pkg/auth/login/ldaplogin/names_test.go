package ldaplogin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server/access"
)

// TestGroupsAsAdministratorsWriteThem: directories compare names and DNs of groups without
// regard to case and blanks, and so does who may log in. The names are kept as the directory
// writes them.
func TestGroupsAsAdministratorsWriteThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		allowed, admins []string
		ok, admin       bool
	}{
		"as written":          {[]string{"Research Staff"}, nil, true, false},
		"another case":        {[]string{"research staff"}, nil, true, false},
		"other blanks":        {[]string{" Research  Staff "}, nil, true, false},
		"DN":                  {[]string{"cn=Research Staff,ou=groups"}, nil, true, false},
		"DN in another case":  {[]string{"CN=research staff, OU=Groups"}, nil, true, false},
		"another group's DN":  {[]string{"cn=Research Staff,ou=others"}, nil, false, false},
		"half of a name":      {[]string{"Research"}, nil, false, false},
		"blanks left out":     {[]string{"ResearchStaff"}, nil, false, false},
		"administrators":      {[]string{"none"}, []string{"RESEARCH STAFF"}, true, true},
		"administrators' DN":  {[]string{"none"}, []string{"cn=research staff,ou=groups"}, true, true},
		"no DN, but an equal": {[]string{"a=b"}, nil, false, false},
	} {
		s := &script{users: []*ldap.Entry{aliceEntry()}, groups: []*ldap.Entry{
			entry("cn=Research Staff,ou=groups", map[string][]string{"cn": {"Research Staff"}}),
		}}
		user, err := scripted(t, s, func(cfg *Config) { cfg.AllowedGroups, cfg.AdminGroups = c.allowed, c.admins }).Check(context.Background(), "alice", "pw")
		if (err == nil) != c.ok || user.Admin != c.admin {
			t.Errorf("%s: %+v %v", name, user, err)
		}
		if c.ok && !slices.Equal(user.Groups, []string{"Research Staff"}) {
			t.Errorf("%s: the groups are kept as %q", name, user.Groups)
		}
	}
}

// TestTwoEntriesOfOneNameAreTold: the user sees a wrong password, the administrator the reason.
func TestTwoEntriesOfOneNameAreTold(t *testing.T) {
	t.Parallel()
	two := []*ldap.Entry{aliceEntry(), entry("uid=alice,ou=guests", map[string][]string{"uid": {"alice"}})}
	for name, s := range map[string]*script{
		"two entries": {users: two}, "more than asked for": {search: ldapError(ldap.LDAPResultSizeLimitExceeded)},
	} {
		_, err := scripted(t, s, nil).Check(context.Background(), "alice", "pw")
		if !errors.Is(err, access.ErrCredentials) || !strings.Contains(err.Error(), "two or more entries") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := scripted(t, &script{}, nil).Check(context.Background(), "alice", "pw")
	if !errors.Is(err, access.ErrCredentials) || err.Error() != access.ErrCredentials.Error() {
		t.Errorf("an unknown name: %v", err)
	}
}

// TestBindNames: Active Directory takes names in a bind that are no DNs (RFC 4513 §5.1.3).
func TestBindNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"cn=perijove,dc=example,dc=org": true, "perijove@example.org": true, `EXAMPLE\perijove`: true,
		"": false, "perijove": false, "@example.org": false, "perijove@": false, `\perijove`: false, `EXAMPLE\`: false,
		"a@b@c": false, `A\B\c`: false, "per\x00ijove@example.org": false,
	} {
		l := scripted(t, nil, func(c *Config) { c.BindDN = name })
		var f config.Faults
		l.cfg.Validate("ldap", &f)
		refused := f.Err() != nil && strings.Contains(f.Err().Error(), "ldap.bindDN")
		if refused == ok {
			t.Errorf("%q: %v", name, f.Err())
		}
	}
	// The directory gets it as it is written.
	s := &script{users: []*ldap.Entry{aliceEntry()}, groups: students()}
	if _, err := scripted(t, s, func(c *Config) { c.BindDN = "perijove@example.org" }).Check(context.Background(), "alice", "pw"); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(s.calls, "Bind perijove@example.org") {
		t.Errorf("%q", s.calls)
	}
}
