package roster

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// Person is one who has something here.
type Person struct {
	Name string
	// Servers are those with a pod, a kept name or a start that waits.
	Servers []spawn.Server
	// Published are those that the platform did not start.
	Published []server.Server
}

// State is what a person's servers do.
type State string

// States. A person may be in several: one server runs, another one failed.
const (
	Running  State = "running"
	Starting State = "starting"
	Failed   State = "failed"
	Stopped  State = "stopped" // none of them runs, starts, stops or failed
)

// States are all of them, in the order of a list to choose from.
func States() []State { return []State{Running, Starting, Failed, Stopped} }

// in reports whether one of a person's servers is in a state.
func (p Person) in(s State) bool {
	has := func(phases ...spawn.Phase) bool {
		return slices.ContainsFunc(p.Servers, func(s spawn.Server) bool { return slices.Contains(phases, s.Phase) })
	}
	switch s {
	case Running:
		return len(p.Published) > 0 || has(spawn.Answering)
	case Starting:
		return has(spawn.Pending)
	case Failed:
		return has(spawn.Failed)
	case Stopped:
		return len(p.Published) == 0 && !has(spawn.Answering, spawn.Pending, spawn.Failed, spawn.Stopping)
	}
	return true
}

// matches reports whether a text, in lower case, is part of a person's name or of one that the
// person gave a server.
func (p Person) matches(text string) bool {
	part := func(of string) bool { return strings.Contains(strings.ToLower(of), text) }
	return part(p.Name) || slices.ContainsFunc(p.Servers, func(s spawn.Server) bool { return part(s.ID.Name) || part(s.DisplayName) })
}

func (p Person) uses(profile string) bool {
	return slices.ContainsFunc(p.Servers, func(s spawn.Server) bool { return s.Profile == profile })
}

// started is when the latest server that is there was started; zero without one.
func (p Person) started() (last time.Time) {
	for _, s := range p.Servers {
		if s.Created.After(last) {
			last = s.Created
		}
	}
	for _, s := range p.Published {
		if s.Created.After(last) {
			last = s.Created
		}
	}
	return last
}

// active is when a server was last in use; zero where that is not known.
func (p Person) active() (last time.Time) {
	for _, s := range p.Servers {
		if s.LastActivity.After(last) {
			last = s.LastActivity
		}
	}
	return last
}

// Select returns those of all, which are sorted by name, that a query is about, in its order.
func (q Query) Select(all []Person) []Person {
	text := strings.ToLower(q.Search)
	var some []Person
	for _, p := range all {
		if (text == "" || p.matches(text)) && (q.State == "" || p.in(q.State)) && (q.Profile == "" || p.uses(q.Profile)) {
			some = append(some, p)
		}
	}
	switch q.Sort {
	case ByStart:
		byTime(some, q.Descending, Person.started)
	case ByActivity:
		byTime(some, q.Descending, Person.active)
	default:
		if q.Descending {
			slices.Reverse(some)
		}
	}
	return some
}

// byTime sorts by a moment; those who have none are the last in either direction.
func byTime(some []Person, descending bool, of func(Person) time.Time) {
	at := make(map[string]time.Time, len(some))
	for _, p := range some {
		at[p.Name] = of(p)
	}
	slices.SortStableFunc(some, func(a, b Person) int {
		x, y := at[a.Name], at[b.Name]
		switch {
		case x.IsZero() || y.IsZero():
			return cmp.Compare(rank(x), rank(y))
		case descending:
			return y.Compare(x)
		}
		return x.Compare(y)
	})
}

func rank(at time.Time) int {
	if at.IsZero() {
		return 1
	}
	return 0
}

// Counts is how many servers do what.
type Counts struct{ People, Running, Starting, Failed int }

// Count counts the servers of all.
func Count(all []Person) Counts {
	c := Counts{People: len(all)}
	for _, p := range all {
		c.Running += len(p.Published)
		for _, s := range p.Servers {
			switch s.Phase {
			case spawn.Answering:
				c.Running++
			case spawn.Pending:
				c.Starting++
			case spawn.Failed:
				c.Failed++
			}
		}
	}
	return c
}

// Profiles returns what the servers of all were made from, sorted.
func Profiles(all []Person) []string {
	used := map[string]bool{}
	for _, p := range all {
		for _, s := range p.Servers {
			if s.Profile != "" {
				used[s.Profile] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(used))
}
