package ldaplogin

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/slapd"
)

// octets of one GUID, and the spelling of Active Directory's own tools ([MS-DTYP] §2.3.4).
const (
	guidRaw  = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
	guidText = "04030201-0605-0807-090a-0b0c0d0e0f10"
)

// TestL9_OneSpellingOfAnID: what directories write, and the same otherwise written.
func TestL9_OneSpellingOfAnID(t *testing.T) {
	t.Parallel()
	const canonical = "9a3f0c1e-0b7d-4c59-8a53-1d1f6f0e2b11"
	for _, c := range []struct{ attribute, value, want string }{
		{"entryUUID", canonical, canonical},
		{"ENTRYUUID", strings.ToUpper(canonical), canonical},
		{"entryUUID", "{" + canonical + "}", canonical},
		{"entryUUID", strings.ReplaceAll(canonical, "-", ""), canonical},
		{"entryUUID", "no-uuid", "no-uuid"},
		{"entryUUID", "", ""},
		{"ipaUniqueID", canonical, canonical},
		{"ibm-entryUuid", strings.ToUpper(canonical), canonical},
		{"nsUniqueId", "66446001-1DD211B2-80225f47-ac8e4a7b", "66446001-1dd211b2-80225f47-ac8e4a7b"},
		{"objectGUID", guidRaw, guidText},
		{"objectGUID", strings.ToUpper(guidText), guidText},                        // a proxy that writes text
		{"objectGUID", "0123456789abcdef", "33323130-3534-3736-3839-616263646566"}, // octets that happen to be letters
		{"GUID", "\x00\xff", "#00ff"},
		{"entryUUID", strings.Repeat("x", maxID+1), ""},
		{"uid", "alice", ""},
	} {
		links, err := scripted(t, nil, nil).links(entry("uid=a", map[string][]string{c.attribute: {c.value}}), "a")
		got := ""
		if len(links) == 2 {
			got = links[0].Subject
		}
		if err != nil || got != c.want || links[len(links)-1] != identity.Named("a") {
			t.Errorf("%s=%q: %v, %v", c.attribute, c.value, links, err)
		}
	}
	two := entry("uid=a", map[string][]string{"entryUUID": {canonical, guidText}})
	if links, err := scripted(t, nil, nil).links(two, "a"); err != nil || len(links) != 1 {
		t.Errorf("two values: %v, %v", links, err)
	}
}

// TestL9_TheAdministratorsAttribute: it comes first, and an entry without it is refused.
func TestL9_TheAdministratorsAttribute(t *testing.T) {
	t.Parallel()
	number := func(value ...string) map[string][]string {
		return map[string][]string{"entryUUID": {guidText}, "employeeNumber": value}
	}
	for name, c := range map[string]struct {
		attribute string
		has       map[string][]string
		want      string // of the first link
		fails     bool
	}{
		"automatic":               {"", number("7"), "ldap:entryuuid " + guidText, false},
		"named":                   {"employeeNumber", number("7"), "ldap:employeenumber 7", false},
		"case counts":             {"employeeNumber", number("aB"), "ldap:employeenumber aB", false},
		"binary":                  {"employeeNumber", number("\xfe\x00"), "ldap:employeenumber #fe00", false},
		"text like binary":        {"employeeNumber", number("#fe00"), "ldap:employeenumber #2366653030", false},
		"missing":                 {"employeeNumber", number(), "", true},
		"empty":                   {"employeeNumber", number(""), "", true},
		"two":                     {"employeeNumber", number("7", "8"), "", true},
		"too long":                {"employeeNumber", number(strings.Repeat("7", maxID+1)), "", true},
		"a known one":             {"ENTRYUUID", map[string][]string{"objectGUID": {guidRaw}, "entryUUID": {strings.ToUpper(guidText)}}, "ldap:entryuuid " + guidText, false},
		"a known one is missing":  {"entryUUID", map[string][]string{"objectGUID": {guidRaw}}, "", true},
		"by name, as without ids": {"uid", map[string][]string{"uid": {"a"}}, "ldap:uid a", false},
	} {
		links, err := scripted(t, nil, func(cfg *Config) { cfg.IDAttribute = c.attribute }).links(entry("uid=a", c.has), "a")
		if errors.Is(err, access.ErrNotAllowed) != c.fails || !c.fails && links[0].String() != c.want {
			t.Errorf("%s: %v, %v", name, links, err)
		}
	}
	if n := len(lastingIDs()); len((Config{IDAttribute: "entryuuid"}).idKinds()) != n || len((Config{IDAttribute: "x"}).idKinds()) != n+1 {
		t.Error("a known attribute is asked for twice, or another one is not asked for")
	}
}

