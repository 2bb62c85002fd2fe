package feed

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"
)

// MaxAge is how old what a feed delivered may be before it counts as stale. A watch delivers
// a change within a moment; MaxAge bounds how long a watch that died silently goes unnoticed.
const MaxAge = time.Minute

// Freshness is the moment up to which what a feed delivered is known to be complete. It is
// safe for concurrent use.
type Freshness struct {
	now func() time.Time
	at  atomic.Pointer[time.Time] // nil: never
}

// NewFreshness returns a Freshness that is stale; now is the clock.
func NewFreshness(now func() time.Time) *Freshness { return &Freshness{now: now} }

// Confirm notes that everything up to the moment at has been delivered.
func (f *Freshness) Confirm(at time.Time) {
	for {
		old := f.at.Load()
		if old != nil && !at.After(*old) || f.at.CompareAndSwap(old, &at) {
			return
		}
	}
}

// Age is how long ago the last confirmed moment is.
func (f *Freshness) Age() time.Duration {
	at := f.at.Load()
	if at == nil {
		return math.MaxInt64
	}
	return f.now().Sub(*at)
}

// Stale reports whether something that happened more than MaxAge ago may be unknown here.
func (f *Freshness) Stale() bool { return f.Age() > MaxAge }

// Keep calls prove at once and then every interval until ctx is done; prove calls Confirm. It
// logs when what (a plural: "accounts") becomes stale and when it is fresh again.
func (f *Freshness) Keep(ctx context.Context, every time.Duration, what string, log *slog.Logger, prove func(context.Context) error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	stale := false
	for {
		err := prove(ctx)
		if ctx.Err() == nil && f.at.Load() != nil && f.Stale() != stale {
			if stale = !stale; stale {
				log.ErrorContext(ctx, what+" are stale: what other replicas change may be unknown here", "age", f.Age().String(), "error", err)
			} else {
				log.InfoContext(ctx, what+" are up to date again")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
