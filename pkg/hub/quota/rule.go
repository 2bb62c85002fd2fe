package quota

import (
	"slices"

	"github.com/perijove/perijove/pkg/server/access"
)

// Resource is something that is counted: one of the names below, or Kubernetes' name of an
// extended resource (nvidia.com/gpu), which is counted in pieces.
type Resource string

// Resources, with the units of their amounts.
const (
	Servers       Resource = "servers"         // that run at one time, in thousandths (see Hold.Weight)
	NamedServers  Resource = "named_servers"   // that a user keeps, running or not, the default one not counted
	CPU           Resource = "cpu"             // thousandths of a core
	Memory        Resource = "memory"          // bytes
	Storage       Resource = "storage"         // bytes of home volumes, of stopped servers too
	Homes         Resource = "homes"           // home volumes, of stopped and deleted servers too
	HoursPerWeek  Resource = "hours_per_week"  // seconds, times Hold.Weight
	HoursPerMonth Resource = "hours_per_month" // seconds, times Hold.Weight
)

// One is the weight of an ordinary server.
const One = 1000

// Amounts are of resources, in their units.
type Amounts map[Resource]int64

// Rule is one quota.
type Rule struct {
	Name string
	// Groups and Users are those that it is for; both empty means everybody.
	Groups, Users []string
	// Together says that what all these users have is counted together, and not each for
	// themselves.
	Together bool
	// Most is how much they may have; what is not in it has no limit.
	Most Amounts
}

// Limit is how much there may be of a resource, and which rule says so.
type Limit struct {
	Rule string
	Most int64
}

// Limits hold for one record.
type Limits map[Resource]Limit

// How specific a rule is for a user. The most specific rule that limits a resource counts.
const (
	forEverybody = iota + 1
	forGroup
	forUser
)

// specific returns how specific the rule is for a user, 0 for a rule that is not the user's.
func (r Rule) specific(user string, groups access.Groups) int {
	switch {
	case slices.Contains(r.Users, user):
		return forUser
	case groups.Any(r.Groups):
		return forGroup
	case len(r.Users)+len(r.Groups) == 0:
		return forEverybody
	}
	return 0
}

// Own returns the limits of what a user has alone. For each resource a rule for the user goes
// before rules for the user's groups, and those before a rule for everybody; of several rules of
// one kind the most generous counts, so that one more group never takes anything away.
func Own(rules []Rule, user access.User) Limits {
	groups := access.NewGroups(user.Groups)
	limits, chosen := Limits{}, map[Resource]int{}
	for _, r := range rules {
		specific := r.specific(user.Name, groups)
		if r.Together || specific == 0 {
			continue
		}
		for resource, most := range r.Most {
			if specific < chosen[resource] || specific == chosen[resource] && most <= limits[resource].Most {
				continue
			}
			limits[resource], chosen[resource] = Limit{Rule: r.Name, Most: most}, specific
		}
	}
	return limits
}

// Shared returns the rules under which the user is counted together with others, sorted by name.
func Shared(rules []Rule, user access.User) []Rule {
	groups := access.NewGroups(user.Groups)
	var mine []Rule
	for _, r := range rules {
		if r.Together && r.specific(user.Name, groups) > 0 {
			mine = append(mine, r)
		}
	}
	slices.SortFunc(mine, func(a, b Rule) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return mine
}

// Limits returns the rule's limits.
func (r Rule) Limits() Limits {
	limits := make(Limits, len(r.Most))
	for resource, most := range r.Most {
		limits[resource] = Limit{Rule: r.Name, Most: most}
	}
	return limits
}
