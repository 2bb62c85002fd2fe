package ldaplogin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/slapd"
)

func directoryConfig(s *slapd.Server) Config {
	return Config{
		URLs: []string{s.LDAP}, StartTLS: true, CAFile: s.CAFile, BindDN: slapd.BindDN, BindPasswordFile: s.PasswordFile,
		UserSearch:        Search{Base: "ou=people," + slapd.Base, Filter: "(uid={username})"},
		UsernameAttribute: "uid", DisplayNameAttribute: "cn",
		GroupSearch: GroupSearch{Base: "ou=groups," + slapd.Base, Filter: "(member={dn})"}, GroupNameAttribute: "cn",
		AllowedGroups: []string{"students", "staff"}, AdminGroups: []string{"admins"},
	}
}

func check(t *testing.T, cfg Config, username, password string) (Person, error) {
	t.Helper()
	var faults config.Faults
	cfg.Validate("ldap", &faults)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return New(cfg).Check(context.Background(), username, password)
}

// TestDirectory runs every login against a real OpenLDAP.
func TestDirectory(t *testing.T) {
	t.Parallel()
	server := slapd.Start(t)
	ways := map[string]func(*Config){
		"StartTLS": func(*Config) {},
		"ldaps":    func(c *Config) { c.URLs, c.StartTLS = []string{server.LDAPS}, false },
		"the second address": func(c *Config) {
			c.URLs = []string{"ldap://127.0.0.1:1", server.LDAP}
		},
	}
	for name, change := range ways {
		t.Run(name, func(t *testing.T) {
			cfg := directoryConfig(server)
			change(&cfg)
			got, err := check(t, cfg, "alice", "alice-password")
			want := access.User{Name: "alice", DisplayName: "Alice Adams", Groups: []string{"students"}}
			if diff := cmp.Diff(want, got.User); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
	t.Run("people", func(t *testing.T) { testPeople(t, directoryConfig(server)) })
	t.Run("everyone", func(t *testing.T) {
		cfg := directoryConfig(server)
		cfg.AllowedGroups = []string{Everyone}
		if got, err := check(t, cfg, "dave", "dave-password"); err != nil || got.Name != "dave" || len(got.Groups) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("L2 template", func(t *testing.T) { testTemplate(t, server) })
	t.Run("L6 no trust, no bind", func(t *testing.T) { testTrust(t, server) })
	t.Run("more than one entry", func(t *testing.T) {
		cfg := directoryConfig(server)
		cfg.UserSearch.Filter = "(|(uid={username})(uid=*))"
		if _, err := check(t, cfg, "alice", "alice-password"); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%v", err)
		}
	})
	t.Run("service account refused", func(t *testing.T) {
		cfg := directoryConfig(server)
		cfg.BindDN = "cn=other," + slapd.Base
		if _, err := check(t, cfg, "alice", "alice-password"); !errors.Is(err, access.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	})
	t.Run("directory gone", func(t *testing.T) {
		server.Stop()
		begin := time.Now()
		_, err := check(t, directoryConfig(server), "alice", "alice-password")
		if !errors.Is(err, access.ErrUnavailable) || time.Since(begin) > timeout+time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		if strings.Contains(err.Error(), "alice-password") || strings.Contains(err.Error(), slapd.ServicePassword) {
			t.Error("the error shows a password")
		}
	})
}

func testPeople(t *testing.T, cfg Config) {
	for name, c := range map[string]struct {
		username, password, canonical string
		admin                         bool
		err                           error
	}{
		"administrator":                        {"carol", "carol-password", "carol", true, nil},
		"L9 the entry's spelling":              {"ALICE", "alice-password", "alice", false, nil},
		"L9 blanks that the directory ignores": {" alice ", "alice-password", "alice", false, nil},
		"wrong password":                       {"alice", "bob-password", "", false, access.ErrCredentials},
		"unknown user":                         {"mallory", "alice-password", "", false, access.ErrCredentials},
		"no group lets him in":                 {"dave", "dave-password", "", false, access.ErrNotAllowed},
		"no group and a wrong password":        {"dave", "x", "", false, access.ErrCredentials},
		"two canonical names":                  {"gemini", "twin-password", "", false, access.ErrNotAllowed},
		"L4 empty password":                    {"alice", "", "", false, access.ErrCredentials},
		"L4 blanks as password":                {"alice", "   ", "", false, access.ErrCredentials},
		"L4 NUL as password":                   {"alice", "\x00", "", false, access.ErrCredentials},
		"L1 star":                              {"*", "alice-password", "", false, access.ErrCredentials},
		"L1 prefix and star":                   {"a*", "alice-password", "", false, access.ErrCredentials},
		"L1 filter":                            {"alice)(uid=*", "alice-password", "", false, access.ErrCredentials},
		"L1 filter with or":                    {"*)(|(uid=*", "alice-password", "", false, access.ErrCredentials},
		"L1 escape":                            {`\2a`, "alice-password", "", false, access.ErrCredentials},
		"L1 NUL":                               {"alice\x00", "alice-password", "", false, access.ErrCredentials},
		"L1 not UTF-8":                         {"alice\xff", "alice-password", "", false, access.ErrCredentials},
		"L1 10 kB":                             {strings.Repeat("a", 10_000), "alice-password", "", false, access.ErrCredentials},
		"L2 DN":                                {"alice,ou=people," + slapd.Base, "alice-password", "", false, access.ErrCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := check(t, cfg, c.username, c.password)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || got.Name != c.canonical || got.Admin != c.admin {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func testTemplate(t *testing.T, server *slapd.Server) {
	cfg := directoryConfig(server)
	cfg.BindDN, cfg.BindPasswordFile = "", ""
	cfg.BindTemplate = "uid={username},ou=people," + slapd.Base
	if got, err := check(t, cfg, "ALICE", "alice-password"); err != nil || got.Name != "alice" || !slices.Equal(got.Groups, []string{"students"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, name := range []string{
		"alice,ou=people", "x+uid=alice", "alice+uid=alice", "#616c696365", `alice\`, "carol,ou=people,dc=perijove,dc=test", "*",
	} {
		if got, err := check(t, cfg, name, "alice-password"); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%q logged in as %+v, %v", name, got, err)
		}
	}
}

func testTrust(t *testing.T, server *slapd.Server) {
	other := slapd.Start(t) // its CA is another
	for name, change := range map[string]func(*Config){
		"another CA, StartTLS": func(c *Config) { c.CAFile = other.CAFile },
		"another CA, ldaps": func(c *Config) {
			c.CAFile, c.URLs, c.StartTLS = other.CAFile, []string{server.LDAPS}, false
		},
		"another name": func(c *Config) { c.URLs = []string{strings.Replace(server.LDAP, "127.0.0.1", "127.0.0.2", 1)} },
		"system's CAs": func(c *Config) { c.CAFile = "" },
		"not TLS at all": func(c *Config) {
			c.URLs, c.StartTLS = []string{strings.Replace(server.LDAP, "ldap:", "ldaps:", 1)}, false
		},
	} {
		cfg := directoryConfig(server)
		change(&cfg)
		if got, err := check(t, cfg, "alice", "alice-password"); !errors.Is(err, access.ErrUnavailable) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
