// Package wait lets a test wait for what another goroutine brings about.
package wait

import (
	"testing"
	"time"
)

const (
	limit = 10 * time.Second
	pause = time.Millisecond
)

// Until returns as soon as ok is true. The test ends when it is not within ten seconds;
// what says what was waited for.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
