package ldaplogin

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/run/config"
)

// Placeholders in filters and in the bind template; the value is escaped for its place.
const (
	placeName = "{username}"
	placeDN   = "{dn}"
)

// oddMatch finds {username} compared by something else than equality. To find a person
// by the canonical name (byName), {username} becomes *, which has a meaning after "=" only.
var oddMatch = regexp.MustCompile(`[:<>~]=[^()]*\{username\}`)

// URLPattern is what the address of a directory looks like; the chart checks its values
// with the same.
const URLPattern = `^ldaps?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$`

var validURL = regexp.MustCompile(URLPattern)

// AttributePattern is the name of an attribute (RFC 4512 §1.4, keystring); the chart checks its
// values with the same.
const AttributePattern = `^[A-Za-z][A-Za-z0-9-]*$`

var validAttribute = regexp.MustCompile(AttributePattern)

// Everyone in AllowedGroups admits all users of the directory.
const Everyone = "*"

// Config says where the directory is and how to read it.
type Config struct {
	// URLs are the directory's servers: ldaps://host:port, or ldap://host:port with
	// StartTLS. The one that answered last is asked first, then the others in order.
	URLs []string `yaml:"urls"`
	// StartTLS must be true exactly when the URLs are ldap://. There is no way to send
	// a password in clear.
	StartTLS bool `yaml:"startTLS"`
	// CAFile holds the certificates (PEM) that the directory's must be signed by; empty
	// means the system's.
	CAFile string `yaml:"caFile"`
	// BindDN and BindPasswordFile are the service account that searches: its DN, or for Active
	// Directory name@domain or DOMAIN\name. It needs to
	// read people, groups and the attributes that recheck.go lists. Both may be empty
	// when BindTemplate is set; then authz cannot look a user up without the password, so
	// who is disabled or leaves a group stays in until the session ends.
	BindDN           string `yaml:"bindDN"`
	BindPasswordFile string `yaml:"bindPasswordFile"`
	// BindTemplate makes the person's DN from the name instead of searching for it:
	// "uid={username},ou=people,dc=example,dc=org".
	BindTemplate string `yaml:"bindTemplate"`
	// UserSearch finds the person: base DN and a filter with {username}.
	UserSearch Search `yaml:"userSearch"`
	// UsernameAttribute holds the canonical name; it must have exactly one value.
	UsernameAttribute string `yaml:"usernameAttribute"`
	// IDAttribute identifies an entry for good, whatever the person is called: "entryUUID". An
	// entry without it is refused. Empty: the attributes of ids.go, where entries have one.
	IDAttribute string `yaml:"idAttribute"`
	// DisplayNameAttribute holds the name for people; may be absent in an entry.
	DisplayNameAttribute string `yaml:"displayNameAttribute"`
	// GroupSearch finds the person's groups.
	GroupSearch GroupSearch `yaml:"groupSearch"`
	// MemberOfAttribute of the person's entry lists the DNs of groups ("memberOf"). Only
	// groups below groupSearch.base count. Empty: the searches alone decide.
	MemberOfAttribute string `yaml:"memberOfAttribute"`
	// GroupNameAttribute holds a group's name.
	GroupNameAttribute string `yaml:"groupNameAttribute"`
	// AllowedGroups may use the platform, by name or DN; ["*"] is everyone in the directory.
	// There is no default: no user gets in because a key was misspelt.
	AllowedGroups []string `yaml:"allowedGroups"`
	// AdminGroups are administrators, and thereby allowed.
	AdminGroups []string `yaml:"adminGroups"`
}

// Search is where and how to search: the whole subtree of Base.
type Search struct {
	Base   string `yaml:"base"`
	Filter string `yaml:"filter"`
}

// GroupSearch is where and how to search for groups, the whole subtree of Base. With
// Active Directory's in-chain rule in Filter, the directory resolves nested groups:
// "(member:1.2.840.113556.1.4.1941:={dn})".
type GroupSearch struct {
	Base string `yaml:"base"`
	// Filter finds the groups of the person {dn} or {username}: "(member={dn})",
	// "(uniqueMember={dn})", "(memberUid={username})". May be empty with
	// MemberOfAttribute.
	Filter string `yaml:"filter"`
	// NestedFilter finds the groups that a group {dn} belongs to. It is applied until
	// nothing new appears. Empty: groups in groups do not count.
	NestedFilter string `yaml:"nestedFilter"`
}

// canRecheck reports whether people can be looked up without their password.
func (c Config) canRecheck() bool { return c.BindDN != "" }

