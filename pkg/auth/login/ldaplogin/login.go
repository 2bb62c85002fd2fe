package ldaplogin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

const (
	// timeout bounds one whole login, whatever the directory does; attempt bounds what
	// one server may take of it while there is another to ask.
	timeout = 5 * time.Second
	attempt = 2 * time.Second
	// maxName and maxPassword bound what is sent to the directory, in bytes.
	maxName     = server.MaxName
	maxPassword = 1024
)

// errDisabled: the directory's entry says that this account may not log in.
var errDisabled = errors.New("the account is disabled")

// Login checks people against one directory. It is safe for concurrent use.
type Login struct {
	cfg     Config
	now     func() time.Time
	ids     []idKind
	servers []*replica
	good    atomic.Int32 // index of the server that answered last

	timeout, attempt time.Duration // the constants; shorter in tests
}

// New returns a Login; cfg has passed Validate.
func New(cfg Config) *Login { return newLogin(cfg, dial, time.Now) }

func newLogin(cfg Config, dial dialFunc, now func() time.Time) *Login {
	l := &Login{cfg: cfg, now: now, ids: cfg.idKinds(), timeout: timeout, attempt: attempt}
	for _, u := range cfg.URLs {
		l.servers = append(l.servers, newServer(u, cfg, dial, now))
	}
	return l
}

// Person is a user of the directory.
type Person struct {
	access.User
	// Links say who it is, the strongest first and the name last.
	Links []identity.Link
}

// Check returns the person with that name and password. Errors: access.ErrCredentials,
// access.ErrNotAllowed, and for everything else access.ErrUnavailable with the
// reason for the log (never a password).
func (l *Login) Check(ctx context.Context, username, password string) (Person, error) {
	if !plausible(username, password) {
		return Person{}, access.ErrCredentials
	}
	check := l.searchAndBind
	if !l.cfg.canRecheck() {
		check = l.bindAndRead
	}
	user, err := l.anywhere(ctx, func(ctx context.Context, s *replica) (Person, error) {
		return check(ctx, s, username, password)
	})
	if errors.Is(err, errDisabled) {
		// Disabled looks like a wrong password, or guessing would tell which names
		// exist; the reason is for the log.
		return Person{}, fmt.Errorf("%w: %w", access.ErrCredentials, err)
	}
	return user, err
}

// Recheck returns what the directory says now about the person who is known by links that
// Check returned, and whose canonical name was name. Errors: access.ErrNotAllowed when the
// person is gone, the name is another person's, or the person is disabled or in no allowed
// group any more, or changed the password after since (zero: does not
// matter); access.ErrUnavailable when the directory does not answer, and always
// without a service account: that says nothing about the person.
func (l *Login) Recheck(ctx context.Context, name string, known []identity.Link, since time.Time) (Person, error) {
	if !l.cfg.canRecheck() {
		return Person{}, fmt.Errorf("%w: without ldap.bindDN nobody can be looked up again", access.ErrUnavailable)
	}
	user, err := l.anywhere(ctx, func(ctx context.Context, s *replica) (user Person, err error) {
		err = s.asService(ctx, func(c Conn) error {
			entry, err := l.again(c, name, known)
			if err != nil {
				return err
			}
			if changed := passwordChanged(entry); !since.IsZero() && changed.After(since) {
				return fmt.Errorf("%w: the password was changed at %s", errDisabled, changed.Format(time.RFC3339))
			}
			user, err = l.judge(c, entry)
			return err
		})
		return user, err
	})
	if errors.Is(err, errDisabled) {
		return Person{}, fmt.Errorf("%w: %w", access.ErrNotAllowed, err)
	}
	return user, err
}

// plausible refuses what must never reach a bind. A bind with a DN and no password is
// "unauthenticated" and succeeds on many servers (RFC 4513 §5.1.2, CVE-2017-14623); some
// treat blanks or NUL as none.
func plausible(username, password string) bool {
	if username == "" || len(username) > maxName || !utf8.ValidString(username) || strings.ContainsRune(username, 0) {
		return false
	}
	return len(password) <= maxPassword && strings.TrimSpace(password) != "" && !strings.ContainsRune(password, 0)
}

