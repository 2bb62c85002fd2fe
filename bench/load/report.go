package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/bench/internal/report"
)

// figure is one line of the result: medians of all rounds.
type figure struct {
	Workload  string  `json:"workload"`
	Target    string  `json:"target"`
	Users     int     `json:"users"`
	PerSecond float64 `json:"perSecond"`
	Ratio     float64 `json:"ratio"` // to plain Envoy, in the same round
	P50       float64 `json:"p50"`   // milliseconds
	P99       float64 `json:"p99"`   // milliseconds
	CPU       float64 `json:"cpu"`   // microseconds of the proxy for one request
	Errors    int64   `json:"errors"`
}

func (s *stack) figures() []figure {
	var all []figure
	plain := s.targets[0]
	for _, w := range workloads() {
		for _, t := range s.targets {
			seen := t.seen[w.name]
			if len(seen) == 0 {
				continue
			}
			var ratios []float64
			f := figure{Workload: w.name, Target: t.name, Users: t.users}
			for round, x := range seen {
				ratios = append(ratios, x.perSecond/plain.seen[w.name][round].perSecond)
				f.Errors += x.errors
			}
			f.PerSecond, f.Ratio = median(seen, func(x sample) float64 { return x.perSecond }), report.Median(ratios)
			f.P50 = median(seen, func(x sample) float64 { return milliseconds(x.p50) })
			f.P99 = median(seen, func(x sample) float64 { return milliseconds(x.p99) })
			f.CPU = median(seen, func(x sample) float64 { return milliseconds(x.cpu) * 1000 })
			all = append(all, f)
		}
	}
	return all
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

func median(all []sample, of func(sample) float64) float64 {
	var values []float64
	for _, x := range all {
		values = append(values, of(x))
	}
	return report.Median(values)
}

func table(figures []figure) string {
	t := report.Table{Header: []string{"", "users", "per second", "of plain Envoy", "p50 ms", "p99 ms", "CPU µs each", "errors"}}
	var out strings.Builder
	for i, f := range figures {
		if i == 0 || figures[i-1].Workload != f.Workload {
			t.Rows = append(t.Rows, []string{"**" + f.Workload + "**"})
		}
		t.Rows = append(t.Rows, []string{
			f.Target, report.Count(f.Users), report.Number(f.PerSecond), fmt.Sprintf("%.2f", f.Ratio),
			report.Number(f.P50), report.Number(f.P99), report.Number(f.CPU), fmt.Sprint(f.Errors),
		})
	}
	out.WriteString(t.Markdown())
	return out.String()
}

// publish writes JSON, plots and the tables of docs/performance.md.
func publish(o options, figures []figure) error {
	text := report.Machine() + fmt.Sprintf("Medians of %d rounds of %s, %d connections (5 times fewer for 1 MB), %d users at work in turn, one worker each.\n\n",
		o.rounds, o.duration, o.connections, o.active) + table(figures)
	return errors.Join(
		report.JSON("load.json", figures),
		report.Doc("load", text),
		report.Bars("load.svg", "Requests per second as a part of plain Envoy's, 10,000 users", bars(figures)),
	)
}

func bars(figures []figure) []report.Group {
	var groups []report.Group
	for _, f := range figures {
		if f.Users != many && f.Target != plainName {
			continue
		}
		i := slices.IndexFunc(groups, func(g report.Group) bool { return g.Name == f.Workload })
		if i < 0 {
			groups = append(groups, report.Group{Name: f.Workload})
			i = len(groups) - 1
		}
		groups[i].Bars = append(groups[i].Bars, report.Bar{Name: f.Target, Value: f.Ratio})
	}
	return groups
}

// Limits of `make bench-check`: wide enough for a busy machine, narrow enough to notice a
// filter that came into every request's way. docs/performance.md has the aims.
const (
	leastOfPlain = 0.55
	leastOfCHP   = 2.0
	mostUneven   = 0.20 // between 1 user and 10,000
)

func check(figures []figure) error {
	find := func(target string, users int) figure {
		i := slices.IndexFunc(figures, func(f figure) bool { return strings.HasPrefix(f.Target, target) && f.Users == users })
		return figures[i]
	}
	one, all, chp := find("ours, pass", 1), find("ours, pass", many), find("configurable-http-proxy", many)
	var faults []error
	for _, c := range []struct {
		ok   bool
		what string
	}{
		{all.Ratio >= leastOfPlain, fmt.Sprintf("ours has %.2f of plain Envoy's requests per second, must have %.2f", all.Ratio, leastOfPlain)},
		{all.Ratio >= leastOfCHP*chp.Ratio, fmt.Sprintf("ours has %.1f times configurable-http-proxy's requests per second, must have %.1f", all.Ratio/chp.Ratio, leastOfCHP)},
		{math.Abs(all.Ratio/one.Ratio-1) <= mostUneven, fmt.Sprintf("10,000 users have %.2f of one user's requests per second", all.Ratio/one.Ratio)},
		{one.Errors+all.Errors == 0, fmt.Sprintf("%d requests failed", one.Errors+all.Errors)},
	} {
		if !c.ok {
			faults = append(faults, errors.New(c.what))
		}
	}
	return errors.Join(faults...)
}
