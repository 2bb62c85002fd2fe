package wait

import (
	"testing"
	"time"
)

// TestPoll shows both ends: a condition that comes true is seen, and one that never does
// is given up.
func TestPoll(t *testing.T) {
	t.Parallel()
	asked := 0
	if !Poll(time.Minute, func() bool { asked++; return asked == 5 }) || asked != 5 {
		t.Errorf("asked %d times for a condition that holds the fifth time", asked)
	}
	if Poll(5*time.Millisecond, func() bool { return false }) {
		t.Error("a condition that never holds was waited for with success")
	}
}

// TestWithinFails is the negative control: the test that waits in vain fails and says for
// what.
func TestWithinFails(t *testing.T) {
	t.Parallel()
	inner := &recorder{TB: t}
	Within(inner, time.Millisecond, "", func() bool { return false })
	if !inner.failed {
		t.Error("waiting in vain does not fail the test")
	}
}

type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Fatalf(string, ...any) { r.failed = true }