// anywhere asks one server after the other until one has an answer about the person.
// A server that is silent may take attempt of the time while others are left.
func (l *Login) anywhere(ctx context.Context, ask func(context.Context, *replica) (Person, error)) (Person, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	var all []error
	first, n := int(l.good.Load()), len(l.servers)
	for i := range n {
		at := (first + i) % n
		limit := l.attempt
		if i == n-1 {
			limit = l.timeout
		}
		within, cancel := context.WithTimeout(ctx, limit)
		user, err := ask(within, l.servers[at])
		cancel()
		if err == nil || decided(err) {
			l.good.Store(int32(at)) //nolint:gosec // the number of configured addresses
			return user, err
		}
		all = append(all, fmt.Errorf("%s: %w", l.servers[at].url, errors.Join(err, within.Err())))
		if ctx.Err() != nil {
			break
		}
	}
	return Person{}, fmt.Errorf("%w: %w", access.ErrUnavailable, errors.Join(all...))
}

// decided reports whether err is an answer about the person.
func decided(err error) bool {
	return errors.Is(err, access.ErrCredentials) || errors.Is(err, access.ErrNotAllowed) || errors.Is(err, errDisabled)
}

// searchAndBind searches as the service account and tries the password as the person.
// What is asked until the password is known to be right does not depend on whether the
// name exists (L3); all that the entry says is looked at afterwards.
func (l *Login) searchAndBind(ctx context.Context, s *replica, username, password string) (user Person, err error) {
	var found *ldap.Entry
	var missing error
	err = s.asService(ctx, func(c Conn) (err error) {
		found, missing, err = l.find(c, username)
		return err
	})
	if err != nil {
		return Person{}, err
	}
	dn := l.nobody(username)
	if found != nil {
		dn = found.DN
	}
	err = s.asNobody(ctx, func(c Conn) error { return bindPerson(c, dn, password) })
	if found == nil && (err == nil || errors.Is(err, access.ErrCredentials)) {
		err = notFound(missing)
	}
	if err != nil {
		return Person{}, err
	}
	name, err := l.canonical(found)
	if err != nil {
		return Person{}, err
	}
	err = s.asService(ctx, func(c Conn) error {
		// Another look, by the name that owns servers: it must lead to this entry
		// alone, or two people would be one owner.
		entry, err := l.byName(c, name)
		if err != nil {
			return err
		}
		if entry.DN != found.DN {
			return fmt.Errorf("%w: the name %q belongs to another entry", access.ErrNotAllowed, name)
		}
		user, err = l.judge(c, entry)
		return err
	})
	return user, err
}

// bindAndRead is the way without a service account: the DN is made from the name, and
// the person reads the own entry and groups.
func (l *Login) bindAndRead(ctx context.Context, s *replica, username, password string) (user Person, err error) {
	err = s.asNobody(ctx, func(c Conn) error {
		if err := bindPerson(c, l.templateDN(username), password); err != nil {
			return err
		}
		entry, missing, err := l.find(c, username)
		if err != nil {
			return err
		}
		if entry == nil {
			return notFound(missing)
		}
		user, err = l.judge(c, entry)
		return err
	})
	return user, err
}

func (l *Login) templateDN(username string) string {
	return strings.ReplaceAll(l.cfg.BindTemplate, placeName, ldap.EscapeDN(username))
}

// nobody is a DN that no entry has, for the bind that is made for unknown names.
func (l *Login) nobody(username string) string {
	if l.cfg.BindTemplate != "" {
		return l.templateDN(username)
	}
	return "cn=" + ldap.EscapeDN(username) + ",cn=nobody," + l.cfg.UserSearch.Base
}

// find returns the one entry for what was typed. If there is none, missing says why.
func (l *Login) find(c Conn, username string) (entry *ldap.Entry, missing, err error) {
	base, scope := l.cfg.UserSearch.Base, ldap.ScopeWholeSubtree
	if l.cfg.BindTemplate != "" {
		base, scope = l.templateDN(username), ldap.ScopeBaseObject
	}
	return l.one(c, base, scope, strings.ReplaceAll(l.cfg.UserSearch.Filter, placeName, ldap.EscapeFilter(username)))
}

// byName returns the entry whose canonical name is exactly name. The person must still
// pass the configured filter, whatever it compares with {username}.
func (l *Login) byName(c Conn, name string) (*ldap.Entry, error) {
	filter := "(" + l.cfg.UsernameAttribute + "=" + ldap.EscapeFilter(name) + ")"
	entry, missing, err := l.one(c, l.cfg.UserSearch.Base, ldap.ScopeWholeSubtree, l.anyName(filter))
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, fmt.Errorf("%w: the canonical name: %w", access.ErrNotAllowed, missing)
	}
	if got, err := l.canonical(entry); err != nil || got != name {
		return nil, errors.Join(fmt.Errorf("%w: the entry has another name now", access.ErrNotAllowed), err)
	}
	return entry, nil
}

