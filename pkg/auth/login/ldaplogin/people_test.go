package ldaplogin

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/slapd"
)

const (
	peopleBase = "ou=people," + slapd.Base
	groupsBase = "ou=groups," + slapd.Base
)

func personDN(name string) string { return "uid=" + name + "," + peopleBase }
func groupDN(name string) string  { return "cn=" + name + "," + groupsBase }

// named is how an account from before ids, or of a directory without, is known.
func named(name string) []identity.Link { return []identity.Link{identity.Named(name)} }

// addPerson adds somebody whose password is the name and "-password".
func addPerson(t *testing.T, s *slapd.Server, name string, more map[string][]string) {
	t.Helper()
	attributes := map[string][]string{
		"objectClass": {"inetOrgPerson"}, "uid": {name}, "cn": {name}, "sn": {name}, "userPassword": {name + "-password"},
	}
	for k, v := range more {
		attributes[k] = v
	}
	s.Add(t, personDN(name), attributes)
}

func addGroup(t *testing.T, s *slapd.Server, name string, members ...string) {
	t.Helper()
	s.Add(t, groupDN(name), map[string][]string{"objectClass": {"groupOfNames"}, "cn": {name}, "member": members})
}

// TestL8_Groups asks a real directory for nested groups and all kinds of groups.
func TestL8_Groups(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	addPerson(t, server, "nina", nil)
	addGroup(t, server, "c", personDN("nina"))
	addGroup(t, server, "b", groupDN("c"))
	addGroup(t, server, "a", groupDN("b"))
	// What has no effect on the cases before it is added by the case that is about it.
	elsewhere := func() {
		server.Add(t, "cn=admins,"+peopleBase, map[string][]string{"objectClass": {"groupOfNames"}, "cn": {"admins"}, "member": {personDN("dave")}})
	}
	cycle := func() { server.Set(t, groupDN("c"), "member", personDN("nina"), groupDN("a")) }
	unique := func() {
		server.Add(t, groupDN("unique"), map[string][]string{"objectClass": {"groupOfUniqueNames"}, "cn": {"unique"}, "uniqueMember": {personDN("nina")}})
	}
	posix := func() {
		server.Add(t, groupDN("posix"), map[string][]string{"objectClass": {"posixGroup"}, "cn": {"posix"}, "gidNumber": {"100"}, "memberUid": {"nina"}})
	}
	crowd := func() {
		members := []string{personDN("nina")}
		for i := range 10_000 {
			members = append(members, personDN(fmt.Sprintf("somebody-with-a-long-name-%d", i)))
		}
		server.Set(t, groupDN("c"), "member", members...)
	}
	const member = "(member={dn})"
	for _, c := range []struct {
		name                     string
		before                   func()
		filter, nested, memberOf string
		person                   string
		want                     []string
	}{
		{"groups in groups", nil, member, member, "", "nina", []string{"a", "b", "c"}},
		{"only if asked for", nil, member, "", "", "nina", []string{"c"}},
		{"memberOf", nil, "", "", "memberof", "nina", []string{"c"}},
		{"memberOf and groups in groups", nil, "", member, "memberOf", "nina", []string{"a", "b", "c"}},
		{"memberOf absent", nil, "", "", "memberOf", "dave", nil},
		{"memberOf of a group elsewhere", elsewhere, "", "", "memberOf", "dave", nil},
		{"a cycle", cycle, member, member, "", "nina", []string{"a", "b", "c"}},
		{"groupOfUniqueNames", unique, "(uniqueMember={dn})", "", "", "nina", []string{"unique"}},
		{"posixGroup", posix, "(|(member={dn})(memberUid={username}))", member, "", "nina", []string{"a", "b", "c", "posix"}},
		{"10 000 members", crowd, member, member, "", "nina", []string{"a", "b", "c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != nil {
				c.before()
			}
			user, err := check(t, everyone(server, c.filter, c.nested, c.memberOf), c.person, c.person+"-password")
			if err != nil || user.Admin || !slices.Equal(user.Groups, c.want) {
				t.Errorf("%+v %v, want %v", user, err, c.want)
			}
		})
	}
	t.Run("depth", func(t *testing.T) { testDepth(t, server, everyone(server, member, member, "")) })
}

