package spawn

import (
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/hub/spawn/order"
	"github.com/perijove/perijove/pkg/server/access"
)

// validatePool checks the plan, and that servers of the profile can wait.
func (p Profile) validatePool(f *faults) {
	if p.Pool.IsZero() {
		return
	}
	for _, fault := range p.Pool.Faults() {
		*f = append(*f, Fault{"pool." + fault.Key, fault.Text})
	}
	f.check(p.Pool.Group == "" || open(p.AllowedGroups, access.NewGroups([]string{p.Pool.Group})), "pool.group", "may not choose the profile")
	f.check(p.Program == nil, "pool", "is for Jupyter, and the profile is another program")
	f.check(order.Known(slices.Concat(p.Override.Cmd, p.Override.Args)), "pool", "is for JupyterLab, and cmd is %q", strings.Join(p.Override.Cmd, " "))
	f.check(!p.Override.Persistent() || p.Override.comesLate(), "pool",
		"needs homes that can come late: storage_access_modes: [ReadWriteMany], or storage_type none")
}

// A Pool is what should wait for the users of one profile.
type Pool struct {
	Profile Profile
	Template
}

// Pools returns what should wait, one for each profile that has a pool. A group whose settings make no
// server has none.
func (p Policy) Pools(site Site) (all []Pool) {
	for _, profile := range p.Profiles {
		if profile.Pool.IsZero() {
			continue
		}
		made, err := p.Resolve(access.User{Groups: profile.poolGroups()}, Options{Profile: profile.Slug})
		if err != nil || !canWait(site, made, Options{}) {
			continue
		}
		all = append(all, Pool{Profile: profile, Template: NewTemplate(site, made)})
	}
	return all
}

// Unoffered returns the slugs of the profiles that have a pool for homes which come late, where no driver gives any.
func (p Policy) Unoffered(site Site) (slugs []string) {
	for _, profile := range p.Profiles {
		if !profile.Pool.IsZero() && profile.Override.Persistent() && !site.LateHomes {
			slugs = append(slugs, profile.Slug)
		}
	}
	return slugs
}

// HasPools reports whether pods wait for users of any profile.
func (p Policy) HasPools() bool {
	return slices.ContainsFunc(p.Profiles, func(p Profile) bool { return !p.Pool.IsZero() })
}

// poolGroups are the groups of the users for whom pods wait.
func (p Profile) poolGroups() []string {
	if p.Pool.Group != "" {
		return []string{p.Pool.Group}
	}
	return p.AllowedGroups[:min(1, len(p.AllowedGroups))]
}

// canWait reports whether a server of a profile with all settings of its user in it can be made of a pod
// that waits. A safe start is for a user in trouble, and takes the plainest way.
func canWait(site Site, p Profile, o Options) bool {
	home := !p.Override.Persistent() || site.LateHomes && p.Override.comesLate()
	return p.Program == nil && !o.Safe && home && order.Known(slices.Concat(p.Override.Cmd, p.Override.Args))
}

// Template returns the template of the pods that could become the server of a spec; false where none
// could.
func (s Spec) Template(site Site) (Template, bool) {
	if !canWait(site, s.Profile, s.Options) {
		return Template{}, false
	}
	return NewTemplate(site, s.Profile), true
}
