package spawn

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/server/access"
)

// Catalog is profiles in the order in which users see them.
type Catalog []Profile

var noSlug = regexp.MustCompile(`[^a-z0-9]+`)

// slugOf makes a slug of a display name, as KubeSpawner does for profiles without one.
func slugOf(name string) string {
	const longest = 63
	slug := noSlug.ReplaceAllString(strings.ToLower(name), "-")
	return strings.Trim(slug[:min(len(slug), longest)], "-")
}

// For returns the profiles that a user with these groups may choose, each with the choices
// that the user has in it.
func (c Catalog) For(groups []string) Catalog {
	mine := access.NewGroups(groups)
	var out Catalog
	for _, p := range c {
		if open(p.AllowedGroups, mine) {
			out = append(out, p.narrowed(mine))
		}
	}
	return out
}

// narrowed returns the profile without what is other groups'.
func (p Profile) narrowed(groups access.Groups) Profile {
	if len(p.Options) == 0 {
		return p
	}
	options := make(map[string]ProfileOption, len(p.Options))
	for name, option := range p.Options {
		if mine, ok := option.allowed(groups); ok {
			options[name] = mine
		}
	}
	p.Options = options
	return p
}

// Lasts reports whether every server of the profile, whatever is chosen in it, has a home that
// outlives it.
func (p Profile) Lasts() bool {
	for _, option := range p.Options {
		for _, choice := range option.Choices {
			if !p.Override.with(choice.Override).Persistent() {
				return false
			}
		}
	}
	return p.Override.Persistent()
}

// OptionNames returns the names of the profile's options, in the order in which users see them.
func (p Profile) OptionNames() []string { return sorted(p.Options) }

// Default is the profile of a user who chooses nothing. The catalog must not be empty.
func (c Catalog) Default() Profile {
	if i := slices.IndexFunc(c, func(p Profile) bool { return p.Default }); i >= 0 {
		return c[i]
	}
	return c[0]
}

// chosen returns the profile with the user's choices in it.
func (p Profile) chosen(o Options) (Profile, error) {
	for name := range o.Choices {
		if _, ok := p.Options[strings.TrimSuffix(name, TypedSuffix)]; !ok {
			return Profile{}, &Problem{
				Message: MsgChoice, Data: map[string]string{"Option": name, "Choices": strings.Join(sorted(p.Options), ", ")},
				Err: fmt.Errorf("profile %s has no such option", p.Slug),
			}
		}
	}
	for _, name := range sorted(p.Options) {
		over, err := p.Options[name].choose(name, o)
		if err != nil {
			return Profile{}, err
		}
		p.Override = p.Override.with(over)
	}
	p.Options = nil
	return p, nil
}

// find returns one of the user's profiles.
func (c Catalog) find(groups []string, slug string) (Profile, error) {
	mine := access.NewGroups(groups)
	i := slices.IndexFunc(c, func(p Profile) bool { return p.Slug == slug })
	if i >= 0 && open(c[i].AllowedGroups, mine) {
		return c[i].narrowed(mine), nil
	}
	allowed := c.For(groups)
	switch {
	case len(allowed) == 0:
		return Profile{}, &Problem{Message: MsgNoProfile, Err: errors.New("no profile is open to the user's groups")}
	case slug == "":
		return allowed.Default(), nil
	}
	var slugs []string
	for _, p := range allowed {
		slugs = append(slugs, p.Slug)
	}
	return Profile{}, &Problem{
		Message: MsgProfile, Data: map[string]string{"Profile": slug, "Profiles": strings.Join(slugs, ", ")},
		Err: errors.New("the user may not choose this profile"),
	}
}

// open reports whether what is allowed for some groups is open to a user with these.
func open(allowed []string, groups access.Groups) bool {
	return len(allowed) == 0 || groups.Any(allowed)
}