// anyName returns filter together with the configured one, for a user of whatever name.
func (l *Login) anyName(filter string) string {
	return "(&" + filter + strings.ReplaceAll(l.cfg.UserSearch.Filter, placeName, "*") + ")"
}

// notFound is the answer to a name without its one entry. Two entries are the administrator's
// to mend, so the log says so; an unknown name looks like a wrong password there too (L3).
func notFound(missing error) error {
	if errors.Is(missing, errManyEntries) {
		return fmt.Errorf("%w: %w", access.ErrCredentials, missing)
	}
	return access.ErrCredentials
}

// Why there is not one entry for a name.
var (
	errNoEntry     = errors.New("no entry has this name")
	errManyEntries = errors.New("two or more entries have this name")
)

// one returns the only entry that is found. If there is none, or more than one, which would
// let one password open several users' servers, entry is nil and missing says which.
func (l *Login) one(c Conn, base string, scope int, filter string) (entry *ldap.Entry, missing, err error) {
	attributes := append(stateAttributes(), l.cfg.UsernameAttribute, l.cfg.DisplayNameAttribute)
	for _, kind := range l.ids {
		attributes = append(attributes, kind.attribute)
	}
	if l.cfg.MemberOfAttribute != "" {
		attributes = append(attributes, l.cfg.MemberOfAttribute)
	}
	res, err := c.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 2, int(timeout.Seconds()), false, filter, attributes, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, errManyEntries, nil
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax):
		return nil, errNoEntry, nil
	case err != nil:
		return nil, nil, fmt.Errorf("search for the user: %w", err)
	case len(res.Entries) > 1:
		return nil, errManyEntries, nil
	case len(res.Entries) == 0 || res.Entries[0].DN == "":
		return nil, errNoEntry, nil
	}
	return res.Entries[0], nil, nil
}

// canonical returns the name as the directory writes it, never as it was typed
// (CVE-2026-47203), if it can own servers.
func (l *Login) canonical(entry *ldap.Entry) (string, error) {
	names := entry.GetEqualFoldAttributeValues(l.cfg.UsernameAttribute)
	if len(names) != 1 {
		return "", fmt.Errorf("%w: the entry has %d values of %s, it needs one", access.ErrNotAllowed, len(names), l.cfg.UsernameAttribute)
	}
	if err := server.ValidUser(names[0]); err != nil {
		return "", fmt.Errorf("%w: %w", access.ErrNotAllowed, err)
	}
	return names[0], nil
}

// judge decides by what entry and the person's groups say now.
func (l *Login) judge(c Conn, entry *ldap.Entry) (Person, error) {
	if reason := disabled(entry, l.now()); reason != "" {
		return Person{}, fmt.Errorf("%w: %s", errDisabled, reason)
	}
	name, err := l.canonical(entry)
	if err != nil {
		return Person{}, err
	}
	links, err := l.links(entry, name)
	if err != nil {
		return Person{}, err
	}
	groups, err := l.groups(c, entry, name)
	if err != nil {
		return Person{}, err
	}
	admin := groups.any(l.cfg.AdminGroups)
	if !admin && !slices.Contains(l.cfg.AllowedGroups, Everyone) && !groups.any(l.cfg.AllowedGroups) {
		return Person{}, fmt.Errorf("%w: none of the groups is allowed", access.ErrNotAllowed)
	}
	display := strings.ToValidUTF8(entry.GetEqualFoldAttributeValue(l.cfg.DisplayNameAttribute), "")
	return Person{access.User{Name: name, DisplayName: display, Groups: groups.names(), Admin: admin}, links}, nil
}

// bindPerson tries the password, and asks what the directory thinks about its age
// (draft-behera-ldap-password-policy): who must change it first did not log in yet.
func bindPerson(c Conn, dn, password string) error {
	request := ldap.NewSimpleBindRequest(dn, password, []ldap.Control{ldap.NewControlBeheraPasswordPolicy()})
	result, err := c.SimpleBind(request)
	switch {
	case refused(err):
		return fmt.Errorf("%w%s", access.ErrCredentials, because(result))
	case err != nil:
		return fmt.Errorf("bind as the user: %w", err)
	}
	if reason := because(result); reason != "" {
		return fmt.Errorf("%w%s", errDisabled, reason)
	}
	return nil
}

// refused reports whether the directory answered "no" to a bind, as opposed to not
// answering. Locked, disabled and expired accounts are a no like any other (L10).
func refused(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInappropriateAuthentication,
		ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConstraintViolation, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultInvalidDNSyntax)
}
