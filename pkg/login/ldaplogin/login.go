package ldaplogin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/config"
	"github.com/perijove/perijove/pkg/identity"
	"github.com/perijove/perijove/pkg/notebook"
)

const (
	// timeout bounds one whole login, whatever the directory does.
	timeout = 5 * time.Second
	// maxName and maxPassword bound what is sent to the directory, in bytes.
	maxName     = notebook.MaxName
	maxPassword = 1024
	// maxGroups bounds how many groups are read. A directory that has more for one
	// person refuses the search, and so do we: half a list might lack the one group
	// that matters.
	maxGroups = 1000
)

// Login checks people against one directory. It is safe for concurrent use.
type Login struct {
	cfg  Config
	dial dialFunc
}

// New returns a Login; cfg has passed Validate.
func New(cfg Config) *Login { return &Login{cfg: cfg, dial: dial} }

// Check returns the person with that name and password. Errors: identity.ErrCredentials,
// identity.ErrNotAllowed, and for everything else identity.ErrUnavailable with the
// reason for the log (never a password).
func (l *Login) Check(ctx context.Context, username, password string) (identity.User, error) {
	if !plausible(username, password) {
		return identity.User{}, identity.ErrCredentials
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := l.connect(ctx)
	if err != nil {
		return identity.User{}, fmt.Errorf("%w: %w", identity.ErrUnavailable, err)
	}
	// go-ldap knows no context: closing the connection ends whatever waits on it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	user, err := l.authenticate(conn, username, password)
	switch {
	case err == nil, errors.Is(err, identity.ErrCredentials), errors.Is(err, identity.ErrNotAllowed):
		return user, err
	case ctx.Err() != nil:
		return identity.User{}, fmt.Errorf("%w: no answer within %v: %w", identity.ErrUnavailable, timeout, err)
	}
	return identity.User{}, fmt.Errorf("%w: %w", identity.ErrUnavailable, err)
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

// connect returns an encrypted connection to the first directory that answers. A failed
// StartTLS is a failed connection: there is no way on without it (L6).
func (l *Login) connect(ctx context.Context) (Conn, error) {
	var all []error
	for _, u := range l.cfg.URLs {
		conf, err := l.cfg.tlsConfig(u)
		if err != nil {
			return nil, err
		}
		conn, err := l.dial(ctx, u, conf)
		if err != nil {
			all = append(all, fmt.Errorf("%s: %w", u, err))
			continue
		}
		if !strings.HasPrefix(u, "ldap://") {
			return conn, nil
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		err = conn.StartTLS(conf)
		if stop() && err == nil {
			return conn, nil
		}
		_ = conn.Close()
		all = append(all, fmt.Errorf("%s: StartTLS: %w", u, errors.Join(err, ctx.Err())))
	}
	return nil, errors.Join(all...)
}

func (l *Login) authenticate(conn Conn, username, password string) (identity.User, error) {
	if l.cfg.BindTemplate != "" {
		return l.bindFirst(conn, username, password)
	}
	secret, err := config.SecretFile(l.cfg.BindPasswordFile, 1)
	if err != nil {
		return identity.User{}, err
	}
	if err := conn.Bind(l.cfg.BindDN, string(secret)); err != nil {
		return identity.User{}, fmt.Errorf("bind as the service account: %w", err)
	}
	entry, err := l.findUser(conn, l.cfg.UserSearch.Base, ldap.ScopeWholeSubtree, username)
	if err != nil {
		return identity.User{}, err
	}
	if entry == nil {
		return identity.User{}, l.pretend(conn, username, password)
	}
	// Groups are read before the password is checked, while the connection is still the
	// service account's: after the person's bind it is used for nothing else (L7).
	groups, err := l.findGroups(conn, entry.DN, entry.GetAttributeValue(l.cfg.UsernameAttribute))
	if err != nil {
		return identity.User{}, err
	}
	if err := bindPerson(conn, entry.DN, password); err != nil {
		return identity.User{}, err
	}
	return l.person(entry, groups)
}

// bindFirst is the way without a service account: the DN is made from the name, and
// the person reads the own entry.
func (l *Login) bindFirst(conn Conn, username, password string) (identity.User, error) {
	dn := strings.ReplaceAll(l.cfg.BindTemplate, placeName, ldap.EscapeDN(username))
	if err := bindPerson(conn, dn, password); err != nil {
		return identity.User{}, err
	}
	entry, err := l.findUser(conn, dn, ldap.ScopeBaseObject, username)
	if err != nil {
		return identity.User{}, err
	}
	if entry == nil {
		return identity.User{}, identity.ErrCredentials
	}
	groups, err := l.findGroups(conn, entry.DN, entry.GetAttributeValue(l.cfg.UsernameAttribute))
	if err != nil {
		return identity.User{}, err
	}
	return l.person(entry, groups)
}

// findUser returns the one entry for username, or nil: none, or more than one, which
// would let one password open several people's servers.
func (l *Login) findUser(conn Conn, base string, scope int, username string) (*ldap.Entry, error) {
	filter := strings.ReplaceAll(l.cfg.UserSearch.Filter, placeName, ldap.EscapeFilter(username))
	res, err := conn.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 2, int(timeout.Seconds()), false,
		filter, []string{l.cfg.UsernameAttribute, l.cfg.DisplayNameAttribute}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded), ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("search for the user: %w", err)
	case len(res.Entries) != 1 || res.Entries[0].DN == "":
		return nil, nil
	}
	return res.Entries[0], nil
}

func (l *Login) findGroups(conn Conn, dn, username string) ([]string, error) {
	filter := strings.NewReplacer(placeDN, ldap.EscapeFilter(dn), placeName, ldap.EscapeFilter(username)).Replace(l.cfg.GroupSearch.Filter)
	res, err := conn.Search(ldap.NewSearchRequest(l.cfg.GroupSearch.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, maxGroups,
		int(timeout.Seconds()), false, filter, []string{l.cfg.GroupNameAttribute}, nil))
	if err != nil {
		return nil, fmt.Errorf("search for groups: %w", err)
	}
	var groups []string
	for _, e := range res.Entries {
		groups = append(groups, e.GetAttributeValues(l.cfg.GroupNameAttribute)...)
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// pretend does for an unknown name what is done for a known one, so that neither the
// answer nor its time tells them apart (L3).
func (l *Login) pretend(conn Conn, username, password string) error {
	nobody := "cn=" + ldap.EscapeDN(username) + ",cn=nobody," + l.cfg.UserSearch.Base
	if _, err := l.findGroups(conn, nobody, username); err != nil {
		return err
	}
	if err := conn.Bind(nobody, password); err != nil && !refused(err) {
		return fmt.Errorf("bind: %w", err)
	}
	return identity.ErrCredentials
}

func bindPerson(conn Conn, dn, password string) error {
	err := conn.Bind(dn, password)
	switch {
	case err == nil:
		return nil
	case refused(err):
		return identity.ErrCredentials
	}
	return fmt.Errorf("bind as the user: %w", err)
}

// refused reports whether the directory answered "no" to a bind, as opposed to not
// answering. Locked, disabled and expired accounts are a no like any other (L10).
func refused(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInappropriateAuthentication,
		ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConstraintViolation, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultInvalidDNSyntax)
}

// person makes the user from the entry: the name as the directory writes it, never as
// it was typed (CVE-2026-47203), and only if it can own servers.
func (l *Login) person(entry *ldap.Entry, groups []string) (identity.User, error) {
	names := entry.GetAttributeValues(l.cfg.UsernameAttribute)
	if len(names) != 1 {
		return identity.User{}, fmt.Errorf("%w: the entry has %d values of %s, it needs one", identity.ErrNotAllowed, len(names), l.cfg.UsernameAttribute)
	}
	if err := notebook.ValidUser(names[0]); err != nil {
		return identity.User{}, fmt.Errorf("%w: %w", identity.ErrNotAllowed, err)
	}
	admin := overlap(groups, l.cfg.AdminGroups)
	if !admin && !slices.Contains(l.cfg.AllowedGroups, Everyone) && !overlap(groups, l.cfg.AllowedGroups) {
		return identity.User{}, fmt.Errorf("%w: none of the groups is allowed", identity.ErrNotAllowed)
	}
	return identity.User{Name: names[0], DisplayName: strings.ToValidUTF8(entry.GetAttributeValue(l.cfg.DisplayNameAttribute), ""), Groups: groups, Admin: admin}, nil
}

func overlap(have, want []string) bool {
	return slices.ContainsFunc(have, func(g string) bool { return slices.Contains(want, g) })
}