// everyone lets all of the directory's people in, with groups found in this way.
func everyone(server *slapd.Server, filter, nested, memberOf string) Config {
	cfg := directoryConfig(server)
	cfg.GroupSearch.Filter, cfg.GroupSearch.NestedFilter, cfg.MemberOfAttribute = filter, nested, memberOf
	cfg.AllowedGroups = []string{Everyone}
	return cfg
}

func testDepth(t *testing.T, server *slapd.Server, cfg Config) {
	addPerson(t, server, "deep", nil)
	member := personDN("deep")
	for i := range 50 {
		addGroup(t, server, fmt.Sprintf("level-%d", i), member)
		member = groupDN(fmt.Sprintf("level-%d", i))
	}
	if user, err := check(t, cfg, "deep", "deep-password"); err != nil || len(user.Groups) != 50 {
		t.Errorf("depth 50: %d groups, %v", len(user.Groups), err)
	}
	for i := 50; i < maxDepth+5; i++ {
		addGroup(t, server, fmt.Sprintf("level-%d", i), member)
		member = groupDN(fmt.Sprintf("level-%d", i))
	}
	if user, err := check(t, cfg, "deep", "deep-password"); !errors.Is(err, access.ErrNotAllowed) || !errors.Is(err, errManyGroups) {
		t.Errorf("deeper than we go: %d groups, %v", len(user.Groups), err)
	}
}

// TestL10_Disabled disables people of a real directory in every way that it knows, and
// looks at the login and at the re-check of somebody who is logged in.
func TestL10_Disabled(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	cfg := directoryConfig(server)
	cfg.AllowedGroups = []string{Everyone}
	login := New(cfg)
	ctx := context.Background()
	server.Add(t, "cn=strict,"+slapd.Base, map[string][]string{
		"objectClass": {"device", "pwdPolicy"}, "cn": {"strict"}, "pwdAttribute": {"userPassword"}, "pwdLockout": {"TRUE"},
		"pwdMaxFailure": {"3"}, "pwdMaxAge": {"3600"}, "pwdMustChange": {"TRUE"},
	})
	policy := map[string][]string{"pwdPolicySubentry": {"cn=strict," + slapd.Base}}
	for name, c := range map[string]struct {
		more       map[string][]string
		disable    func(dn string)
		logs, stay error
		enable     func(dn string) // afterwards everything works again
	}{
		"locked by an administrator": {policy, func(dn string) { server.Set(t, dn, "pwdAccountLockedTime", "000001010000Z") },
			access.ErrCredentials, access.ErrNotAllowed, func(dn string) { server.Set(t, dn, "pwdAccountLockedTime") }},
		"locked by wrong guesses": {policy, func(dn string) {
			for range 4 {
				_, _ = login.Check(ctx, strings.TrimPrefix(strings.Split(dn, ",")[0], "uid="), "a guess")
			}
		}, access.ErrCredentials, nil, func(dn string) { server.Set(t, dn, "pwdAccountLockedTime") }},
		"must change the password": {policy, func(dn string) { server.Set(t, dn, "pwdReset", "TRUE") },
			access.ErrCredentials, access.ErrNotAllowed, func(dn string) { server.Set(t, dn, "pwdReset") }},
		"password expired": {policy, func(dn string) { server.Set(t, dn, "pwdChangedTime", "20200101000000Z") },
			access.ErrCredentials, nil, func(dn string) {
				server.Set(t, dn, "pwdChangedTime", time.Now().Add(-time.Minute).UTC().Format("20060102150405Z"))
			}},
		"account ended": {nil, func(dn string) { server.Set(t, dn, "pwdEndTime", "20200101000000Z") },
			access.ErrCredentials, access.ErrNotAllowed, func(dn string) { server.Set(t, dn, "pwdEndTime") }},
		"shadow account expired": {map[string][]string{"objectClass": {"inetOrgPerson", "shadowAccount"}}, func(dn string) { server.Set(t, dn, "shadowExpire", "1") },
			access.ErrCredentials, access.ErrNotAllowed, func(dn string) { server.Set(t, dn, "shadowExpire", "-1") }},
		"deleted": {nil, func(dn string) {
			if err := server.Admin(t).Del(ldap.NewDelRequest(dn, nil)); err != nil {
				t.Error(err)
			}
		}, access.ErrCredentials, access.ErrNotAllowed, nil},
		"renamed": {nil, func(dn string) {
			server.Set(t, dn, "uid", strings.ToUpper(strings.TrimPrefix(strings.Split(dn, ",")[0], "uid=")))
		},
			nil, access.ErrNotAllowed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			user := "x" + regexp.MustCompile(`\W`).ReplaceAllString(name, "")
			addPerson(t, server, user, c.more)
			both := func(when string, logs, stay error) {
				t.Helper()
				if _, err := login.Check(ctx, user, user+"-password"); !errors.Is(err, logs) {
					t.Errorf("%s: login: %v, want %v", when, err, logs)
				}
				if _, err := login.Recheck(ctx, user, named(user), time.Time{}); !errors.Is(err, stay) {
					t.Errorf("%s: re-check: %v, want %v", when, err, stay)
				}
			}
			both("before", nil, nil)
			c.disable(personDN(user))
			both("disabled", c.logs, c.stay)
			if c.enable != nil {
				c.enable(personDN(user))
				both("enabled again", nil, nil)
			}
		})
	}
}