// Validate records every fault, with keys below prefix ("ldap").
func (c Config) Validate(prefix string, f *config.Faults) {
	key := func(k string) string { return prefix + "." + k }
	f.Check(len(c.URLs) > 0, key("urls"), "needs at least one address, like ldaps://ldap.example.org")
	for i, u := range c.URLs {
		if err := c.checkURL(u); err != nil {
			f.Addf(fmt.Sprintf("%s.urls[%d]", prefix, i), "%v", err)
		}
	}
	c.validateBind(key, f)
	checkFile(f, key("caFile"), c.CAFile)
	f.Check(validDN(c.UserSearch.Base), key("userSearch.base"), "must be a DN, like ou=people,dc=example,dc=org")
	checkFilter(f, key("userSearch.filter"), c.UserSearch.Filter, placeName)
	f.Check(!oddMatch.MatchString(c.UserSearch.Filter), key("userSearch.filter"), "must compare {username} with = only")
	f.Check(validDN(c.GroupSearch.Base), key("groupSearch.base"), "must be a DN, like ou=groups,dc=example,dc=org")
	if c.GroupSearch.Filter != "" || c.MemberOfAttribute == "" {
		checkFilter(f, key("groupSearch.filter"), c.GroupSearch.Filter, placeName, placeDN)
	}
	if c.GroupSearch.NestedFilter != "" {
		checkFilter(f, key("groupSearch.nestedFilter"), c.GroupSearch.NestedFilter, placeDN)
		f.Check(!strings.Contains(c.GroupSearch.NestedFilter, placeName), key("groupSearch.nestedFilter"), "must not contain {username}: it is about groups")
	}
	f.Required(map[string]string{
		key("usernameAttribute"): c.UsernameAttribute, key("displayNameAttribute"): c.DisplayNameAttribute,
		key("groupNameAttribute"): c.GroupNameAttribute,
	})
	f.Check(c.IDAttribute == "" || validAttribute.MatchString(c.IDAttribute), key("idAttribute"), "must be the name of an attribute, like entryUUID")
	f.Check(len(c.AllowedGroups) > 0, key("allowedGroups"), `must name the groups that may log in, or be ["*"] for everyone in the directory`)
	for i, g := range c.AdminGroups {
		f.Check(g != "" && g != Everyone, fmt.Sprintf("%s.adminGroups[%d]", prefix, i), "must be the name of a group")
	}
	for i, g := range c.AllowedGroups {
		f.Check(g != "", fmt.Sprintf("%s.allowedGroups[%d]", prefix, i), "must be the name of a group")
	}
}

func (c Config) validateBind(key func(string) string, f *config.Faults) {
	if c.BindTemplate != "" {
		f.Check(strings.Count(c.BindTemplate, placeName) == 1 && validDN(strings.ReplaceAll(c.BindTemplate, placeName, "x")),
			key("bindTemplate"), "must be a DN with {username} in it once")
		if c.BindDN == "" && c.BindPasswordFile == "" {
			return
		}
	}
	f.Check(validBindName(c.BindDN), key("bindDN"), "must be the account that searches: its DN, or for Active Directory name@domain or DOMAIN\\name (or set bindTemplate)")
	if c.BindPasswordFile == "" {
		f.Addf(key("bindPasswordFile"), "is required with bindDN")
	} else if _, err := config.SecretFile(c.BindPasswordFile, 1); err != nil {
		f.Addf(key("bindPasswordFile"), "%v", err)
	}
}

func (c Config) checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("is no URL: %w", err)
	case u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return fmt.Errorf("must be scheme://host:port and nothing else")
	case u.Scheme == "ldaps" && c.StartTLS:
		return fmt.Errorf("is encrypted from the start: remove startTLS")
	case u.Scheme == "ldap" && !c.StartTLS:
		return fmt.Errorf("would send passwords in clear: use ldaps:// or set startTLS: true")
	case u.Scheme != "ldap" && u.Scheme != "ldaps":
		return fmt.Errorf("has the scheme %q; it must be ldap or ldaps", u.Scheme)
	case !validURL.MatchString(raw):
		return fmt.Errorf("must be scheme://host:port and nothing else")
	}
	return nil
}

// validBindName takes what the directory takes in a bind: a DN, and what Active Directory
// takes instead (RFC 4513 §5.1.3 leaves names that are no DNs to the directory).
func validBindName(name string) bool {
	if validDN(name) {
		return true
	}
	for _, separator := range []string{"@", `\`} {
		before, after, ok := strings.Cut(name, separator)
		if ok && before != "" && after != "" && !strings.ContainsAny(name, "=\x00") && strings.Count(name, separator) == 1 {
			return true
		}
	}
	return false
}

func validDN(dn string) bool {
	parsed, err := ldap.ParseDN(dn)
	return err == nil && len(parsed.RDNs) > 0
}

// checkFilter compiles the filter with a harmless value in each place.
func checkFilter(f *config.Faults, key, filter string, places ...string) {
	filled, found := filter, false
	for _, p := range places {
		found = found || strings.Contains(filled, p)
		filled = strings.ReplaceAll(filled, p, "x")
	}
	if !found {
		f.Addf(key, "must contain %s", strings.Join(places, " or "))
		return
	}
	if _, err := ldap.CompileFilter(filled); err != nil {
		f.Addf(key, "is no LDAP filter: %v", err)
	}
}

func checkFile(f *config.Faults, key, path string) {
	if path == "" {
		return
	}
	if _, err := os.Stat(path); err != nil {
		f.Addf(key, "%v", err)
	}
}
