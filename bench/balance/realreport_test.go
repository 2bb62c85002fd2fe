package main

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/bench/internal/shares"
)

func at(seconds int64) time.Time { return time.Unix(seconds, 0) }

func TestRealTable(t *testing.T) {
	r := &realNodes{nodes: make([]corev1.Node, 2), steps: []realStep{
		{0, []usage{{0, 0.1, 0.05}, {0, 0, 0.01}}}, {1, []usage{{0, 0.1, 0.05}, {1, 0.055, 0.02}}},
	}}
	got := realTable(r)
	if want := "1 0 1 10.0 5.5 5.0 2.0"; cells(got, 3) != want {
		t.Errorf("got\n%s\nwant the row %s", got, want)
	}
}

// TestReadAfter: a sample counts when each container was read late enough, and there are containers.
func TestReadAfter(t *testing.T) {
	a, b := shares.Container{Pod: "a"}, shares.Container{Pod: "b"}
	early, late := shares.Counters{At: at(1)}, shares.Counters{At: at(3)}
	for what, c := range map[string]struct {
		sample shares.Sample
		want   bool
	}{"all": {shares.Sample{a: late, b: late}, true}, "one is old": {shares.Sample{a: late, b: early}, false}, "none": {nil, false}} {
		if got := readAfter(c.sample, at(2)); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
