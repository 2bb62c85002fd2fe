package oidclogin

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
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

// text returns a claim of the protocol itself (sub, nonce, …), which must be text.
func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// find returns the claim that the configuration names. Dots lead into objects when no claim
// has that very name: Keycloak has realm_access.roles, others names such as
// https://example.org/groups.
func (c claims) find(path string) any {
	if v, ok := c[path]; ok || !strings.Contains(path, ".") {
		return v
	}
	var at any = map[string]any(c)
	for step := range strings.SplitSeq(path, ".") {
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[step]
	}
	return at
}

// name returns a configured claim as text: providers write staff numbers as numbers.
func (c claims) name(path string) string {
	s, _ := word(c.find(path))
	return s
}

// word is a text or a whole number as text. A number that JSON's readers round is none: two
// people's could become one.
func word(v any) (string, bool) {
	const exact = 1 << 53
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= exact {
			return "", false
		}
		return strconv.FormatFloat(v, 'f', 0, 64), true
	}
	return "", false
}

// verified reports whether the e-mail address is. Cognito and JumpCloud write the boolean as
// text; anything but "true" is no.
func (c claims) verified() bool {
	v := c["email_verified"]
	return v == true || v == "true"
}

// groups returns the list in the claim path. known is false when the provider did not
// say: no claim, another type, too many, or only a pointer to where the list could be
// had (Microsoft's "overage": _claim_names). authz does not follow that pointer. A single
// group may come without a list around it.
func (c claims) groups(path string) (list []string, known bool) {
	if elsewhere, ok := c["_claim_names"].(map[string]any); ok && elsewhere[path] != nil {
		return nil, false
	}
	found := c.find(path)
	values, ok := found.([]any)
	if !ok {
		values = []any{found}
	}
	if len(values) > maxGroups {
		return nil, false
	}
	for _, v := range values {
		g, ok := word(v)
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
	if id.name(c.Claims.Username) == "" {
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
// of each would verify an address that the provider did not (O10).
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
		all[c.Claims.Groups], all["_claim_names"] = info.find(c.Claims.Groups), info["_claim_names"]
	}
	if id.name(c.Claims.Username) == "" && c.Claims.Username != emailClaim {
		all[c.Claims.Username] = info.find(c.Claims.Username)
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
	groups = c.spelt(groups)
	admin := overlap(groups, c.AdminGroups)
	switch {
	case admin, c.everyone():
	case !known:
		return access.User{}, fmt.Errorf("%w: the provider does not say the groups (claim %q)", access.ErrNotAllowed, c.Claims.Groups)
	case !overlap(groups, c.AllowedGroups):
		return access.User{}, fmt.Errorf("%w: none of the groups is allowed", access.ErrNotAllowed)
	}
	user := access.User{Name: name, Groups: groups, Admin: admin}
	if display := all.name(c.Claims.DisplayName); len(display) <= maxDisplayName {
		user.DisplayName = strings.ToValidUTF8(display, "")
	}
	return user, nil
}

// spelt returns the groups as they are kept.
func (c Config) spelt(groups []string) []string {
	if !c.Claims.GroupPaths {
		return groups
	}
	out := make([]string, 0, len(groups))
	for _, g := range groups {
		out = append(out, strings.TrimPrefix(g, "/"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// username applies the rule to the claim. RFC 8265 maps the spellings of one name onto
// one and refuses what is no name (controls, blanks, mixed directions, symbols); two
// different names that end up equal are still two logins, and the second is refused
// when the name is claimed (O9, O11).
func (c Config) username(all claims) (string, error) {
	name := all.name(c.Claims.Username)
	if c.Claims.Username == emailClaim {
		name = all.text(emailClaim)
	}
	if name == "" || len(name) > server.MaxName {
		return "", fmt.Errorf("the claim %q is no text of 1 to %d bytes", c.Claims.Username, server.MaxName)
	}
	if c.Claims.Username == emailClaim {
		if !all.verified() {
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
// as the beginning of an escape, and a proxy between here and a server may decode once
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
