package ldaplogin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server/access"
)

// script is a directory that records what it is asked and answers as told. All
// connections to it share one record.
type script struct {
	calls    []string
	users    []*ldap.Entry
	groups   []*ldap.Entry
	startTLS error
	bind     func(dn string) error
	controls []ldap.Control
	search   error
	answer   func(*ldap.SearchRequest) ([]*ldap.Entry, error) // instead of users and groups
}

func (s *script) StartTLS(*tls.Config) error {
	s.calls = append(s.calls, "StartTLS")
	return s.startTLS
}
func (s *script) Close() error { s.calls = append(s.calls, "Close"); return nil }

func (s *script) Use(ctx context.Context) func() bool {
	return func() bool { return ctx.Err() == nil }
}

func (s *script) SimpleBind(r *ldap.SimpleBindRequest) (*ldap.SimpleBindResult, error) {
	s.calls = append(s.calls, "Bind "+r.Username)
	result := &ldap.SimpleBindResult{}
	if r.Username != "cn=service" {
		result.Controls = s.controls
	}
	if s.bind == nil {
		return result, nil
	}
	return result, s.bind(r.Username)
}

func (s *script) Search(r *ldap.SearchRequest) (*ldap.SearchResult, error) {
	s.calls = append(s.calls, "Search "+r.BaseDN+" "+r.Filter)
	if s.search != nil {
		return nil, s.search
	}
	if s.answer != nil {
		entries, err := s.answer(r)
		return &ldap.SearchResult{Entries: entries}, err
	}
	if r.BaseDN == "ou=groups" {
		return &ldap.SearchResult{Entries: s.groups}, nil
	}
	return &ldap.SearchResult{Entries: s.users}, nil
}

func entry(dn string, attrs map[string][]string) *ldap.Entry { return ldap.NewEntry(dn, attrs) }

func aliceEntry() *ldap.Entry {
	return entry("uid=alice,ou=people", map[string][]string{"uid": {"alice"}, "cn": {"Alice"}})
}

func students() []*ldap.Entry {
	return []*ldap.Entry{entry("cn=students,ou=groups", map[string][]string{"cn": {"students"}})}
}

func scripted(t *testing.T, s *script, change func(*Config)) *Login {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("service\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		URLs: []string{"ldap://ldap.test"}, StartTLS: true, BindDN: "cn=service", BindPasswordFile: secret,
		UserSearch: Search{"ou=people", "(uid={username})"}, UsernameAttribute: "uid", DisplayNameAttribute: "cn",
		GroupSearch: GroupSearch{Base: "ou=groups", Filter: "(member={dn})"}, GroupNameAttribute: "cn", AllowedGroups: []string{"students"}, AdminGroups: []string{"admins"},
	}
	if change != nil {
		change(&cfg)
	}
	return newLogin(cfg, func(context.Context, string, *tls.Config) (Conn, error) {
		if s == nil {
			return nil, errors.New("refused")
		}
		return s, nil
	}, func() time.Time { return noon })
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ldapError(code uint16) error { return ldap.NewError(code, errors.New("said the directory")) }

func wrongPassword(dn string) error {
	if dn == "cn=service" {
		return nil
	}
	return ldapError(ldap.LDAPResultInvalidCredentials)
}

func TestExchange(t *testing.T) {
	t.Parallel()
	s := &script{users: []*ldap.Entry{aliceEntry()}, groups: students()}
	if _, err := scripted(t, s, nil).Check(context.Background(), "alice", "pw"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"StartTLS", "Bind cn=service", "Search ou=people (uid=alice)",
		"StartTLS", "Bind uid=alice,ou=people", "Close",
		"Search ou=people (&(uid=alice)(uid=*))", "Search ou=groups (member=uid=alice,ou=people)",
	}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Error(diff)
	}
}

