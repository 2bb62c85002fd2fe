package ratelimit

import (
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
// for all, and everybody together 1 a minute for one account.
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

// Attempt is who tries to log in to what.
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

	mu    sync.Mutex
	full  map[key]time.Time
	swept time.Time
	max   int
}

type key [16]byte

// New returns a Guard that has counted nothing.
func New(now func() time.Time) *Guard {
	return &Guard{now: now, full: map[key]time.Time{}, max: maxKeys}
}

// Begin counts a as a failure, before its password is checked: many guesses at one time
// must not all pass because none has failed yet. When a turns out not to be a failure,
// call forgive. If wait is not 0, a must be refused and try again after wait; then
// nothing was counted and forgive is nil.
func (g *Guard) Begin(a Attempt) (forgive func(), wait time.Duration) {
	buckets := a.buckets()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	next := make([]time.Time, len(buckets))
	for i, b := range buckets {
		var w time.Duration
		next[i], w = b.rule.Spend(g.full[b.key], now)
		wait = max(wait, w)
	}
	if wait > 0 {
		return nil, wait
	}
	for i, b := range buckets {
		g.set(b.key, next[i], now)
	}
	return sync.OnceFunc(func() { g.giveBack(buckets) }), 0
}

func (g *Guard) giveBack(buckets []bucket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range buckets {
		if full, ok := g.full[b.key]; ok {
			g.full[b.key] = full.Add(-b.rule.Every)
		}
	}
}

// set makes room first. What is given back is as good as absent; when nothing is, one
// of a few goes, the one that would be the first to be given back.
func (g *Guard) set(k key, full, now time.Time) {
	if _, ok := g.full[k]; !ok && len(g.full) >= g.max {
		g.makeRoom(now)
	}
	g.full[k] = full
}

func (g *Guard) makeRoom(now time.Time) {
	if now.Sub(g.swept) >= time.Second {
		g.swept = now
		for k, full := range g.full {
			if !full.After(now) {
				delete(g.full, k)
			}
		}
		if len(g.full) < g.max {
			return
		}
	}
	const sample = 8
	var oldest key
	seen := 0
	for k, full := range g.full { // in no order
		if seen == 0 || full.Before(g.full[oldest]) {
			oldest = k
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(g.full, oldest)
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
	name = cases.Fold().String(norm.NFKC.String(name))
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return r
	}, norm.NFKC.String(name))
	return strings.Join(strings.Fields(name), " ")
}
