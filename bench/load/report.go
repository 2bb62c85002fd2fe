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
	Active    int     `json:"active"`
	PerSecond float64 `json:"perSecond"`
	// Ratio to plain Envoy with as many people at work, in the same round.
	Ratio float64 `json:"ratio"`
	// OfOpen is the ratio to our own edge without a judge in the same round, 0 where that was not measured.
	OfOpen float64 `json:"ofOpen"`
	P50    float64 `json:"p50"` // milliseconds
	P99    float64 `json:"p99"` // milliseconds
	CPU    float64 `json:"cpu"` // microseconds of the proxy for one request
	Errors int64   `json:"errors"`
}

func (s *env) figures() []figure {
	var all []figure
	for _, w := range workloads() {
		for _, t := range s.targets {
			seen := t.seen[w.name]
			if len(seen) == 0 {
				continue
			}
			plain := s.baseline(t)
			var ratios []float64
			f := figure{Workload: w.name, Target: t.name, Users: t.users, Active: t.active}
			for round, x := range seen {
				ratios = append(ratios, x.perSecond/plain.seen[w.name][round].perSecond)
				f.Errors += x.errors
			}
			f.OfOpen = s.ofOpen(w.name, t)
			f.PerSecond, f.Ratio = median(seen, func(x sample) float64 { return x.perSecond }), report.Median(ratios)
			f.P50 = median(seen, func(x sample) float64 { return milliseconds(x.p50) })
			f.P99 = median(seen, func(x sample) float64 { return milliseconds(x.p99) })
			f.CPU = median(seen, func(x sample) float64 { return milliseconds(x.cpu) * 1000 })
			all = append(all, f)
		}
	}
	return all
}

// baseline is the plain Envoy that t is compared with.
func (s *env) baseline(t *target) *target {
	i := slices.IndexFunc(s.targets, func(p *target) bool { return p.name == plainName && p.active == t.active })
	return s.targets[i]
}

// ofOpen compares t with our edge without a judge, where both have as many people at work.
func (s *env) ofOpen(workload string, t *target) float64 {
	i := slices.IndexFunc(s.targets, func(o *target) bool { return o.name == openName && o.active == t.active && len(o.seen[workload]) > 0 })
	if i < 0 {
		return 0
	}
	var ratios []float64
	for round, x := range t.seen[workload] {
		ratios = append(ratios, x.perSecond/s.targets[i].seen[workload][round].perSecond)
	}
	return report.Median(ratios)
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
	t := report.Table{Header: []string{"", "routes", "at work", "per second", "of plain Envoy", "of ours, no auth", "p50 ms", "p99 ms", "CPU µs each", "errors"}}
	var out strings.Builder
	for i, f := range figures {
		if i == 0 || figures[i-1].Workload != f.Workload {
			t.Rows = append(t.Rows, []string{"**" + f.Workload + "**"})
		}
		t.Rows = append(t.Rows, []string{
			f.Target, routes(f), report.Count(f.Active), report.Number(f.PerSecond), fmt.Sprintf("%.2f", f.Ratio), ofOpen(f),
			report.Number(f.P50), report.Number(f.P99), report.Number(f.CPU), fmt.Sprint(f.Errors),
		})
	}
	out.WriteString(t.Markdown())
	return out.String()
}

func ofOpen(f figure) string {
	if f.OfOpen == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", f.OfOpen)
}

func routes(f figure) string {
	if f.Target == plainName {
		return "1"
	}
	return report.Count(f.Users)
}

// publish writes JSON, plots and the tables of docs/performance.md.
func publish(o options, figures []figure) error {
	text := report.Machine() + fmt.Sprintf("Medians of %d rounds of %s, %d connections (5 times fewer for 1 MB), one worker each.\n\n",
		o.rounds, o.duration, o.connections) + table(figures)
	return errors.Join(
		report.JSON("load.json", figures),
		report.Doc("load", text),
		report.Bars("load.svg", "Requests per second as a part of plain Envoy's, 10,000 users", bars(figures)),
	)
}

func bars(figures []figure) []report.Group {
	var groups []report.Group
	for _, f := range figures {
		if f.Users != many || f.Active == 1 {
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
	leastOfPlain = 0.45
	leastOfCHP   = 1.5
	mostUneven   = 0.20 // between 1 user and 10,000
)

func check(o options, figures []figure) error {
	find := func(target string, users, active int) figure {
		i := slices.IndexFunc(figures, func(f figure) bool {
			return strings.HasPrefix(f.Target, target) && f.Users == users && f.Active == active
		})
		return figures[i]
	}
	one, same := find("ours, pass", 1, 1), find("ours, pass", many, 1)
	all, chp := find("ours, pass", many, o.active), find("configurable-http-proxy", many, o.active)
	var faults []error
	for _, c := range []struct {
		ok   bool
		what string
	}{
		{all.Ratio >= leastOfPlain, fmt.Sprintf("ours has %.2f of plain Envoy's requests per second, must have %.2f", all.Ratio, leastOfPlain)},
		{all.Ratio >= leastOfCHP*chp.Ratio, fmt.Sprintf("ours has %.1f times configurable-http-proxy's requests per second, must have %.1f", all.Ratio/chp.Ratio, leastOfCHP)},
		{math.Abs(same.Ratio/one.Ratio-1) <= mostUneven, fmt.Sprintf("one of 10,000 users has %.2f of the only user's requests per second", same.Ratio/one.Ratio)},
		{one.Errors+same.Errors+all.Errors == 0, fmt.Sprintf("%d requests failed", one.Errors+same.Errors+all.Errors)},
	} {
		if !c.ok {
			faults = append(faults, errors.New(c.what))
		}
	}
	return errors.Join(faults...)
}
