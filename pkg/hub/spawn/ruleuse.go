package spawn

import (
	"cmp"
	"slices"
	"time"

	"github.com/perijove/perijove/pkg/hub/quota"
)

// mostUsers is how many users of a quota are named.
const mostUsers = 10

// RuleUse is how much of a quota is used, and by whom most.
type RuleUse struct {
	quota.Rule
	// Usage is what all its users have together; none where each is counted alone.
	Usage []Usage
	// Users are those who use most of it, the greatest part first. They are not known where a
	// quota of groups counts each alone: which groups users have is known of callers only.
	Users []UserUse
}

// UserUse is how much of a quota a user uses.
type UserUse struct {
	User  string
	Usage []Usage
}

// Limits returns what a quota allows, with nothing used.
func (r RuleUse) Limits() []Usage { return usages(quota.Record{}, r.Rule, time.Time{}) }

// RuleUses returns the use of each quota, by name. users are all who have something; record
// returns a subject's record.
func (p Policy) RuleUses(users []string, record func(Subject) quota.Record, now time.Time) []RuleUse {
	var all []RuleUse
	for _, rule := range p.quotas {
		use := RuleUse{Rule: rule}
		switch {
		case rule.Together:
			shared := record(Subject{Name: rule.Name, Shared: true})
			use.Usage = usages(shared, rule, now)
			use.Users = greatest(holders(shared), func(user string) []Usage { return usages(heldBy(shared, user), rule, now) })
		case len(rule.Groups) == 0:
			of := users
			if len(rule.Users) > 0 {
				of = rule.Users
			}
			use.Users = greatest(of, func(user string) []Usage { return usages(record(Subject{Name: user}), rule, now) })
		}
		all = append(all, use)
	}
	slices.SortFunc(all, func(a, b RuleUse) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func usages(r quota.Record, rule quota.Rule, now time.Time) (all []Usage) {
	for _, u := range r.Report(rule.Limits(), now) {
		all = append(all, Usage{Usage: u})
	}
	return all
}

// holders are the users whose servers a shared record holds.
func holders(r quota.Record) (users []string) {
	for key := range r.Holds {
		users = append(users, ParseSharedKey(key).User)
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// heldBy is what the servers of one user take in a shared record.
func heldBy(r quota.Record, user string) quota.Record {
	out := quota.Record{Holds: map[string]quota.Hold{}}
	for key, hold := range r.Holds {
		if ParseSharedKey(key).User == user {
			out.Holds[key] = hold
		}
	}
	return out
}

// greatest returns the users who use most, by the part of a limit that is used up most.
func greatest(users []string, of func(user string) []Usage) []UserUse {
	parts := map[string]float64{}
	var all []UserUse
	for _, user := range users {
		use := UserUse{User: user, Usage: of(user)}
		for _, u := range use.Usage {
			parts[user] = max(parts[user], float64(u.Used)/float64(max(u.Most, 1)))
		}
		if parts[user] > 0 {
			all = append(all, use)
		}
	}
	slices.SortFunc(all, func(a, b UserUse) int {
		return cmp.Or(cmp.Compare(parts[b.User], parts[a.User]), cmp.Compare(a.User, b.User))
	})
	return all[:min(len(all), mostUsers)]
}
