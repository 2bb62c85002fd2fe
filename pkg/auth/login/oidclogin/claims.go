package oidclogin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

const (
	// maxGroups bounds how many groups a person may bring. A longer list is treated as
	// no list: half of one might lack the group that matters (O12).
	maxGroups = 1000
	// maxGroup and maxDisplayName bound one text, in bytes.
	maxGroup       = 256
	maxDisplayName = 256
)

// claims is what an ID token or the user info says, as JSON decodes it.
type claims map[string]any

func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// groups returns the list in the claim name. known is false when the provider did not
// say: no claim, another type, too many, or only a pointer to where the list could be
// had (Microsoft's "overage": _claim_names). Nobody follows that pointer.
func (c claims) groups(name string) (list []string, known bool) {
	if elsewhere, ok := c["_claim_names"].(map[string]any); ok && elsewhere[name] != nil {
		return nil, false
	}
	values, ok := c[name].([]any)
	if !ok || len(values) > maxGroups {
		return nil, false
	}
	for _, v := range values {
		g, ok := v.(string)
		if !ok || len(g) > maxGroup || !utf8.ValidString(g) {
			return nil, false
		}
		list = append(list, g)
	}
	slices.Sort(list)
	return slices.Compact(list), true
}

// incomplete reports whether the ID token's claims leave open what the configuration
// needs, so that the user info is worth asking.
func (c Config) incomplete(id claims) bool {
	if id.text(c.Claims.Username) == "" {
		return true
	}
	if _, ok := id["email_verified"]; c.Claims.Username == emailClaim && !ok {
		return true
	}
	if c.Claims.Groups == "" {
		return false
	}
	_, known := id.groups(c.Claims.Groups)
	return !known
}

// complete returns the ID token's claims with what only the user info says. What is
// signed wins. An e-mail address and whether it is verified come from one source: half
// of each would verify an address that nobody verified (O10).
func (c Config) complete(id, info claims) claims {
	all := claims{}
	for k, v := range info {
		all[k] = v
	}
	for k, v := range id {
		all[k] = v
	}
	if _, ok := id["email_verified"]; !ok {
		all[emailClaim], all["email_verified"] = info[emailClaim], info["email_verified"]
	}
	if _, known := id.groups(c.Claims.Groups); !known && c.Claims.Groups != "" {
		all[c.Claims.Groups], all["_claim_names"] = info[c.Claims.Groups], info["_claim_names"]
	}
	return all
}

// person makes the user whom the claims describe. Name is the name that the rule gives;
// whether this login gets it is pkg/auth/account' decision. Errors wrap
// access.ErrNotAllowed and say why, for the log.
func (c Config) person(all claims) (access.User, error) {
	name, err := c.username(all)
	if err != nil {
		return access.User{}, fmt.Errorf("%w: %w", access.ErrNotAllowed, err)
	}
	groups, known := all.groups(c.Claims.Groups)
	admin := overlap(groups, c.AdminGroups)
	switch {
	case admin, c.everyone():
	case !known:
		return access.User{}, fmt.Errorf("%w: the provider does not say the groups (claim %q)", access.ErrNotAllowed, c.Claims.Groups)
	case !overlap(groups, c.AllowedGroups):
		return access.User{}, fmt.Errorf("%w: none of the groups is allowed", access.ErrNotAllowed)
	}
	user := access.User{Name: name, Groups: groups, Admin: admin}
	if display := all.text(c.Claims.DisplayName); len(display) <= maxDisplayName {
		user.DisplayName = strings.ToValidUTF8(display, "")
	}
	return user, nil
}

// username applies the rule to the claim. RFC 8265 maps the spellings of one name onto
// one and refuses what is no name (controls, blanks, mixed directions, symbols); two
// different names that end up equal are still two logins, and the second is refused
// when the name is claimed (O9, O11).
func (c Config) username(all claims) (string, error) {
	name := all.text(c.Claims.Username)
	if name == "" || len(name) > server.MaxName {
		return "", fmt.Errorf("the claim %q is no text of 1 to %d bytes", c.Claims.Username, server.MaxName)
	}
	if c.Claims.Username == emailClaim {
		if verified, ok := all["email_verified"].(bool); !ok || !verified {
			return "", errors.New("the e-mail address is not verified")
		}
		if !plainAddress(name) {
			return "", errors.New("the e-mail address is not of the form name@domain")
		}
	}
	if c.Username.Domain != "" {
		local, domain, ok := strings.Cut(name, "@")
		if !ok || strings.Contains(domain, "@") || !strings.EqualFold(domain, c.Username.Domain) {
			return "", errors.New("the name is not of the allowed domain")
		}
		name = local
	}
	profile := precis.UsernameCasePreserved
	if c.Username.Lowercase {
		profile = precis.UsernameCaseMapped
	}
	name, err := profile.String(name)
	if err != nil {
		return "", fmt.Errorf("the claim %q holds no user name: %w", c.Claims.Username, err)
	}
	name = c.Username.Prefix + name
	return name, safeName(name)
}

// safeName refuses what could not own servers, and the percent sign: in a path it reads
// as the beginning of an escape, and somebody between here and a server may decode once
// more than we do.
func safeName(name string) error {
	if strings.Contains(name, "%") {
		return errors.New("user name contains a percent sign")
	}
	return server.ValidUser(name)
}

// plainAddress reports whether s is ASCII with one "@" and something on both sides.
// Mail systems read anything else in more than one way.
func plainAddress(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && !strings.Contains(domain, "@")
}

func overlap(have, want []string) bool {
	return slices.ContainsFunc(have, func(g string) bool { return slices.Contains(want, g) })
}