// FuzzID: an id that is searched for again is the one that was read.
func FuzzID(f *testing.F) {
	f.Add([]byte(guidRaw))
	f.Add([]byte(guidText))
	f.Add([]byte("#00"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got := exactOctets(exact(raw)); got != string(raw) {
			t.Errorf("%q comes back as %q", raw, got)
		}
		if len(raw) == 16 && guidOctets(guid(raw)) != string(raw) {
			t.Errorf("%x comes back as %x", raw, guidOctets(guid(raw)))
		}
		for _, kind := range lastingIDs() {
			if id := kind.text(raw); len(raw) > 0 && (id == "" || kind.text([]byte(kind.value(id))) != id) {
				t.Errorf("%s: %q is %q, and then %q", kind.attribute, raw, id, kind.text([]byte(kind.value(id))))
			}
		}
	})
}

// TestL9_ActiveDirectoryIsAskedForOctets: a GUID in a filter is its octets, escaped.
func TestL9_ActiveDirectoryIsAskedForOctets(t *testing.T) {
	t.Parallel()
	renamed := entry("cn=Alice,ou=people", map[string][]string{"uid": {"alicia"}, "objectGUID": {guidRaw}})
	var filter string
	s := &script{answer: func(r *ldap.SearchRequest) ([]*ldap.Entry, error) {
		switch {
		case r.BaseDN == "ou=groups":
			return students(), nil
		case strings.Contains(r.Filter, "objectGUID"):
			filter = r.Filter
			return []*ldap.Entry{renamed}, nil
		}
		return nil, nil
	}}
	known := []identity.Link{identity.Entry("objectGUID", guidText)}
	person, err := scripted(t, s, nil).Recheck(context.Background(), "alice", known, time.Time{})
	if err != nil || person.Name != "alicia" {
		t.Fatalf("%+v, %v", person, err)
	}
	packet, err := ldap.CompileFilter(filter)
	if err != nil || !bytes.Contains(packet.Bytes(), []byte(guidRaw)) || !strings.Contains(filter, "(uid=*)") {
		t.Errorf("%s (%v) does not ask for %s", filter, err, hex.EncodeToString([]byte(guidRaw)))
	}
}

