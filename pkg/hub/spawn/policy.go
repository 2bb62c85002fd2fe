package spawn

import (
	"errors"
	"fmt"
	"slices"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/server/access"
)

// Document is what an administrator writes about servers.
type Document struct {
	// Base holds the settings that all profiles share; kubespawner_override of a profile is
	// laid over it.
	Base     Override         `yaml:"base"`
	Lifetime `yaml:",inline"` // of the profiles that say nothing about it
	Profiles []Profile        `yaml:"profiles"`
	// GroupOverrides are settings for some users only, by a name that orders them.
	GroupOverrides map[string]GroupOverride `yaml:"group_overrides"`
	// SharedVolumes are what servers have according to their users' groups, whatever the profile.
	SharedVolumes []SharedVolume `yaml:"shared_volumes"`
	// Quotas are by a name that users are told of.
	Quotas map[string]Quota `yaml:"quotas"`
}

// GroupOverride is what some users get instead of what profiles say, in the shape of an entry of
// JupyterHub's Spawner.group_overrides. Without groups and users it is for nobody.
type GroupOverride struct {
	// Groups and Users name those that it is for.
	Groups []string `yaml:"groups"`
	Users  []string `yaml:"users"`
	// Profiles are slugs. An override with profiles is laid over these; one without lies under
	// every profile, as JupyterHub's does.
	Profiles []string `yaml:"profiles"`
	Override Override `yaml:"spawner_override"`
	// Lifetime is laid as Override is. JupyterHub has none.
	Lifetime `yaml:",inline"`
}

// Policy is what each user of an installation is due.
type Policy struct {
	// Profiles are those of the installation, with the shared settings in them.
	Profiles Catalog

	base      Override
	lifetime  Lifetime
	overrides []GroupOverride // groups' before users', each in the order of their names
	shared    []SharedVolume
	quotas    []quota.Rule
}

// Policy returns what the document says, or every fault with the key that it has in the document.
func (d Document) Policy() (Policy, []Fault) {
	var all faults
	all.check(len(d.Profiles) > 0, "profiles", "needs at least one")
	all = append(all, d.Lifetime.faults()...)
	p := Policy{base: d.Base, lifetime: d.Lifetime, shared: d.SharedVolumes}
	defaults, slugs := 0, map[string]bool{}
	for i, profile := range d.Profiles {
		profile.own, profile.ownLifetime = profile.Override, profile.Lifetime
		profile.Override = d.Base.with(profile.own)
		if profile.Slug == "" {
			profile.Slug = slugOf(profile.DisplayName)
		}
		key := fmt.Sprintf("profiles[%d].", i)
		for _, fault := range profile.Validate() {
			all = append(all, Fault{key + fault.Key, fault.Text})
		}
		profile.Lifetime = profile.Lifetime.over(d.Lifetime)
		all.check(!slugs[profile.Slug], key+"slug", "%q is another profile's", profile.Slug)
		slugs[profile.Slug] = true
		if profile.Default {
			defaults++
		}
		p.Profiles = append(p.Profiles, profile)
	}
	all.check(defaults <= 1, "profiles", "more than one is the default")
	for _, name := range sorted(d.GroupOverrides) {
		p.validateOverride(&all, "group_overrides."+name, d.GroupOverrides[name])
	}
	p.validateVolumes(&all, d)
	for _, name := range sorted(d.Quotas) {
		key := "quotas." + name
		all.check(validOption.MatchString(name), key, "must be letters, digits, dots and dashes")
		p.quotas = append(p.quotas, d.Quotas[name].rule(&all, key, name))
	}
	if len(all) > 0 {
		return Policy{}, all
	}
	p.overrides = inOrder(d.GroupOverrides)
	return p, nil
}

