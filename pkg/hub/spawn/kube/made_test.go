package kube

import (
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// TestR5_MadeStartsAreNotBegunAgain: while others wait, a start that has its pod stays in its record.
// However its server ends then, and although its spawner was killed, no replica begins it again.
func TestR5_MadeStartsAreNotBegunAgain(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(*testing.T, *pair){
		"its user stops it": func(t *testing.T, p *pair) {
			if gone, err := p.b.Stop(t.Context(), alice, 10*time.Second); err != nil || !gone {
				t.Errorf("gone: %v, %v", gone, err)
			}
		},
		"somebody deletes its pod": func(t *testing.T, p *pair) {
			if err := p.client.Tracker().Delete(podsResource, ns, spawn.PodName(alice)); err != nil {
				t.Error(err)
			}
		},
		"it goes on": nil, // the negative control
	} {
		s := settings(t)
		s.SpawnLimit, s.StartTimeout = 1, time.Hour
		p := newPair(t, s)
		waitsHere(t, p)
		bob := server.ID{User: "bob"}
		p.clock.Advance(time.Second)
		if err := p.a.Start(t.Context(), ask(bob)); err != nil {
			t.Fatal(err)
		}
		p.free()
		wait.Until(t, "alice's start is made, and others know", func() bool {
			return p.b.cached(alice) != nil && len(p.a.starts()) == 0 && !p.a.waits(alice) && !p.b.waits(alice) && p.b.queue.length() == 1
		})
		if aliceWaits(p.client) != 1 {
			t.Errorf("%s: it left its record although bob waits", what)
		}
		p.kill(-1)
		p.stop()
		if end != nil {
			end(t, p)
			wait.Until(t, "the end is seen", func() bool { return p.b.cached(alice) == nil })
		}
		p.clock.Advance(2 * spawn.Lease)
		p.b.tendOnce(t.Context())
		wait.Until(t, "bob's start is made, and nothing is in the records", func() bool {
			p.b.tendOnce(t.Context())
			return p.b.cached(bob) != nil && waitingIn(t, p.client) == 0
		})
		if n := podsOf(t, p.client, alice); (n == 1) != (end == nil) || n > 1 {
			t.Errorf("%s: %d pods", what, n)
		}
		if holds := p.b.record(spawn.Subject{Name: "alice"}).Holds; len(holds) != podsOf(t, p.client, alice) {
			t.Errorf("%s: the record holds %v", what, holds)
		}
	}
}
