package ratelimit

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Rule lets Burst failures through at once, and then one per Every.
type Rule struct {
	Burst int
	Every time.Duration
}

// The rules. Together they allow one source 2 guesses a minute for one account and 12
// for all, and all sources together 1 a minute for one account.
//
//nolint:gochecknoglobals // constants, which Go has no structs for
var (
	perPair    = Rule{5, 30 * time.Second}
	perSource  = Rule{60, 5 * time.Second}
	perAccount = Rule{20, time.Minute}
)

// maxKeys bounds the memory: about 10 MB.
const maxKeys = 1 << 17

// Spend is one failure's effect (the generic cell rate algorithm, ITU-T I.371, as
// virtual scheduling): full is when everything spent so far will have been given back,
// zero for nothing. It returns the new full, or how long to wait until one is free.
func (r Rule) Spend(full, now time.Time) (next time.Time, wait time.Duration) {
	if full.Before(now) {
		full = now
	}
	next = full.Add(r.Every)
	if wait = next.Sub(now) - time.Duration(r.Burst)*r.Every; wait > 0 {
		return full, wait
	}
	return next, 0
}

// Attempt is one try to log in to an account.
type Attempt struct {
	Account string     // as typed
	Source  netip.Addr // the zero Addr: unknown; all unknown ones are one source
	// Device identifies a browser that logged in to this account before, by a value
	// that we sealed; empty for any other.
	Device string
}

// Guard counts. It is safe for concurrent use.
type Guard struct {
	now func() time.Time

	mu      sync.Mutex
	counts  map[key]count
	swept   time.Time
	max     int
	decided chan struct{} // closed, and made anew, when an attempt is decided
}

// count is what one bucket knows.
type count struct {
	full      time.Time // see Rule.Spend; undecided attempts are in it
	undecided int
}

type key [16]byte

// New returns a Guard that has counted nothing.
func New(now func() time.Time) *Guard {
	return &Guard{now: now, counts: map[key]count{}, max: maxKeys, decided: make(chan struct{})}
}

// Begin counts a as a failure, before its password is checked. The caller must call done once
// it is checked; failed says how. While only undecided attempts are in the way, Begin waits
// for them until ctx is done. If wait is not 0, a must be refused and may come again after
// wait; then nothing was counted and done is nil.
func (g *Guard) Begin(ctx context.Context, a Attempt) (done func(failed bool), wait time.Duration) {
	buckets := a.buckets()
	for {
		wait, decided := g.try(buckets)
		if wait == 0 {
			var once sync.Once
			return func(failed bool) { once.Do(func() { g.settle(buckets, failed) }) }, 0
		}
		if decided == nil {
			return nil, wait
		}
		select {
		case <-decided:
		case <-ctx.Done():
			return nil, wait
		}
	}
}

// try counts an attempt in all buckets, or in none and returns how long it must wait. decided
// is nil when failures alone are in the way; else it is closed when one more is decided.
func (g *Guard) try(buckets []bucket) (wait time.Duration, decided <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	next := make([]time.Time, len(buckets))
	failures := false
	for i, b := range buckets {
		have := g.counts[b.key]
		var w time.Duration
		next[i], w = b.rule.Spend(have.full, now)
		wait = max(wait, w)
		if w > 0 {
			_, w = b.rule.Spend(have.full.Add(-time.Duration(have.undecided)*b.rule.Every), now)
			failures = failures || w > 0
		}
	}
	if wait > 0 && failures {
		return wait, nil
	}
	if wait > 0 {
		return wait, g.decided
	}
	for i, b := range buckets {
		g.set(b.key, count{next[i], g.counts[b.key].undecided + 1}, now)
	}
	return 0, nil
}

// settle takes an attempt out of the undecided ones and, when it did not fail, out of the
// count.
func (g *Guard) settle(buckets []bucket, failed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range buckets {
		have, ok := g.counts[b.key]
		if !ok {
			continue
		}
		have.undecided = max(0, have.undecided-1) // the key may have been evicted meanwhile
		if !failed {
			have.full = have.full.Add(-b.rule.Every)
		}
		g.counts[b.key] = have
	}
	close(g.decided)
	g.decided = make(chan struct{})
}

// set makes room first when a new key needs some.
func (g *Guard) set(k key, c count, now time.Time) {
	if _, ok := g.counts[k]; !ok && len(g.counts) >= g.max {
		g.makeRoom(now)
	}
	g.counts[k] = c
}

// makeRoom evicts expired counts, else the soonest to expire of a small random sample.
func (g *Guard) makeRoom(now time.Time) {
	if now.Sub(g.swept) >= time.Second {
		g.swept = now
		for k, c := range g.counts {
			if !c.full.After(now) && c.undecided == 0 {
				delete(g.counts, k)
			}
		}
		if len(g.counts) < g.max {
			return
		}
	}
	const sample = 8
	var oldest key
	seen := 0
	for k, c := range g.counts { // in random order
		if seen == 0 || c.full.Before(g.counts[oldest].full) {
			oldest = k
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(g.counts, oldest)
}

type bucket struct {
	key  key
	rule Rule
}

func (a Attempt) buckets() []bucket {
	account, source := Account(a.Account), network(a.Source)
	if a.Device != "" {
		return []bucket{{hash("device", account, a.Device), perPair}}
	}
	return []bucket{
		{hash("pair", account, source), perPair},
		{hash("source", source), perSource},
		{hash("account", account), perAccount},
	}
}

func hash(parts ...string) key {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return key(sum[:16])
}

// network is what one attacker has at least: a whole /64 of IPv6.
func network(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a.String()
	}
	prefix, err := a.Prefix(64)
	if err != nil {
		return a.String()
	}
	return prefix.String()
}

// Account is name in one spelling for all that a directory takes for the same (RFC 4518:
// case, width, blanks, what is not seen): a guesser must not get a new count for each.
func Account(name string) string {
	for range maxFolds {
		// One pass may bring out what the next one folds.
		folded := fold(name)
		if folded == name {
			break
		}
		name = folded
	}
	return name
}

// maxFolds is more than any text needs.
const maxFolds = 8

func fold(name string) string {
	// Lower case after folding: for Cherokee letters the fold swaps cases.
	name = strings.ToLower(cases.Fold().String(norm.NFKC.String(name)))
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return r
	}, norm.NFKC.String(name))
	return strings.Join(strings.Fields(name), " ")
}