// TestV4_Recheck follows somebody who is logged in through changes in the directory.
func TestV4_Recheck(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	cfg := directoryConfig(server)
	login := New(cfg)
	ctx := context.Background()
	recheck := func(since time.Time) (Person, error) {
		t.Helper()
		return login.Recheck(ctx, "bob", named("bob"), since)
	}
	begin := time.Now().Add(-time.Minute)
	if user, err := recheck(begin); err != nil || user.Name != "bob" || user.Admin || !slices.Equal(user.Groups, []string{"staff"}) {
		t.Fatalf("%+v, %v", user, err)
	}
	for _, name := range []string{"BOB", "b*", "*", "nobody", "", "bob)(uid=*"} {
		if user, err := login.Recheck(ctx, name, named(name), begin); !errors.Is(err, access.ErrNotAllowed) {
			t.Errorf("%q is %+v, %v", name, user, err)
		}
	}
	server.Set(t, groupDN("admins"), "member", personDN("carol"), personDN("bob"))
	if user, err := recheck(begin); err != nil || !user.Admin {
		t.Errorf("made administrator: %+v, %v", user, err)
	}
	server.Set(t, groupDN("admins"), "member", personDN("carol"))
	server.Set(t, groupDN("staff"), "member", personDN("alice"))
	if user, err := recheck(begin); !errors.Is(err, access.ErrNotAllowed) {
		t.Errorf("left the group: %+v, %v", user, err)
	}
	server.Set(t, groupDN("staff"), "member", personDN("bob"))
	server.Set(t, personDN("bob"), "pwdPolicySubentry", "cn=none,"+slapd.Base)
	server.Set(t, personDN("bob"), "userPassword", "another")
	if _, err := recheck(begin); !errors.Is(err, access.ErrNotAllowed) {
		t.Errorf("changed the password: %v", err)
	}
	if _, err := recheck(time.Now().Add(time.Minute)); err != nil {
		t.Errorf("logged in after changing the password: %v", err)
	}
	server.Stop()
	if _, err := recheck(begin); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("directory gone: %v", err)
	}
	cfg.BindTemplate, cfg.BindDN, cfg.BindPasswordFile = "uid={username},"+peopleBase, "", ""
	if _, err := New(cfg).Recheck(ctx, "bob", named("bob"), begin); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("without a service account: %v", err)
	}
}

// TestL9_OneNameOneEntry: mallory cannot become alice by an entry that has her name in
// the attribute that names owners.
func TestL9_OneNameOneEntry(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	cfg := directoryConfig(server)
	cfg.AllowedGroups, cfg.UserSearch.Filter, cfg.UsernameAttribute = []string{Everyone}, "(uid={username})", "employeeNumber"
	addPerson(t, server, "mallory", map[string][]string{"employeeNumber": {"42"}})
	if user, err := check(t, cfg, "mallory", "mallory-password"); err != nil || user.Name != "42" {
		t.Fatalf("%+v, %v", user, err)
	}
	addPerson(t, server, "zoe", map[string][]string{"employeeNumber": {"42"}})
	for _, name := range []string{"mallory", "zoe"} {
		if user, err := check(t, cfg, name, name+"-password"); !errors.Is(err, access.ErrNotAllowed) {
			t.Errorf("two entries own the name 42: %s is %+v, %v", name, user, err)
		}
	}
}

