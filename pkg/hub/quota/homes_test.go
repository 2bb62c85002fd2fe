package quota

import (
	"errors"
	"testing"
)

// TestD7_HomesAreCounted: a new home counts, one that is there does not ask again, and a limit
// that has become smaller locks nobody out.
func TestD7_HomesAreCounted(t *testing.T) {
	t.Parallel()
	r := Record{Subject: "alice", Volumes: map[string]int64{"home-alice": 1, "home-alice--a": 1}}
	for claim, c := range map[string]struct {
		most    int64
		refused bool
	}{"home-alice--b": {3, false}, "home-alice--c": {2, true}, "home-alice--a": {1, false}} {
		out, err := r.Take(Ask{Key: "x", Weight: One, Volumes: map[string]int64{claim: 1}}, Limits{Homes: {Most: c.most}}, now)
		var refusal *Refusal
		if errors.As(err, &refusal) != c.refused || err == nil && out.Volumes[claim] != 1 {
			t.Errorf("%s of %d: %v, %v", claim, c.most, out.Volumes, err)
		}
		if refusal != nil && (refusal.Resource != Homes || refusal.Used != 2 || refusal.Asked != 1 || !refusal.Free.IsZero()) {
			t.Errorf("%s: %+v", claim, refusal)
		}
	}
	if len(r.Volumes) != 2 {
		t.Error("a start changed the record that it was judged by")
	}
}

func TestCorrect(t *testing.T) {
	t.Parallel()
	r := Record{Subject: "alice", Volumes: map[string]int64{"home-alice": 10}}
	if out, changed := r.Correct("home-alice", 5); !changed || out.Volumes["home-alice"] != 5 || r.Volumes["home-alice"] != 10 {
		t.Errorf("a smaller one: %v, %v", out.Volumes, changed)
	}
	if _, changed := r.Correct("home-alice", 10); changed {
		t.Error("the same size is a change")
	}
	if out, changed := (Record{Subject: "bob"}).Correct("home-bob", 1); !changed || out.Volumes["home-bob"] != 1 {
		t.Errorf("one that no record knew: %v, %v", out.Volumes, changed)
	}
}
