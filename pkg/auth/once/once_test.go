package once

import (
	"fmt"
	"testing"
	"time"
)

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func TestTakenOnce(t *testing.T) {
	s := New(Limits{All: 10})
	for i, c := range []struct {
		value string
		now   time.Duration
		want  bool
	}{
		{"a", 0, true}, {"a", 0, false}, {"b", 0, true}, {"a", time.Minute - 1, false}, {"a", time.Minute, true}, {"a", time.Minute, false},
	} {
		if got := s.Take("", c.value, noon().Add(c.now+time.Minute), noon().Add(c.now)); got != c.want {
			t.Errorf("step %d: taking %q: %v", i, c.value, got)
		}
	}
	s.Forget("a")
	s.Forget("never taken")
	if !s.Take("", "a", noon().Add(time.Hour), noon().Add(time.Minute)) {
		t.Error("what was given back cannot be taken")
	}
}

// TestAStrangerFillsIt: the oldest value goes, and an honest one is still taken.
func TestAStrangerFillsIt(t *testing.T) {
	const size = 100
	s := New(Limits{All: size})
	for i := range 10 * size {
		if !s.Take("", fmt.Sprint(i), noon().Add(time.Hour), noon()) {
			t.Fatalf("value %d is refused", i)
		}
		if len(s.seen) > size || len(s.order) > size || len(s.owners) > 1 {
			t.Fatalf("%d values and %d places", len(s.seen), len(s.order))
		}
	}
	if !s.Take("", "honest", noon().Add(time.Hour), noon()) || s.Take("", "honest", noon().Add(time.Hour), noon()) {
		t.Error("an honest value is refused, or taken twice")
	}
	if s.Take("", fmt.Sprint(10*size-1), noon().Add(time.Hour), noon()) {
		t.Error("a young value was forgotten")
	}
}

// TestAnOwnerFillsTheirShare: only that owner is refused, until their values expire.
func TestAnOwnerFillsTheirShare(t *testing.T) {
	s := New(Limits{All: 100, PerOwner: 3})
	for i := range 5 {
		if got := s.Take("mallory", fmt.Sprint(i), noon().Add(time.Minute), noon()); got != (i < 3) {
			t.Errorf("value %d: %v", i, got)
		}
	}
	if !s.Take("alice", "hers", noon().Add(time.Minute), noon()) {
		t.Error("alice is refused")
	}
	if !s.Take("mallory", "later", noon().Add(2*time.Minute), noon().Add(time.Minute)) || len(s.owners) != 1 {
		t.Errorf("refused for ever, or owners stay: %v", s.owners)
	}
}