// TestTemplateWithServiceAccount: the DN is made, everything else is looked up.
func TestTemplateWithServiceAccount(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	cfg := directoryConfig(server)
	cfg.BindTemplate = "uid={username}," + peopleBase
	if user, err := check(t, cfg, "ALICE", "alice-password"); err != nil || user.Name != "alice" || !slices.Equal(user.Groups, []string{"students"}) {
		t.Errorf("%+v, %v", user, err)
	}
	for _, name := range []string{"alice,ou=people", "x+uid=alice", `alice\`, "nobody"} {
		if user, err := check(t, cfg, name, "alice-password"); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%q is %+v, %v", name, user, err)
		}
	}
	if user, err := New(cfg).Recheck(context.Background(), "alice", named("alice"), time.Time{}); err != nil || user.Name != "alice" {
		t.Errorf("%+v, %v", user, err)
	}
}

// operations returns, by connection, what slapd logged.
func operations(log string) map[string][]string {
	line := regexp.MustCompile(`conn=(\d+) op=\d+ ((?:BIND dn|SRCH base)=.*)`)
	ops := map[string][]string{}
	for _, m := range line.FindAllStringSubmatch(log, -1) {
		if !strings.Contains(m[2], "mech=") { // the same bind again, with its result
			ops[m[1]] = append(ops[m[1]], m[2])
		}
	}
	return ops
}

// TestL7_NoIdentityBleed logs many people in at once and reads the directory's own log:
// who searches is the service account, and a person's connection does nothing but bind.
func TestL7_NoIdentityBleed(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	login := New(directoryConfig(server))
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			name := []string{"alice", "bob", "carol"}[i%3]
			password := name + "-password"
			if i%4 == 3 {
				password = "wrong"
			}
			user, err := login.Check(context.Background(), name, password)
			if (err == nil) != (password != "wrong") || err == nil && user.Name != name {
				t.Errorf("%s with %s: %+v, %v", name, password, user, err)
			}
		})
	}
	wg.Wait()
	service, people := 0, 0
	for conn, ops := range operations(server.Log(t)) {
		if strings.Contains(ops[0], slapd.AdminDN) {
			continue // the test itself
		}
		isService := strings.Contains(ops[0], slapd.BindDN)
		for i, op := range ops {
			switch {
			case i == 0 && !strings.HasPrefix(op, "BIND"), i > 0 && strings.HasPrefix(op, "BIND"), !isService && i > 0:
				t.Errorf("connection %s: %q", conn, ops)
			}
		}
		if isService {
			service++
		} else {
			people++
		}
	}
	if people != 60 || service == 0 || service > maxService {
		t.Errorf("%d connections of people, %d of the service account", people, service)
	}
}

// TestL1_OneEscapedSearch reads in the directory's log what hostile names became.
func TestL1_OneEscapedSearch(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	login := New(directoryConfig(server))
	if _, err := login.Check(context.Background(), "alice", "alice-password"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"*": `\2A`, "a*": `a\2A`, "alice)(uid=*": `alice\29\28uid=\2A`, "*)(|(uid=*": `\2A\29\28|\28uid=\2A`, `\2a`: `\5C2a`,
	} {
		before := len(server.Log(t))
		if _, err := login.Check(context.Background(), name, "alice-password"); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%q: %v", name, err)
		}
		var searches []string
		for _, ops := range operations(server.Log(t)[before:]) {
			for _, op := range ops {
				if strings.HasPrefix(op, "SRCH") && !strings.Contains(op, "marker-") {
					searches = append(searches, op)
				}
			}
		}
		if len(searches) != 1 || !strings.Contains(strings.ToUpper(searches[0]), strings.ToUpper(`filter="(uid=`+want+`)"`)) {
			t.Errorf("%q was searched as %q", name, searches)
		}
	}
}
