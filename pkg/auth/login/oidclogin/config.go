package oidclogin

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"

	"github.com/perijove/perijove/pkg/run/config"
)

// Everyone in AllowedGroups admits all users of the provider.
const Everyone = "*"

// emailClaim is believed only together with email_verified.
const emailClaim = "email"

// Config is one provider.
type Config struct {
	// ID names the provider in our own addresses, /hub/oauth_callback/<id>, and in the
	// audit log. Changing it means registering another address at the provider.
	ID string `yaml:"id"`
	// Name is what people read on the button.
	Name string `yaml:"name"`
	// Issuer is the provider's address exactly as it writes it itself. It must be
	// https; http is for a provider on this very machine (localhost).
	Issuer string `yaml:"issuer"`
	// ClientID and the secret in ClientSecretFile are what the provider gave this
	// installation. The file is read for each login.
	ClientID         string `yaml:"clientID"`
	ClientSecretFile string `yaml:"clientSecretFile"`
	// CAFile holds the certificates (PEM) that the provider's must be signed by; empty
	// means the system's.
	CAFile string `yaml:"caFile"`
	// Scopes are asked for besides openid. Add offline_access where the provider needs
	// it to hand out refresh tokens: without one an account is not checked again
	// before its session ends.
	Scopes []string `yaml:"scopes"`
	// Claims says where in the ID token, or else in the user info, things stand.
	Claims Claims `yaml:"claims"`
	// Username says how a claim becomes a user name.
	Username Username `yaml:"username"`
	// AllowedGroups may use the platform; ["*"] is everyone whom the provider lets in.
	// There is no default: no user gets in because a key was misspelt.
	AllowedGroups []string `yaml:"allowedGroups"`
	// AdminGroups are administrators, and thereby allowed.
	AdminGroups []string `yaml:"adminGroups"`
}

// Claims are names of claims. Dots lead into objects (realm_access.roles) when no claim has that
// very name.
type Claims struct {
	Username    string `yaml:"username"`    // preferred_username, email, …
	DisplayName string `yaml:"displayName"` // for people; may be empty
	Groups      string `yaml:"groups"`      // a list of strings; may be empty when everyone is allowed
	// GroupPaths cuts the slash that Keycloak puts before a group's path: /research is
	// research then.
	GroupPaths bool `yaml:"groupPaths"`
}

// Username is the rule from claim to user name.
type Username struct {
	// Domain, such as example.org: only names that end with @example.org are let in,
	// and that end is cut off.
	Domain string `yaml:"domain"`
	// Prefix is put before the name, so that two providers' people never want the
	// same one.
	Prefix string `yaml:"prefix"`
	// Lowercase turns Alice into alice.
	Lowercase bool `yaml:"lowercase"`
}

// What settings look like; the chart checks its values with the same.
const (
	IDPattern     = `^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`
	IssuerPattern = `^(https://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])|http://(localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\]))(:[0-9]{1,5})?(/[^?#\s]*)?$`
	ScopePattern  = `^[\x21\x23-\x5b\x5d-\x7e]+$` // RFC 6749 §3.3
	DomainPattern = `^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
)

var (
	validID     = regexp.MustCompile(IDPattern)
	validIssuer = regexp.MustCompile(IssuerPattern)
	validScope  = regexp.MustCompile(ScopePattern)
	validDomain = regexp.MustCompile(DomainPattern)
)

// ValidateAll records every fault of a list of providers, with keys below prefix.
func ValidateAll(all []Config, prefix string, f *config.Faults) {
	ids, issuers := map[string]bool{}, map[string]bool{}
	for i, c := range all {
		at := fmt.Sprintf("%s[%d]", prefix, i)
		c.Validate(at, f)
		f.Check(!ids[c.ID], at+".id", "is another provider's already")
		// Two clients of one issuer would share users: a user whom one of them refuses
		// would come in by the other.
		f.Check(!issuers[c.Issuer], at+".issuer", "is another provider's already")
		ids[c.ID], issuers[c.Issuer] = true, true
	}
}

// Validate records every fault, with keys below prefix ("oidc[0]").
func (c Config) Validate(prefix string, f *config.Faults) {
	key := func(k string) string { return prefix + "." + k }
	f.Check(validID.MatchString(c.ID), key("id"), "must be 1 to 32 small letters, digits and dashes")
	f.Required(map[string]string{key("name"): c.Name, key("clientID"): c.ClientID, key("claims.username"): c.Claims.Username})
	if err := checkIssuer(c.Issuer); err != nil {
		f.Addf(key("issuer"), "%v", err)
	}
	if c.ClientSecretFile == "" {
		f.Addf(key("clientSecretFile"), "is required")
	} else if _, err := config.SecretFile(c.ClientSecretFile, 1); err != nil {
		f.Addf(key("clientSecretFile"), "%v", err)
	}
	if c.CAFile != "" {
		if _, err := os.Stat(c.CAFile); err != nil {
			f.Addf(key("caFile"), "%v", err)
		}
	}
	for i, s := range c.Scopes {
		f.Check(validScope.MatchString(s), fmt.Sprintf("%s.scopes[%d]", prefix, i), "must be one word")
	}
	f.Check(c.Username.Domain == "" || validDomain.MatchString(c.Username.Domain), key("username.domain"), "must be a domain in small letters, like example.org")
	if c.Username.Prefix != "" {
		if err := safeName(c.Username.Prefix + "x"); err != nil {
			f.Addf(key("username.prefix"), "%v", err)
		}
	}
	c.validateGroups(prefix, f)
}

func (c Config) validateGroups(prefix string, f *config.Faults) {
	f.Check(len(c.AllowedGroups) > 0, prefix+".allowedGroups", `must name the groups that may log in, or be ["*"] for everyone whom the provider lets in`)
	for i, g := range c.AllowedGroups {
		f.Check(g != "", fmt.Sprintf("%s.allowedGroups[%d]", prefix, i), "must be the name of a group")
	}
	for i, g := range c.AdminGroups {
		f.Check(g != "" && g != Everyone, fmt.Sprintf("%s.adminGroups[%d]", prefix, i), "must be the name of a group")
	}
	f.Check(c.Claims.Groups != "" || (c.everyone() && len(c.AdminGroups) == 0), prefix+".claims.groups", "is required with allowedGroups or adminGroups")
}

func (c Config) everyone() bool { return slices.Contains(c.AllowedGroups, Everyone) }

func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("must be https://host/path as the provider's discovery document writes it")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u)):
		return fmt.Errorf("must be https: codes and tokens would travel in clear")
	case !validIssuer.MatchString(issuer):
		return fmt.Errorf("must be https://host/path as the provider's discovery document writes it")
	}
	return nil
}

// loopback reports whether u leads to this very machine, where no network is in between.
func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
