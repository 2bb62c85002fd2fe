package broadcast

import (
	"testing"

	"github.com/perijove/perijove/pkg/server"
)

func TestWatchersHearOfTheirServerOnly(t *testing.T) {
	t.Parallel()
	h, alice, bob := New(), server.ID{User: "alice"}, server.ID{User: "bob"}
	first, stop := h.Watch(alice)
	second, stopSecond := h.Watch(alice)
	other, stopOther := h.Watch(bob)
	defer stopOther()
	h.Notify(alice)
	h.Notify(alice) // not read in between: one change
	for _, ch := range []<-chan struct{}{first, second} {
		if len(ch) != 1 {
			t.Errorf("%d changes, want 1", len(ch))
		}
	}
	if len(other) != 0 {
		t.Error("bob's watcher heard of alice")
	}
	stop()
	<-first
	h.Notify(alice)
	if len(first) != 0 {
		t.Error("a watcher that left is told")
	}
	stopSecond()
	if len(h.servers)+len(h.users) != 1 {
		t.Errorf("%d servers are remembered, want bob's", len(h.servers)+len(h.users))
	}
}
