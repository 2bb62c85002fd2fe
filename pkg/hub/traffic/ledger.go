package traffic

import (
	"sync"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// patience is how old the latest answers of all replicas may be.
	patience = 2 * time.Minute
	// slack is by how much the same beginning may look later from one answer to the next: answers take
	// their time.
	slack = 10 * time.Second
)

// Ledger adds up what replicas of authz report. The zero value knows nothing. It is safe for
// concurrent use.
type Ledger struct {
	mu      sync.Mutex
	last    map[server.ID]time.Time
	began   map[string]time.Time // when each replica began to note
	covered time.Time            // no use has been missed since
	asked   time.Time            // when all replicas answered last
}

// Take adds the answers of all replicas there are, by address.
func (l *Ledger) Take(now time.Time, answers map[string]contract.UseReport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked.IsZero() || now.Sub(l.asked) > patience || l.lost(now, answers) {
		l.covered = now
	}
	l.asked, l.began = now, map[string]time.Time{}
	if l.last == nil {
		l.last = map[server.ID]time.Time{}
	}
	for address, r := range answers {
		l.began[address] = before(now, r.Since)
		for _, s := range r.Servers {
			id := server.ID{User: s.User, Name: s.Server}
			if at := before(now, s.Ago); at.After(l.last[id]) {
				l.last[id] = at
			}
		}
	}
	for id, at := range l.last {
		if at.Before(l.covered) {
			delete(l.last, id) // it says no more than covered
		}
	}
}

// lost reports whether a replica is gone or has begun anew since the last answers.
func (l *Ledger) lost(now time.Time, answers map[string]contract.UseReport) bool {
	for address, began := range l.began {
		r, there := answers[address]
		if !there || before(now, r.Since).Sub(began) > slack {
			return true
		}
	}
	return false
}

// before returns a moment some seconds ago, never one of the future.
func before(now time.Time, seconds float64) time.Time {
	const longest = 365 * 24 * 3600
	if !(seconds > 0) { // not a number either
		return now
	}
	return now.Add(-time.Duration(min(seconds, longest) * float64(time.Second)))
}

// Last returns when a user last did something at a server, at the earliest since when no use can have
// been missed. ok is false while that is not known.
func (l *Ledger) Last(id server.ID, now time.Time) (last time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked.IsZero() || now.Sub(l.asked) > patience {
		return time.Time{}, false
	}
	if at := l.last[id]; at.After(l.covered) {
		return at, true
	}
	return l.covered, true
}

// Age is how long ago all replicas answered; ok is false before they did.
func (l *Ledger) Age(now time.Time) (age time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.asked), !l.asked.IsZero()
}
