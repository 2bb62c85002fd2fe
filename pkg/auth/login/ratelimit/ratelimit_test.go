package ratelimit

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
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

// ended is a context that waits for nothing.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// try reports whether a may try now, and decides it if so.
func try(g *Guard, a Attempt, failed bool) bool {
	done, wait := g.Begin(ended(), a)
	if wait == 0 {
		done(failed)
	}
	return wait == 0
}

func fails(g *Guard, a Attempt) bool  { return try(g, a, true) }
func logsIn(g *Guard, a Attempt) bool { return try(g, a, false) }

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
	if _, wait := g.Begin(ended(), mallory); wait <= 0 || wait > perPair.Every {
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
	done, _ := g.Begin(ended(), Attempt{Account: "alice"})
	done(false)
	done(false) // no second refund
	for range perPair.Burst {
		fails(g, Attempt{Account: "alice"})
	}
	if fails(g, Attempt{Account: "alice"}) {
		t.Error("a success was refunded twice")
	}
}

// TestL12_GuessesAtOnce: guesses in parallel count before they have failed, and those that
// wait for them do not come through when they have.
func TestL12_GuessesAtOnce(t *testing.T) {
	g, _ := newGuard()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var let, refused atomic.Int64
	checked := make(chan struct{})
	var running sync.WaitGroup
	for range 200 {
		running.Go(func() {
			done, wait := g.Begin(ctx, Attempt{Account: "alice", Source: ip("192.0.2.1")})
			if wait > 0 {
				refused.Add(1)
				return
			}
			if let.Add(1) == int64(perPair.Burst) {
				close(checked) // by now the others wait for these, or will not have to
			}
			<-checked
			done(true)
		})
	}
	running.Wait()
	if let.Load() != int64(perPair.Burst) || refused.Load() != 200-int64(perPair.Burst) || ctx.Err() != nil {
		t.Errorf("%d of 200 were let through, %d refused, %v", let.Load(), refused.Load(), ctx.Err())
	}
}

// TestAClassBehindOneAddress: more right passwords at one time than an address may fail. None
// has failed, so all get in, never more than that at one time.
func TestAClassBehindOneAddress(t *testing.T) {
	g, _ := newGuard()
	var underWay, most, in atomic.Int64
	var running sync.WaitGroup
	for i := range 3 * perSource.Burst {
		running.Go(func() {
			done, wait := g.Begin(t.Context(), Attempt{Account: fmt.Sprintf("student-%d", i), Source: ip("192.0.2.1")})
			if wait > 0 {
				t.Errorf("student %d is told to wait %v", i, wait)
				return
			}
			for now := underWay.Add(1); ; {
				if old := most.Load(); now <= old || most.CompareAndSwap(old, now) {
					break
				}
			}
			runtime.Gosched() // the directory
			underWay.Add(-1)
			done(false)
			in.Add(1)
		})
	}
	running.Wait()
	if in.Load() != int64(3*perSource.Burst) || most.Load() > int64(perSource.Burst) {
		t.Errorf("%d are in, up to %d at one time", in.Load(), most.Load())
	}
}

// TestWaitingHasAnEnd: an undecided attempt is waited for as long as the caller has time.
func TestWaitingHasAnEnd(t *testing.T) {
	g, _ := newGuard()
	for range perPair.Burst {
		if _, wait := g.Begin(ended(), Attempt{Account: "alice"}); wait > 0 {
			t.Fatal(wait)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if done, wait := g.Begin(ctx, Attempt{Account: "alice"}); wait <= 0 || done != nil {
		t.Errorf("%v", wait)
	}
}

func TestL12_SpellingsAreOneAccount(t *testing.T) {
	for _, spelling := range []string{"alice", "ALICE", " alice ", "Alice", "ａｌｉｃｅ", "ali\u200bce", "al\u00adice", "alice\t", "ali\ufe0fce"} {
		if got := Account(spelling); got != "alice" {
			t.Errorf("%q is %q", spelling, got)
		}
	}
	if Account("\u13aa") != Account("\uab7a") {
		t.Error("one Cherokee letter in two cases is two accounts")
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
		if len(g.counts) > g.max {
			t.Fatalf("%d keys", len(g.counts))
		}
	}
	clock.pass(time.Hour)
	fails(g, Attempt{Account: "alice"})
	if len(g.counts) != 3 {
		t.Errorf("%d keys after an hour", len(g.counts))
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