// validateOverride records what an override makes worse than servers are without it.
func (p Policy) validateOverride(f *faults, key string, o GroupOverride) {
	f.check(len(o.Groups)+len(o.Users) > 0, key, "is for nobody: it needs groups or users")
	f.check(!nameless(o.Groups), key+".groups", "has an empty name")
	f.check(!nameless(o.Users), key+".users", "has an empty name")
	for i, slug := range o.Profiles {
		known := slices.ContainsFunc(p.Profiles, func(p Profile) bool { return p.Slug == slug })
		f.check(known, fmt.Sprintf("%s.profiles[%d]", key, i), "there is no profile %q", slug)
	}
	for _, fault := range o.Lifetime.faults() {
		*f = append(*f, Fault{key + "." + fault.Key, fault.Text})
	}
	var found faults
	for _, profile := range p.Profiles {
		before := profile.Override.faults()
		for _, fault := range p.layered(profile, []GroupOverride{o}).Override.faults() {
			if !slices.Contains(before, fault) && !slices.Contains(found, fault) {
				found = append(found, fault)
				*f = append(*f, Fault{key + ".spawner_override." + fault.Key, fault.Text})
			}
		}
	}
}

// inOrder returns overrides in the order in which they are laid: groups' by name, then users'
// by name.
func inOrder(all map[string]GroupOverride) []GroupOverride {
	var groups, users []GroupOverride
	for _, name := range sorted(all) {
		if o := all[name]; len(o.Users) == 0 {
			groups = append(groups, o)
		} else {
			users = append(users, o)
		}
	}
	return slices.Concat(groups, users)
}

// layered returns a profile as it is for users to whom all of overrides apply, in this order of
// precedence, the last one counting: the shared settings, overrides without profiles, the
// profile's own settings, overrides that name the profile.
func (p Policy) layered(profile Profile, overrides []GroupOverride) Profile {
	if len(overrides) == 0 {
		return profile
	}
	o, l := p.base, p.lifetime
	for _, under := range overrides {
		if len(under.Profiles) == 0 {
			o, l = o.with(under.Override), under.over(l)
		}
	}
	o, l = o.with(profile.own), profile.ownLifetime.over(l)
	for _, over := range overrides {
		if slices.Contains(over.Profiles, profile.Slug) {
			o, l = o.with(over.Override), over.over(l)
		}
	}
	profile.Override, profile.Lifetime = o, l
	return profile
}

// of returns the overrides for a user.
func (p Policy) of(user access.User) []GroupOverride {
	groups := access.NewGroups(user.Groups)
	var mine []GroupOverride
	for _, o := range p.overrides {
		if slices.Contains(o.Users, user.Name) || groups.Any(o.Groups) {
			mine = append(mine, o)
		}
	}
	return mine
}

// For returns the profiles that a user may choose, each with the choices and the settings that
// the user has in it.
func (p Policy) For(user access.User) Catalog {
	mine, overrides := p.Profiles.For(user.Groups), p.of(user)
	for i := range mine {
		mine[i] = p.layered(mine[i], overrides)
	}
	return mine
}

// Resolve returns the profile that a user gets for options, with the user's choices in it. A
// profile or choice that does not exist and one that is not allowed are the same *Problem, so a
// user does not learn which other groups have.
func (p Policy) Resolve(user access.User, o Options) (Profile, error) {
	profile, err := p.Profiles.find(user.Groups, o.Profile)
	if err != nil {
		return Profile{}, err
	}
	overrides := p.of(user)
	profile = p.layered(profile, overrides)
	if profile, err = profile.chosen(o); err != nil {
		return Profile{}, err
	}
	// Each layer was checked alone; together, or with a typed value, they may be too much.
	if faults := profile.Override.faults(); len(o.Choices)+len(overrides) > 0 && len(faults) > 0 {
		return Profile{}, &Problem{
			Message: MsgChoices, Data: map[string]string{"Key": faults[0].Key}, Detail: faults[0].Key + " " + faults[0].Text,
			Err: errors.New("the choices and the settings of the user's groups make no server"),
		}
	}
	profile.Override = profile.Override.withShared(p.shared, access.NewGroups(user.Groups))
	return profile, nil
}
