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
	if s := e.becomes(t, aliceID, spawn.Answering); s.LastActivity.Before(s.Created) || s.Tells || s.Busy {
		t.Errorf("before a report: %+v", s)
	}
	e.Clock.Advance(time.Hour)
	now = e.Clock.Now()
	for _, at := range []time.Time{now.Add(-time.Minute), now, now.Add(-time.Hour)} {
		if !e.Cluster.Report(aliceID, at) {
			t.Error("the report is not taken")
		}
	}
	if got := e.get(t, aliceID).LastActivity; !got.Equal(now) {
		t.Errorf("reported %v, want %v", got, now)
	}
	if e.Cluster.Report(aliceID, now.Add(time.Minute)); !e.get(t, aliceID).LastActivity.Equal(now) {
		t.Error("a report from the future is believed")
	}
	if gone, err := e.Cluster.Stop(t.Context(), aliceID, time.Second); !gone || err != nil {
		t.Fatalf("stop: %v, %v", gone, err)
	}
	e.becomes(t, aliceID, spawn.Stopped)
	e.Clock.Advance(time.Hour)
	if s := e.start(t, alice, "", spawn.Options{}); !s.LastActivity.Equal(s.Created) {
		t.Errorf("the next pod inherits %v", s.LastActivity)
	}
}
