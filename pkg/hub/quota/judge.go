package quota

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Ask is what a start needs.
type Ask struct {
	// Key, Nonce, Pod, Uses and Weight become the hold (see Record.Holds and Hold).
	Key    string
	Nonce  string
	Pod    string // see Hold
	Uses   Amounts
	Weight int64
	// Lasts is how long the server runs at the longest; 0 for as long as its user likes.
	Lasts time.Duration
	// Volumes are the homes that the server needs, with their sizes in bytes.
	Volumes map[string]int64
	// Named is set for a server that is kept under its name.
	Named *Named
}

// Refusal says which rule keeps a server from starting, and by how much.
type Refusal struct {
	Rule     string
	Resource Resource
	// Most, Used and Asked are in the resource's unit: Used + Asked is more than Most.
	Most, Used, Asked int64
	// Free is when there is room again at the latest; zero when that depends on servers that
	// may run for ever.
	Free time.Time
	// Holders are the keys of the servers that take it, sorted.
	Holders []string
}

// Error is for logs.
func (r *Refusal) Error() string {
	return fmt.Sprintf("quota %s: %s: %d used and %d asked of %d", r.Rule, r.Resource, r.Used, r.Asked, r.Most)
}

// Take returns the record with the server in it, or a *Refusal. A hold of the same server is that
// of its former pod, which is gone, and ends.
func (r Record) Take(a Ask, limits Limits, now time.Time) (Record, error) {
	out := r.copied()
	out.close(a.Key, now)
	for _, resource := range slices.Sorted(maps.Keys(limits)) {
		limit, used, asked := limits[resource], out.used(resource, now), out.asked(resource, a)
		// What asks for nothing more is let through even where a rule has become smaller: nobody
		// is locked out of the home that is there.
		if asked <= 0 || sum(used, asked) <= limit.Most {
			continue
		}
		return Record{}, &Refusal{
			Rule: limit.Rule, Resource: resource, Most: limit.Most, Used: used, Asked: asked,
			Free: out.free(resource, limit.Most-asked, now), Holders: out.holders(resource),
		}
	}
	out.put(a, now)
	return out, nil
}

// used is how much of a resource the record holds.
func (r Record) used(resource Resource, now time.Time) (n int64) {
	switch resource {
	case NamedServers:
		return int64(len(r.Named))
	case Homes:
		return int64(len(r.Volumes))
	case Storage:
		for _, size := range r.Volumes {
			n = sum(n, size)
		}
		return n
	case HoursPerWeek, HoursPerMonth:
		return r.spent(begin(resource, now), now)
	}
	for _, h := range r.Holds {
		n = sum(n, h.takes(resource))
	}
	return n
}

// takes is how much of a resource the server takes as long as it is there.
func (h Hold) takes(resource Resource) int64 {
	if resource == Servers {
		return h.Weight
	}
	return h.Uses[resource]
}

// asked is how much more of a resource a start needs.
func (r Record) asked(resource Resource, a Ask) (n int64) {
	switch resource {
	case NamedServers:
		if _, kept := r.Named[a.Key]; a.Named != nil && !kept {
			return 1
		}
		return 0
	case Homes:
		for claim := range a.Volumes {
			if _, ok := r.Volumes[claim]; !ok {
				n++
			}
		}
		return n
	case Storage:
		for claim, size := range a.Volumes {
			n = sum(n, max(0, size-r.Volumes[claim]))
		}
		return n
	case HoursPerWeek, HoursPerMonth:
		return min(1, a.Weight) // any time at all, unless an hour of the server counts nothing
	case Servers:
		return a.Weight
	}
	return a.Uses[resource]
}

// spent is the seconds times weight since a moment.
func (r Record) spent(since, now time.Time) (n int64) {
	for name, seconds := range r.Days {
		if d, err := time.Parse(day, name); err == nil && !d.Before(since) {
			n = sum(n, seconds)
		}
	}
	for _, h := range r.Holds {
		from := h.Since
		if from.Before(since) {
			from = since
		}
		if from.Before(now) {
			n = sum(n, weighted(now.Sub(from), h.Weight))
		}
	}
	return n
}

// begin is the start of the present week (Monday, ISO 8601) or month, in UTC.
func begin(period Resource, now time.Time) time.Time {
	now = now.UTC()
	if period == HoursPerMonth {
		return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	const week = 7
	sinceMonday := (int(now.Weekday()) + week - int(time.Monday)) % week
	return time.Date(now.Year(), now.Month(), now.Day()-sinceMonday, 0, 0, 0, 0, time.UTC)
}

// End is the end of the present week or month, in UTC.
func End(period Resource, now time.Time) time.Time {
	b := begin(period, now)
	if period == HoursPerMonth {
		return b.AddDate(0, 1, 0)
	}
	return b.AddDate(0, 0, 7) //nolint:mnd // a week
}

// free is when no more than room is used at the latest; zero when it is not known.
func (r Record) free(resource Resource, room int64, now time.Time) time.Time {
	switch {
	case resource == HoursPerWeek || resource == HoursPerMonth:
		return End(resource, now)
	case resource == NamedServers || resource == Homes || resource == Storage || room < 0:
		return time.Time{}
	}
	used := r.used(resource, now)
	holds := slices.SortedFunc(maps.Values(r.Holds), func(a, b Hold) int { return a.Until.Compare(b.Until) })
	for _, h := range holds {
		if h.Until.IsZero() || h.takes(resource) == 0 {
			continue
		}
		if used -= h.takes(resource); used <= room {
			return h.Until
		}
	}
	return time.Time{}
}

// holders are the servers that take a resource.
func (r Record) holders(resource Resource) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(r.Holds)) {
		if r.Holds[key].takes(resource) > 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

// Usage is how much of a limited resource is used.
type Usage struct {
	Rule       string
	Resource   Resource
	Used, Most int64
}

// Report returns the usage of each resource that has a limit, sorted by resource.
func (r Record) Report(limits Limits, now time.Time) []Usage {
	var all []Usage
	for resource, limit := range limits {
		all = append(all, Usage{Rule: limit.Rule, Resource: resource, Used: r.used(resource, now), Most: limit.Most})
	}
	slices.SortFunc(all, func(a, b Usage) int { return cmp.Compare(a.Resource, b.Resource) })
	return all
}

// sum adds amounts that are not negative; what no int64 holds is the largest one.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