// TestAFailedSearchSaysNothing: the name leads nowhere, and the search for the id fails.
func TestAFailedSearchSaysNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fault, want error }{
		"busy":     {ldapError(ldap.LDAPResultBusy), access.ErrUnavailable},
		"no entry": {nil, access.ErrNotAllowed},
		"several":  {ldapError(ldap.LDAPResultSizeLimitExceeded), access.ErrNotAllowed},
	} {
		s := &script{answer: func(r *ldap.SearchRequest) ([]*ldap.Entry, error) {
			if strings.Contains(r.Filter, "entryUUID") {
				return nil, c.fault
			}
			return nil, nil
		}}
		_, err := scripted(t, s, nil).Recheck(context.Background(), "alice", []identity.Link{identity.Entry("entryUUID", guidText)}, time.Time{})
		if !errors.Is(err, c.want) || errors.Is(err, access.ErrNotAllowed) != (c.want == access.ErrNotAllowed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestL9_Identities follows people of a real directory who are renamed, moved, and replaced.
func TestL9_Identities(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	cfg := directoryConfig(server)
	cfg.AllowedGroups = []string{Everyone}
	login := New(cfg)
	ctx := context.Background()
	in := func(name string) []identity.Link {
		t.Helper()
		person, err := login.Check(ctx, name, name+"-password")
		if err != nil || len(person.Links) != 2 || person.Links[0].Issuer != "ldap:entryuuid" || person.Links[1] != identity.Named(person.Name) {
			t.Fatalf("%s: %v %v", name, person.Links, err)
		}
		return person.Links
	}
	move := func(from, rdn, to string) {
		t.Helper()
		if err := server.Admin(t).ModifyDN(ldap.NewModifyDNRequest(from, rdn, true, to)); err != nil {
			t.Fatal(err)
		}
	}
	stays := func(what, name string, known []identity.Link, want error) {
		t.Helper()
		if _, err := login.Recheck(ctx, name, known, time.Time{}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	if alice := in("alice"); alice[0].Subject != "f2a02a0a-158b-594b-bd9f-37c3a5bd4bb9" || !slices.Equal(alice, in("alice")) {
		t.Errorf("%v, and deploy/directory says otherwise", alice)
	}

	server.Add(t, "ou=guests,"+peopleBase, map[string][]string{"objectClass": {"organizationalUnit"}, "ou": {"guests"}})
	addPerson(t, server, "nina", nil)
	nina := in("nina")
	stays("unchanged", "nina", nina[:1], nil)
	move(personDN("nina"), "uid=nina", "ou=guests,"+peopleBase)
	stays("moved to another unit", "nina", nina[:1], nil)
	if got := in("nina"); !identity.Same(nina[:1], got) {
		t.Errorf("moved: %v, was %v", got, nina)
	}
	move("uid=nina,ou=guests,"+peopleBase, "uid=ninette", peopleBase)
	stays("renamed", "nina", nina[:1], nil)
	stays("renamed, in a directory without ids", "nina", named("nina"), access.ErrNotAllowed)

	addPerson(t, server, "nina", nil) // the next person of that name
	if got := in("nina"); identity.Same(nina[:1], got) {
		t.Errorf("%v is %v", got, nina)
	}
	stays("the name is another's, and the user is called ninette", "nina", nina[:1], nil)
	if err := server.Admin(t).Del(ldap.NewDelRequest(personDN("ninette"), nil)); err != nil {
		t.Fatal(err)
	}
	stays("the name is another's, and the user is gone", "nina", nina[:1], access.ErrNotAllowed)
	if _, err := login.Recheck(ctx, "nina", nina[:1], time.Time{}); err == nil || !strings.Contains(err.Error(), "another entry's now") {
		t.Errorf("the audit log is told %v", err)
	}
	stays("negative control: by the name alone the next person is let in", "nina", named("nina"), nil)
}

// TestL9_RecheckByAnAttributeOfTheAdministrators: what does not find an id does not find the
// person by the name either.
func TestL9_RecheckByAnAttributeOfTheAdministrators(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	cfg := directoryConfig(server)
	cfg.AllowedGroups, cfg.IDAttribute = []string{Everyone}, "employeeNumber"
	login := New(cfg)
	ctx := context.Background()
	addPerson(t, server, "nina", map[string][]string{"employeeNumber": {"7*)(uid=*"}})
	person, err := login.Check(ctx, "nina", "nina-password")
	if err != nil || person.Links[0] != identity.Entry("employeeNumber", "7*)(uid=*") {
		t.Fatalf("%+v, %v", person, err)
	}
	for i, c := range []struct {
		number []string
		want   error
	}{{[]string{"7*)(uid=*"}, nil}, {[]string{"8"}, access.ErrNotAllowed}, {nil, access.ErrNotAllowed}} {
		server.Set(t, personDN("nina"), "employeeNumber", c.number...)
		if _, err := login.Recheck(ctx, "nina", person.Links[:1], time.Time{}); !errors.Is(err, c.want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := login.Check(ctx, "nina", "nina-password"); !errors.Is(err, access.ErrNotAllowed) || !strings.Contains(fmt.Sprint(err), "employeeNumber") {
		t.Errorf("an entry without it: %v", err)
	}
}
