// Package wait lets a test or a benchmark wait for what another goroutine or process
// brings about. It never sleeps for a fixed time: it asks again until a condition holds.
package wait

import (
	"testing"
	"time"
)

const (
	limit = 30 * time.Second
	// The first questions follow each other closely: most conditions hold within
	// milliseconds. Later ones must not take the processor from what is waited for.
	firstPause = time.Millisecond
	lastPause  = 20 * time.Millisecond
)

// Until returns as soon as ok is true. The test ends when it is not within 30 seconds;
// what says what was waited for.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	Within(t, limit, what, ok)
}

// Within is Until with a limit that is part of what the test claims, or that a slow
// machine needs. It returns how long the condition took.
func Within(t testing.TB, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	if !Poll(limit, ok) {
		t.Fatalf("after %s still not: %s", limit, what)
	}
	return time.Since(start)
}

// Closed returns as soon as c is closed or has a value.
func Closed[T any](t testing.TB, what string, c <-chan T) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(limit):
		t.Fatalf("after %s still not: %s", limit, what)
	}
}

// Poll asks ok again and again and reports whether it became true within limit. It is
// for callers without a test and for failures that have more to say.
func Poll(limit time.Duration, ok func() bool) bool {
	pause := firstPause
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			return false
		}
		pause = min(2*pause, lastPause)
	}
	return true
}