// TestL3_UnknownAndWrongPasswordLookAlike compares what the directory is asked and what
// the caller is told.
func TestL3_UnknownAndWrongPasswordLookAlike(t *testing.T) {
	t.Parallel()
	known := &script{users: []*ldap.Entry{aliceEntry()}, groups: students(), bind: wrongPassword}
	unknown := &script{bind: wrongPassword}
	_, err1 := scripted(t, known, nil).Check(context.Background(), "alice", "pw")
	_, err2 := scripted(t, unknown, nil).Check(context.Background(), "nobody", "pw")
	if !errors.Is(err1, access.ErrCredentials) || !errors.Is(err2, access.ErrCredentials) || err1.Error() != err2.Error() {
		t.Errorf("%v / %v", err1, err2)
	}
	verbs := func(calls []string) (v []string) {
		for _, c := range calls {
			v = append(v, strings.Fields(c)[0])
		}
		return v
	}
	if diff := cmp.Diff(verbs(known.calls), verbs(unknown.calls)); diff != "" {
		t.Error(diff)
	}
	// An accepting directory (anonymous bind quirks) lets no unknown user in either.
	if _, err := scripted(t, &script{}, nil).Check(context.Background(), "nobody", "pw"); !errors.Is(err, access.ErrCredentials) {
		t.Errorf("unknown user, directory says yes: %v", err)
	}
}

func TestL1_NamesAreEscapedInTheOneSearch(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"*": `(uid=\2a)`, "a*": `(uid=a\2a)`, "alice)(uid=*": `(uid=alice\29\28uid=\2a)`, `\2a`: `(uid=\5c2a)`, "*)(|(uid=*": `(uid=\2a\29\28|\28uid=\2a)`,
	} {
		s := &script{bind: wrongPassword}
		if _, err := scripted(t, s, nil).Check(context.Background(), name, "pw"); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%q: %v", name, err)
		}
		searches := slices.DeleteFunc(slices.Clone(s.calls), func(c string) bool { return !strings.HasPrefix(c, "Search ou=people") })
		if diff := cmp.Diff([]string{"Search ou=people " + want}, searches); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
}

