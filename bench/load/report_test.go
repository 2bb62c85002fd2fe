package main

import (
	"strings"
	"testing"
)

func figuresOf(change func(by map[string]*figure)) []figure {
	all := []figure{
		{Workload: small, Target: plainName, Users: many, Active: 1, Ratio: 1},
		{Workload: small, Target: plainName, Users: many, Active: 500, Ratio: 1},
		{Workload: small, Target: "ours, pass", Users: 1, Active: 1, Ratio: 0.8},
		{Workload: small, Target: "ours, pass", Users: many, Active: 1, Ratio: 0.78},
		{Workload: small, Target: "ours, pass", Users: many, Active: 500, Ratio: 0.8},
		{Workload: small, Target: "configurable-http-proxy, no auth", Users: many, Active: 500, Ratio: 0.3},
	}
	change(map[string]*figure{"one": &all[2], "same": &all[3], "all": &all[4], "chp": &all[5]})
	return all
}

// Each ratio that got worse must be named, or make bench-check guards nothing.
func TestCheckNamesWhatGotWorse(t *testing.T) {
	o := options{active: 500}
	if err := check(o, figuresOf(func(map[string]*figure) {})); err != nil {
		t.Fatalf("good figures are refused: %v", err)
	}
	for want, change := range map[string]func(map[string]*figure){
		"of plain Envoy's":           func(by map[string]*figure) { by["all"].Ratio = 0.4 },
		"configurable-http-proxy's":  func(by map[string]*figure) { by["chp"].Ratio = 0.6 },
		"one of 10,000 users":        func(by map[string]*figure) { by["same"].Ratio = 0.6 },
		"the only user's":            func(by map[string]*figure) { by["one"].Ratio = 1.1 },
		"3 requests failed":          func(by map[string]*figure) { by["all"].Errors = 3 },
		"1 requests failed":          func(by map[string]*figure) { by["same"].Errors = 1 },
		"0.40 of plain Envoy's requ": func(by map[string]*figure) { by["all"].Ratio = 0.4 },
	} {
		if err := check(o, figuresOf(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named: %v", want, err)
		}
	}
}

func TestRatioIsToThePlainEnvoyWithAsManyAtWork(t *testing.T) {
	a := func(name string, active int, rates ...float64) *target {
		t := &target{name: name, users: many, active: active, seen: map[string][]sample{}}
		for _, r := range rates {
			t.seen[small] = append(t.seen[small], sample{perSecond: r})
		}
		return t
	}
	s := &env{targets: []*target{
		a(plainName, 1, 100, 100, 100), a(plainName, 500, 10, 20, 40), a("ours, pass", 500, 8, 10, 40),
	}}
	got := s.figures()[2]
	if got.Ratio != 0.8 || got.PerSecond != 10 {
		t.Errorf("ratio %v of %v a second, want 0.8, the median of 0.8, 0.5 and 1, of 10", got.Ratio, got.PerSecond)
	}
}
