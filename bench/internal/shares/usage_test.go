package shares

import (
	"math"
	"testing"
	"time"
)

var begin = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }

// counters are of a container that was started at a second, and read at another.
func counters(started, read, cpu, memory float64) Counters {
	return Counters{Started: at(started), At: at(read), CPU: time.Duration(cpu * float64(time.Second)), Memory: memory}
}

func TestMemoryUsageIsFormula8(t *testing.T) {
	s := Sample{{Pod: "a"}: counters(0, 1, 0, 30), {Pod: "b"}: counters(0, 1, 0, 20), {Pod: "b", Name: "second"}: counters(0, 1, 0, 10)}
	if got, err := MemoryUsage(s, 120); err != nil || got != 0.5 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := MemoryUsage(nil, 120); err != nil || got != 0 {
		t.Errorf("a node without containers: %v, %v", got, err)
	}
	for _, has := range []float64{0, -1, math.NaN()} {
		if _, err := MemoryUsage(s, has); err == nil {
			t.Errorf("a node with %v bytes was accepted", has)
		}
	}
}

func TestCPUUsageIsFormula9(t *testing.T) {
	a, b := Container{Pod: "a"}, Container{Pod: "b"}
	for what, c := range map[string]struct {
		before, after Sample
		want          float64 // of 2 cores
	}{
		"two containers":                           {Sample{a: counters(0, 100, 10, 0), b: counters(0, 100, 50, 0)}, Sample{a: counters(0, 110, 15, 0), b: counters(0, 110, 55, 0)}, 0.5},
		"each read at a time of its own":           {Sample{a: counters(0, 100, 10, 0), b: counters(0, 95, 50, 0)}, Sample{a: counters(0, 110, 15, 0), b: counters(0, 115, 60, 0)}, 0.5},
		"started within the interval":              {Sample{a: counters(0, 100, 10, 0)}, Sample{a: counters(0, 110, 15, 0), b: counters(105, 110, 2.5, 0)}, 0.5},
		"started again within the interval":        {Sample{a: counters(0, 100, 10, 0)}, Sample{a: counters(102, 110, 4, 0)}, 0.25},
		"started again, and already beyond it":     {Sample{a: counters(0, 100, 1, 0)}, Sample{a: counters(105, 110, 5, 0)}, 0.5},
		"a counter that fell without a new start":  {Sample{a: counters(90, 100, 10, 0)}, Sample{a: counters(90, 110, 5, 0)}, 0.125},
		"one that is gone counts nothing":          {Sample{a: counters(0, 100, 10, 0), b: counters(0, 100, 50, 0)}, Sample{a: counters(0, 110, 15, 0)}, 0.25},
		"one that was not told before: since ever": {nil, Sample{a: counters(0, 100, 50, 0)}, 0.25},
		"nothing runs":                             {nil, nil, 0},
		"nothing used":                             {Sample{a: counters(0, 100, 10, 0)}, Sample{a: counters(0, 110, 10, 0)}, 0},
	} {
		if got, err := CPUUsage(c.before, c.after, 2); err != nil || !near(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", what, got, err, c.want)
		}
	}
}

func TestCPUUsageNeedsAnInterval(t *testing.T) {
	a := Container{Namespace: "n", Pod: "a"}
	same := Sample{a: counters(0, 100, 10, 0)}
	if _, err := CPUUsage(same, same, 2); err == nil {
		t.Error("one reading was taken for two")
	}
	if _, err := CPUUsage(nil, Sample{a: counters(5, 5, 0, 0)}, 2); err == nil {
		t.Error("a container that was read when it started has used nothing in no time")
	}
	for _, cores := range []float64{0, -1, math.NaN()} {
		if _, err := CPUUsage(nil, same, cores); err == nil {
			t.Errorf("a node with %v cores was accepted", cores)
		}
	}
}
