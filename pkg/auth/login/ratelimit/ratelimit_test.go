package ratelimit

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newGuard() (*Guard, *clock) {
	c := &clock{t: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	return New(c.now), c
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// fails reports whether a may try now, and lets it fail if so.
func fails(g *Guard, a Attempt) bool {
	_, wait := g.Begin(a)
	return wait == 0
}

// logsIn reports whether a may try now, and lets it succeed if so.
func logsIn(g *Guard, a Attempt) bool {
	forgive, wait := g.Begin(a)
	if wait == 0 {
		forgive()
	}
	return wait == 0
}

func TestRule(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	rule := Rule{Burst: 3, Every: time.Minute}
	for _, c := range []struct {
		name       string
		full, next time.Time
		wait       time.Duration
	}{
		{"nothing spent", time.Time{}, now.Add(time.Minute), 0},
		{"long ago", now.Add(-time.Hour), now.Add(time.Minute), 0},
		{"one left", now.Add(2 * time.Minute), now.Add(3 * time.Minute), 0},
		{"none left", now.Add(3 * time.Minute), now.Add(3 * time.Minute), time.Minute},
		{"half of one left", now.Add(150 * time.Second), now.Add(150 * time.Second), 30 * time.Second},
	} {
		next, wait := rule.Spend(c.full, now)
		if !next.Equal(c.next) || wait != c.wait {
			t.Errorf("%s: %v, %v", c.name, next, wait)
		}
	}
}

// TestL12_OneUserOneSource: 1000 guesses for alice from one address in 59 seconds.
func TestL12_OneUserOneSource(t *testing.T) {
	g, clock := newGuard()
	mallory := Attempt{Account: "alice", Source: ip("192.0.2.1")}
	let := 0
	for range 1000 {
		if fails(g, mallory) {
			let++
		}
		clock.pass(59 * time.Millisecond)
	}
	if let != perPair.Burst+1 { // one more after 30 s
		t.Errorf("%d guesses were let through", let)
	}
	if _, wait := g.Begin(mallory); wait <= 0 || wait > perPair.Every {
		t.Errorf("told to wait %v", wait)
	}
	if !logsIn(g, Attempt{Account: "alice", Source: ip("198.51.100.7")}) {
		t.Error("alice cannot log in from elsewhere")
	}
	if !logsIn(g, Attempt{Account: "bob", Source: ip("192.0.2.1")}) {
		t.Error("bob cannot log in from mallory's address")
	}
	clock.pass(perPair.Every)
	if !fails(g, mallory) {
		t.Error("throttled for ever")
	}
}

// TestL12_OneUserManySources: a botnet guesses alice's password.
func TestL12_OneUserManySources(t *testing.T) {
	g, clock := newGuard()
	let := 0
	for i := range 1000 {
		if fails(g, Attempt{Account: "alice", Source: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}) {
			let++
		}
		clock.pass(59 * time.Millisecond)
	}
	if let != perAccount.Burst {
		t.Errorf("%d guesses were let through", let)
	}
	if logsIn(g, Attempt{Account: "alice", Source: ip("198.51.100.7")}) {
		t.Error("the account is not throttled: this test shows nothing")
	}
	device := Attempt{Account: "alice", Source: ip("198.51.100.7"), Device: "d1"}
	if !logsIn(g, device) {
		t.Error("alice cannot log in with a browser that she used before")
	}
	for range perPair.Burst {
		fails(g, device)
	}
	if fails(g, device) {
		t.Error("who stole the browser may guess without limit")
	}
	if !logsIn(g, Attempt{Account: "alice", Device: "d2"}) {
		t.Error("her other browser is kept out by the stolen one")
	}
}

// TestL12_ManyUsersOneSource: one guess for each of 1000 people.
func TestL12_ManyUsersOneSource(t *testing.T) {
	for name, source := range map[string]func(i int) netip.Addr{
		"one address": func(int) netip.Addr { return ip("192.0.2.1") },
		"one IPv6 network": func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
		},
		"IPv4 written as IPv6": func(i int) netip.Addr {
			if i%2 == 0 {
				return ip("192.0.2.1")
			}
			return ip("::ffff:192.0.2.1")
		},
		"unknown": func(int) netip.Addr { return netip.Addr{} },
		"zones":   func(i int) netip.Addr { return ip("fe80::1").WithZone(fmt.Sprint(i)) },
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := newGuard()
			let := 0
			for i := range 1000 {
				if fails(g, Attempt{Account: fmt.Sprintf("user-%d", i), Source: source(i)}) {
					let++
				}
			}
			if let != perSource.Burst {
				t.Errorf("%d guesses were let through", let)
			}
			if !logsIn(g, Attempt{Account: "user-1", Source: ip("198.51.100.7")}) {
				t.Error("people cannot log in from elsewhere")
			}
		})
	}
}

