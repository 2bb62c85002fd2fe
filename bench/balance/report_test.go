package main

import (
	"strings"
	"testing"

	"github.com/perijove/perijove/bench/internal/shares"
)

// grown is a cluster of which the nodes were so many pods apart, and so much of their memory.
func grown(strategy string, pods int, memory float64) growth {
	return growth{
		Strategy: strategy, Crowd: "c", Nodes: 2, AtOnce: 1, Fit: 64, Seconds: 2, Largest: shares.Share{CPU: 0.1, Memory: 0.125},
		Most:  shares.Difference{Pods: pods, Share: shares.Share{CPU: 0.1, Memory: memory}},
		Steps: []step{{64, shares.Range{Least: shares.Share{CPU: 0.1, Memory: 0.9}, Most: shares.Share{CPU: 0.2, Memory: 1}}, nil}},
	}
}

func TestVerdict(t *testing.T) {
	for what, c := range map[string]struct {
		growth growth
		fault  string
	}{
		"even":                       {grown(spread, 1, 0.125), ""},
		"sums are not exact":         {grown(spread, 1, 0.125+1e-9), ""},
		"two pods apart":             {grown(spread, 2, 0.125), "2 pods apart"},
		"shares apart":               {grown(spread, 1, 0.25), "25.0 % of memory apart"},
		"another strategy may do so": {grown(pack, 32, 1), ""},
	} {
		err := verdict([]growth{c.growth})
		if (err != nil) != (c.fault != "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if verdict(nil) == nil {
		t.Error("nothing was measured, and that was well")
	}
}

func cells(table string, line int) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(strings.Split(table, "\n")[line], "|", " ")), " ")
}

func TestTables(t *testing.T) {
	got := growthTable([]growth{grown(spread, 1, 0.125), grown(pack, 32, 1)})
	if want := "spread 2 64 1 10.0 12.5 10.0 to 20.0 90.0 to 100.0 32.0 1"; cells(got, 3) != want || cells(got, 2) != "**c**" {
		t.Errorf("got\n%s\nwant the row %s", got, want)
	}
	o := outcome{growth: grown(pack, 32, 1), What: "w", At: 24, Then: shares.Difference{Pods: 16}, Even: -1, Meanwhile: 3, After: 5}
	if got, want := incidentTable([]outcome{o}), "pack 24 16 never 3 5 64"; cells(got, 3) != want {
		t.Errorf("got\n%s\nwant the row %s", got, want)
	}
	got = refusalTable([]refusal{{what: "full", Fit: 8, Why: "0/2 nodes are available: 2 Insufficient memory. preemption: 0/2 nodes", Page: "Wait"}})
	if want := "| full | 8 | `0/2 nodes are available: 2 Insufficient memory.` | Wait |"; !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant %s", got, want)
	}
}

func TestEven(t *testing.T) {
	steps := func(apart ...int) (all []step) {
		for i, n := range apart {
			all = append(all, step{Users: 11 + i, Range: shares.Range{MostPods: n}})
		}
		return all
	}
	for what, c := range map[string]struct {
		then  int
		steps []step
		want  int
	}{
		"at once":            {1, steps(1, 0, 1), 0},
		"after three":        {3, steps(3, 2, 1, 0), 3},
		"again apart":        {2, steps(1, 2, 2, 1), 4},
		"never":              {2, steps(3, 4), -1},
		"at first, not then": {0, steps(1, 2), -1},
		"nobody came":        {2, nil, -1},
	} {
		if got := even(10, c.steps, shares.Difference{Pods: c.then}); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
}
