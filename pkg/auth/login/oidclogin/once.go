package oidclogin

import (
	"sync"
	"time"
)

// maxOnce bounds what is remembered: 100,000 logins within ten minutes.
const maxOnce = 100_000

// once remembers values that may be used one time only, until they expire by themselves.
// It is this replica's memory: another replica relies on the provider, which takes a
// code once, and on logout tokens ending older sessions only.
type once struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[string]time.Time
}

func newOnce(now func() time.Time) *once { return &once{now: now, seen: map[string]time.Time{}} }

// take reports whether value is taken for the first time. A full memory refuses.
func (o *once) take(value string, until time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	if end, ok := o.seen[value]; ok && now.Before(end) {
		return false
	}
	if len(o.seen) >= maxOnce {
		for v, end := range o.seen {
			if !now.Before(end) {
				delete(o.seen, v)
			}
		}
	}
	if len(o.seen) >= maxOnce {
		return false
	}
	o.seen[value] = until
	return true
}

// forget gives a value back that was taken for nothing.
func (o *once) forget(value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.seen, value)
}
