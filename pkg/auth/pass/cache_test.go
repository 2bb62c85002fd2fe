package pass

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server/access"
)

func TestCacheAnswersLikeTheRing(t *testing.T) {
	_, pemKey := newKey(t)
	_, otherKey := newKey(t)
	r, other := ring(t, pemKey), ring(t, otherKey)
	c := NewCache(r, 2)
	p := New(alice(), "alice", now(), time.Minute)
	good, foreign := sign(t, r, p), sign(t, other, p)
	for range 3 { // the second round comes from memory, the third after more tokens than fit
		for _, token := range []string{good, foreign, good[:len(good)-1], "", ".."} {
			for _, at := range []time.Duration{0, time.Minute, time.Hour} {
				wantPass, want := r.Verify(token, now().Add(at))
				gotPass, got := c.Verify(token, now().Add(at))
				if got != want || !cmp.Equal(gotPass, wantPass, cmpopts.IgnoreUnexported(session.Session{})) {
					t.Errorf("%.20q at %v: %v %+v, want %v %+v", token, at, got, gotPass, want, wantPass)
				}
			}
		}
		for i := range 5 {
			s := session.New(access.User{Name: fmt.Sprint("user", i)}, "ldap", now(), time.Hour)
			if got, state := c.Verify(sign(t, r, New(s, "alice", now(), time.Minute)), now()); state != Valid || got.Session.ID != s.ID {
				t.Errorf("user %d: %v %+v", i, state, got)
			}
		}
		if len(c.young)+len(c.old) > 4 {
			t.Errorf("the cache holds %d tokens", len(c.young)+len(c.old))
		}
	}
	before := len(c.young)
	for i := range 10 {
		c.Verify(fmt.Sprintf("garbage%d..", i), now())
	}
	if len(c.young) != before {
		t.Error("garbage is remembered")
	}
}

// TestCacheRemembers: a genuine token is verified once, until as many came after it as fit
// twice, or the keys change.
func TestCacheRemembers(t *testing.T) {
	_, pemKey := newKey(t)
	r := ring(t, pemKey)
	c := NewCache(r, 2)
	known := func() int { return len(c.young) + len(c.old) }
	for i, want := range []int{1, 2, 3, 4, 3} {
		token := sign(t, r, New(alice(), "alice", now(), time.Minute))
		for range 2 {
			if _, state := c.Verify(token, now()); state != Valid {
				t.Fatal(state)
			}
		}
		if known() != want {
			t.Errorf("after %d tokens %d are remembered, want %d", i+1, known(), want)
		}
	}
	r.Replace(ring(t, pemKey))
	if _, state := c.Verify(sign(t, r, New(alice(), "alice", now(), time.Minute)), now()); state != Valid || known() != 1 {
		t.Errorf("%d tokens are remembered after the keys were replaced", known())
	}
}

// TestTokensHaveALimit: a token as long as any may be is judged alike with and without the
// cache; one byte more is bad unread.
func TestTokensHaveALimit(t *testing.T) {
	_, pemKey := newKey(t)
	r := ring(t, pemKey)
	lengths := map[int]bool{}
	for n := 1200; n < 1300; n++ {
		s := alice()
		s.User.DisplayName = strings.Repeat("x", n)
		token := sign(t, r, New(s, "alice", now(), time.Minute))
		_, alone := r.Verify(token, now())
		_, cached := NewCache(r, 2).Verify(token, now())
		if want := len(token) <= maxToken; (alone == Valid) != want || cached != alone {
			t.Fatalf("%d bytes: %v alone, %v with the cache", len(token), alone, cached)
		}
		lengths[len(token)] = true
	}
	if !lengths[maxToken] {
		t.Errorf("no token has exactly %d bytes: %v", maxToken, lengths)
	}
}

// TestKeysAreReplacedWhileInUse: passes of an old key live on while it is on the ring;
// when it is taken off, what is remembered of it is worthless too.
func TestKeysAreReplacedWhileInUse(t *testing.T) {
	_, first := newKey(t)
	_, second := newKey(t)
	r := ring(t, first)
	c := NewCache(r, 10)
	old := sign(t, r, New(alice(), "alice", now(), time.Minute))
	for _, keys := range [][][]byte{{first}, {first, second}, {second, first}} {
		r.Replace(ring(t, keys...))
		for range 2 {
			if _, state := c.Verify(old, now()); state != Valid {
				t.Errorf("%v with %d keys", state, len(keys))
			}
		}
	}
	if fresh := sign(t, r, New(alice(), "alice", now(), time.Minute)); state(ring(t, second), fresh) != Valid {
		t.Error("not signed with the first key")
	}
	r.Replace(ring(t, second))
	if _, state := c.Verify(old, now()); state != Bad {
		t.Errorf("%v by a key that was taken off", state)
	}
}

func TestCacheConcurrently(t *testing.T) {
	_, pemKey := newKey(t)
	r := ring(t, pemKey)
	c := NewCache(r, 3)
	var wg sync.WaitGroup
	for i := range 8 {
		name := fmt.Sprint("user", i)
		token := sign(t, r, New(session.New(access.User{Name: name}, "ldap", now(), time.Hour), name, now(), time.Minute))
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if p, s := c.Verify(token, now()); s != Valid || p.Owner != name {
						t.Errorf("%s got the pass of %s", name, p.Owner)
					}
				}
			})
		}
	}
	wg.Wait()
}

func BenchmarkCache(b *testing.B) {
	_, pemKey := newKey(b)
	r := ring(b, pemKey)
	c := NewCache(r, 10)
	token := sign(b, r, New(alice(), "alice", now(), time.Minute))
	for b.Loop() {
		if _, s := c.Verify(token, now()); s != Valid {
			b.Fatal(s)
		}
	}
}
