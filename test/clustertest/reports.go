package clustertest

import (
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
)

// reports: the latest report of a server's use counts, and only for the pod that there is.
func reports(t *testing.T, e *Env) {
	now := e.Clock.Now()
	if e.Cluster.Report(aliceID, now) {
		t.Error("a server without a pod is said to be in use")
	}
	e.start(t, alice, "", spawn.Options{})
	e.Change(aliceID, memory.Answer)
	if s := e.becomes(t, aliceID, spawn.Answering); !s.Reported.IsZero() {
		t.Errorf("before a report: %v", s.Reported)
	}
	for _, at := range []time.Time{now.Add(-time.Minute), now, now.Add(-time.Hour)} {
		if !e.Cluster.Report(aliceID, at) {
			t.Error("the report is not taken")
		}
	}
	if got := e.get(t, aliceID).Reported; !got.Equal(now) {
		t.Errorf("reported %v, want %v", got, now)
	}
	if gone, err := e.Cluster.Stop(t.Context(), aliceID, time.Second); !gone || err != nil {
		t.Fatalf("stop: %v, %v", gone, err)
	}
	e.becomes(t, aliceID, spawn.Stopped)
	if s := e.start(t, alice, "", spawn.Options{}); !s.Reported.IsZero() {
		t.Errorf("the next pod inherits %v", s.Reported)
	}
}