// TestL12_ManyUsersManySources: nothing to throttle; nobody is kept out.
func TestL12_ManyUsersManySources(t *testing.T) {
	g, _ := newGuard()
	for i := range 1000 {
		if !fails(g, Attempt{Account: fmt.Sprintf("user-%d", i), Source: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}) {
			t.Fatalf("attempt %d was refused", i)
		}
	}
}

func TestSuccessCostsNothing(t *testing.T) {
	g, _ := newGuard()
	for i := range 1000 {
		if !logsIn(g, Attempt{Account: fmt.Sprintf("user-%d", i%300), Source: ip("192.0.2.1")}) {
			t.Fatalf("login %d was refused", i)
		}
	}
	forgive, _ := g.Begin(Attempt{Account: "alice"})
	forgive()
	forgive() // no second refund
	for range perPair.Burst {
		fails(g, Attempt{Account: "alice"})
	}
	if fails(g, Attempt{Account: "alice"}) {
		t.Error("a success was refunded twice")
	}
}

// TestAtOnce: guesses in parallel count before they fail.
func TestAtOnce(t *testing.T) {
	g, _ := newGuard()
	var wg sync.WaitGroup
	var mu sync.Mutex
	let := 0
	for range 200 {
		wg.Go(func() {
			if fails(g, Attempt{Account: "alice", Source: ip("192.0.2.1")}) {
				mu.Lock()
				let++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if let != perPair.Burst {
		t.Errorf("%d of 200 were let through", let)
	}
}

func TestL12_SpellingsAreOneAccount(t *testing.T) {
	for _, spelling := range []string{"alice", "ALICE", " alice ", "Alice", "ａｌｉｃｅ", "ali\u200bce", "al\u00adice", "alice\t", "ali\ufe0fce"} {
		if got := Account(spelling); got != "alice" {
			t.Errorf("%q is %q", spelling, got)
		}
	}
	if Account("al ice") == "alice" || Account("a  b") != "a b" || Account("Straße") != Account("STRASSE") {
		t.Error("blanks or folding")
	}
}

// TestD9_MemoryIsBounded: whoever floods names does not fill the memory, and does not
// make us forget who is guessing at once.
func TestD9_MemoryIsBounded(t *testing.T) {
	g, clock := newGuard()
	g.max = 1000
	for i := range 10_000 {
		fails(g, Attempt{Account: fmt.Sprintf("user-%d", i), Source: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
		if len(g.full) > g.max {
			t.Fatalf("%d keys", len(g.full))
		}
	}
	clock.pass(time.Hour)
	fails(g, Attempt{Account: "alice"})
	if len(g.full) != 3 {
		t.Errorf("%d keys after an hour", len(g.full))
	}
}

func FuzzAccount(f *testing.F) {
	f.Add("Alice ")
	f.Add("\u1e9e\u200b")
	f.Fuzz(func(t *testing.T, name string) {
		if once := Account(name); Account(once) != once {
			t.Errorf("%q: %q becomes %q", name, once, Account(once))
		}
	})
}

func BenchmarkBegin(b *testing.B) {
	g, _ := newGuard()
	for i := range b.N {
		fails(g, Attempt{Account: fmt.Sprintf("user-%d", i%100_000), Source: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})})
	}
}