func TestL2_NamesAreEscapedInTheTemplate(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"alice": "uid=alice,ou=people", "alice,ou=admins": `uid=alice\,ou=admins,ou=people`, "x+uid=a": `uid=x\+uid=a,ou=people`,
		"#x": `uid=\#x,ou=people`, " x": `uid=\ x,ou=people`, `x\`: `uid=x\\,ou=people`,
	} {
		s := &script{bind: wrongPassword}
		l := scripted(t, s, func(c *Config) { c.BindDN, c.BindPasswordFile, c.BindTemplate = "", "", "uid={username},ou=people" })
		if _, err := l.Check(context.Background(), name, "pw"); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%q: %v", name, err)
		}
		if diff := cmp.Diff([]string{"StartTLS", "Bind " + want, "Close"}, s.calls); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
}

func TestL4_NothingIsSentWithoutAPassword(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"alice", ""}, {"alice", " \t "}, {"alice", "\x00"}, {"alice", "pw\x00"}, {"", "pw"}, {"alice\x00", "pw"},
		{strings.Repeat("a", maxName+1), "pw"}, {"alice", strings.Repeat("p", maxPassword+1)}, {"al\xffice", "pw"},
	} {
		s := &script{}
		if _, err := scripted(t, s, nil).Check(context.Background(), c[0], c[1]); !errors.Is(err, access.ErrCredentials) || len(s.calls) != 0 {
			t.Errorf("%.20q/%.20q: %v, asked %q", c[0], c[1], err, s.calls)
		}
	}
	s := &script{users: []*ldap.Entry{entry("", map[string][]string{"uid": {"alice"}})}}
	if _, err := scripted(t, s, nil).Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrCredentials) || slices.Contains(s.calls, "Bind ") {
		t.Errorf("an entry without a DN: %v, %q", err, s.calls)
	}
}

func TestL6_NoBindWithoutTLS(t *testing.T) {
	t.Parallel()
	s := &script{startTLS: ldapError(ldap.LDAPResultProtocolError)}
	if _, err := scripted(t, s, nil).Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]string{"StartTLS", "Close"}, s.calls); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsAreUnavailableAndRefusalsAreNot(t *testing.T) {
	t.Parallel()
	person := func(code uint16) func(string) error {
		return func(dn string) error {
			if dn == "cn=service" {
				return nil
			}
			return ldapError(code)
		}
	}
	for name, c := range map[string]struct {
		s    *script
		want error
	}{
		"no directory":            {nil, access.ErrUnavailable},
		"service account refused": {&script{bind: func(string) error { return ldapError(ldap.LDAPResultInvalidCredentials) }}, access.ErrUnavailable},
		"search fails":            {&script{search: ldapError(ldap.LDAPResultBusy)}, access.ErrUnavailable},
		"connection lost in bind": {&script{users: []*ldap.Entry{aliceEntry()}, bind: person(ldap.ErrorNetwork)}, access.ErrUnavailable},
		"directory busy":          {&script{users: []*ldap.Entry{aliceEntry()}, bind: person(ldap.LDAPResultBusy)}, access.ErrUnavailable},
		"L10 account locked":      {&script{users: []*ldap.Entry{aliceEntry()}, bind: person(ldap.LDAPResultUnwillingToPerform)}, access.ErrCredentials},
		"L10 password expired":    {&script{users: []*ldap.Entry{aliceEntry()}, bind: person(ldap.LDAPResultInvalidCredentials)}, access.ErrCredentials},
		"two entries":             {&script{users: []*ldap.Entry{aliceEntry(), aliceEntry()}}, access.ErrCredentials},
		"L8 more groups than the limit": {&script{answer: func(r *ldap.SearchRequest) ([]*ldap.Entry, error) {
			if r.BaseDN == "ou=groups" {
				return students(), ldapError(ldap.LDAPResultSizeLimitExceeded)
			}
			return []*ldap.Entry{aliceEntry()}, nil
		}}, access.ErrUnavailable},
		"no name attribute": {&script{users: []*ldap.Entry{entry("uid=a", nil)}, groups: students()}, access.ErrNotAllowed},
		"name is a path":    {&script{users: []*ldap.Entry{entry("uid=a", map[string][]string{"uid": {"../bob"}})}, groups: students()}, access.ErrNotAllowed},
		"O12 no groups":     {&script{users: []*ldap.Entry{aliceEntry()}}, access.ErrNotAllowed},
	} {
		_, err := scripted(t, c.s, nil).Check(context.Background(), "alice", "pw")
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "pw") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

// TestL10_ControlsOfASuccessfulBind: the directory takes the password and says that it
// must be changed first.
func TestL10_ControlsOfASuccessfulBind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault int8
		want  error
	}{{-1, nil}, {ldap.BeheraChangeAfterReset, access.ErrCredentials}, {ldap.BeheraPasswordExpired, access.ErrCredentials}} {
		control := ldap.NewControlBeheraPasswordPolicy()
		control.Error = c.fault
		s := &script{users: []*ldap.Entry{aliceEntry()}, groups: students(), controls: []ldap.Control{control}}
		if _, err := scripted(t, s, nil).Check(context.Background(), "alice", "pw"); !errors.Is(err, c.want) {
			t.Errorf("%d: %v", c.fault, err)
		}
	}
}

// TestL9_TemplateLeadsElsewhere: the DN from the template and the owner of the name are
// two entries.
func TestL9_TemplateLeadsElsewhere(t *testing.T) {
	t.Parallel()
	for dn, want := range map[string]error{"uid=alice,ou=people": nil, "uid=alice,ou=other": access.ErrNotAllowed} {
		s := &script{answer: func(r *ldap.SearchRequest) ([]*ldap.Entry, error) {
			switch {
			case r.BaseDN == "ou=groups":
				return students(), nil
			case r.Scope == ldap.ScopeBaseObject:
				return []*ldap.Entry{entry(dn, map[string][]string{"uid": {"alice"}})}, nil
			}
			return []*ldap.Entry{aliceEntry()}, nil
		}}
		login := scripted(t, s, func(c *Config) { c.BindTemplate = "uid={username},ou=other" })
		if _, err := login.Check(context.Background(), "alice", "pw"); !errors.Is(err, want) {
			t.Errorf("%s: %v", dn, err)
		}
	}
}

// TestL11_HostileDirectory speaks to real sockets: silence, garbage, too much.
func TestL11_HostileDirectory(t *testing.T) {
	t.Parallel()
	for name, speak := range map[string]func(net.Conn){
		"hangs up":      func(net.Conn) {},
		"malformed BER": func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"claims 2 GB": func(c net.Conn) {
			_, _ = c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff})
			_, _ = io.Copy(c, zeros{})
		},
		"nested for ever":  func(c net.Conn) { _, _ = io.Copy(c, &cycle{[]byte{0x30, 0x80}, 0}) },
		"TLS never starts": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() { speak(c); _ = c.Close() }()
				}
			}()
			for _, way := range []func(*Config){
				func(c *Config) { c.URLs = []string{"ldap://" + l.Addr().String()} },
				func(c *Config) { c.URLs, c.StartTLS = []string{"ldaps://" + l.Addr().String()}, false },
			} {
				login := New(scripted(t, nil, way).cfg)
				login.timeout = 500 * time.Millisecond
				if _, err := login.Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrUnavailable) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type cycle struct {
	bytes []byte
	at    int
}

func (c *cycle) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.bytes[c.at%len(c.bytes)]
		c.at++
	}
	return len(p), nil
}

func TestLimitedConn(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	go func() { _, _ = io.Copy(b, zeros{}) }()
	limited := &limitedConn{Conn: a}
	limited.left.Store(1000)
	got, err := io.CopyN(io.Discard, limited, 5000)
	if got != 1000 || err == nil {
		t.Errorf("%d bytes, %v", got, err)
	}
	_ = a.Close()
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	var f config.Faults
	Config{URLs: []string{"ldap://a", "http://b", "ldaps://u:p@c", "ldaps://"}, CAFile: "/nowhere"}.Validate("ldap", &f)
	text := fmt.Sprint(f.Err())
	for _, want := range []string{
		"ldap.urls[0]: would send passwords in clear", "ldap.urls[1]: has the scheme", "ldap.urls[2]:", "ldap.urls[3]:", "ldap.caFile:", "ldap.bindDN:",
		"ldap.bindPasswordFile:", "ldap.userSearch.base:", "ldap.userSearch.filter:", "ldap.groupSearch.base:", "ldap.groupSearch.filter:",
		"ldap.usernameAttribute:", "ldap.displayNameAttribute:", "ldap.groupNameAttribute:", "ldap.allowedGroups:",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not reported in\n%s", want, text)
		}
	}
	for name, change := range map[string]func(*Config){
		"ldap.urls: ":                func(c *Config) { c.URLs = nil },
		"remove startTLS":            func(c *Config) { c.URLs = []string{"ldaps://a"} },
		"is no LDAP filter":          func(c *Config) { c.UserSearch.Filter = "(uid={username}" },
		"must contain {username}":    func(c *Config) { c.UserSearch.Filter = "(uid=*)" },
		"ldap.bindDN: must be":       func(c *Config) { c.BindTemplate, c.BindDN = "uid={username}", "" },
		"with = only":                func(c *Config) { c.UserSearch.Filter = "(cn:caseExactMatch:={username})" },
		"must contain {dn}":          func(c *Config) { c.GroupSearch.NestedFilter = "(member=x)" },
		"it is about groups":         func(c *Config) { c.GroupSearch.NestedFilter = "(|(member={dn})(memberUid={username}))" },
		"ldap.groupSearch.filter: ":  func(c *Config) { c.GroupSearch.Filter = "" },
		"must be a DN with {usernam": func(c *Config) { c.BindDN, c.BindPasswordFile, c.BindTemplate = "", "", "uid=x" },
		"ldap.adminGroups[0]":        func(c *Config) { c.AdminGroups = []string{"*"} },
		"ldap.allowedGroups[0]":      func(c *Config) { c.AllowedGroups = []string{""} },
	} {
		cfg := scripted(t, nil, change).cfg
		var f config.Faults
		cfg.Validate("ldap", &f)
		if err := f.Err(); err == nil || !strings.Contains(err.Error(), name) || strings.Count(err.Error(), "\n") != 1 {
			t.Errorf("want one fault with %q, got %v", name, err)
		}
	}
	var none config.Faults
	for _, change := range []func(*Config){
		nil,
		func(c *Config) { c.BindTemplate = "uid={username},ou=people" },
		func(c *Config) { c.BindTemplate, c.BindDN, c.BindPasswordFile = "uid={username},ou=people", "", "" },
		func(c *Config) { c.GroupSearch.Filter, c.MemberOfAttribute = "", "memberOf" },
		func(c *Config) {
			c.UserSearch.Filter = "(|(uid={username})(mail={username}@example.org)(memberOf:1.2.840.113556.1.4.1941:=cn=x))"
		},
		func(c *Config) { c.GroupSearch.Filter = "(member:1.2.840.113556.1.4.1941:={dn})" },
	} {
		scripted(t, nil, change).cfg.Validate("ldap", &none)
	}
	if err := none.Err(); err != nil {
		t.Error(err)
	}
}

func FuzzPlausible(f *testing.F) {
	f.Add("alice", "pw")
	f.Add("a\x00", " ")
	f.Fuzz(func(t *testing.T, username, password string) {
		filter := strings.ReplaceAll("(uid={username})", placeName, ldap.EscapeFilter(username))
		if plausible(username, password) {
			if password == "" || username == "" {
				t.Fatal("something empty is plausible")
			}
			if _, err := ldap.CompileFilter(filter); err != nil {
				t.Fatalf("%q makes the filter %q: %v", username, filter, err)
			}
		}
	})
}
