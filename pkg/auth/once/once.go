package once

import (
	"sync"
	"time"
)

// Limits bound a Set.
type Limits struct {
	All      int // values in all
	PerOwner int // values of one owner; 0 for no bound but All
}

// Set remembers values until they expire by themselves. It is safe for concurrent use.
type Set struct {
	limits Limits

	mu     sync.Mutex
	seen   map[string]entry
	order  []string // as they were taken; may name values that were forgotten
	owners map[string]int
}

type entry struct {
	owner string
	until time.Time
}

// New returns an empty Set.
func New(limits Limits) *Set {
	return &Set{limits: limits, seen: map[string]entry{}, owners: map[string]int{}}
}

// Take reports whether value is taken for the first time, and remembers it until then. It is
// false as well when owner has too many values at now.
func (s *Set) Take(owner, value string, until, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if e, ok := s.seen[value]; ok && now.Before(e.until) {
		return false
	}
	s.drop(value)
	if s.limits.PerOwner > 0 && s.owners[owner] >= s.limits.PerOwner {
		s.sweep(now)
		if s.owners[owner] >= s.limits.PerOwner {
			return false
		}
	}
	for len(s.order) >= s.limits.All {
		s.drop(s.order[0])
		s.order = s.order[1:]
	}
	s.seen[value] = entry{owner, until}
	s.owners[owner]++
	s.order = append(s.order, value)
	return true
}

// Forget gives a value back that was taken for nothing.
func (s *Set) Forget(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(value)
}

// expire forgets what has expired, from the oldest on. It must be called with mu held.
func (s *Set) expire(now time.Time) {
	for len(s.order) > 0 {
		if e, ok := s.seen[s.order[0]]; ok && now.Before(e.until) {
			return
		}
		s.drop(s.order[0])
		s.order = s.order[1:]
	}
}

// sweep forgets all that has expired. It must be called with mu held.
func (s *Set) sweep(now time.Time) {
	for value, e := range s.seen {
		if !now.Before(e.until) {
			s.drop(value)
		}
	}
}

// drop must be called with mu held.
func (s *Set) drop(value string) {
	e, ok := s.seen[value]
	if !ok {
		return
	}
	delete(s.seen, value)
	if s.owners[e.owner]--; s.owners[e.owner] <= 0 {
		delete(s.owners, e.owner)
	}
}
