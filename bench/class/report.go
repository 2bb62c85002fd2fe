package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/bench/internal/report"
)

// aim is the time within which a class is in.
const aim = time.Minute

func table(all []outcome) string {
	t := report.Table{Header: []string{
		"", "people", "in", "all logged in s", "first in s", "half s", "99 % s", "last s", "one's own wait: median s", "p99 s",
		"4xx", "5xx", "no answer", "failed starts", "API requests", "a second", "most", "CPU s",
	}}
	for _, o := range all {
		at := seconds(o.in(), func(p person) time.Duration { return p.in })
		waited := seconds(o.in(), func(p person) time.Duration { return p.in - p.came })
		n := o.requests.All
		t.Rows = append(t.Rows, []string{
			o.name, report.Count(len(o.people)), report.Count(len(o.in())),
			cell(seconds(o.in(), func(p person) time.Duration { return p.loggedIn }), 1), cell(at, 0), cell(at, 0.5), cell(at, 0.99), cell(at, 1), cell(waited, 0.5), cell(waited, 0.99),
			report.Count(o.refused(4)), report.Count(o.refused(5)), report.Count(o.refused(0)), report.Count(o.failed()),
			report.Count(n), report.Number(float64(n) / max(1, percentile(at, 1))), report.Count(o.requests.Peak), processor(o),
		})
	}
	return t.Markdown()
}

// processor is the time that hub and proxy used; a killed process tells none.
func processor(o outcome) string {
	if len(o.procs) == 0 {
		return ""
	}
	return report.Number(o.cpu.Seconds())
}

// seconds returns times in order.
func seconds(people []person, of func(person) time.Duration) (all []float64) {
	for _, p := range people {
		all = append(all, of(p).Seconds())
	}
	slices.Sort(all)
	return all
}

func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func cell(sorted []float64, share float64) string {
	if len(sorted) == 0 {
		return ""
	}
	return report.Number(percentile(sorted, share))
}

// conditions says what is simulated, and how.
func conditions(o options) string {
	return fmt.Sprintf("%d people within %s, simulated pods: %s until the container runs, %s more until its server answers; a refused person clicks again after %s.\n",
		o.people, o.within, o.pace.Run, o.pace.Boot, o.click)
}

// verbs lists the requests that the API server got, the most frequent first.
func verbs(all []outcome) string {
	var out strings.Builder
	for _, o := range all {
		fmt.Fprintf(&out, "\n%s, requests to the API server:\n", o.name)
		names := slices.SortedFunc(maps.Keys(o.requests.Verbs), func(a, b string) int { return o.requests.Verbs[b] - o.requests.Verbs[a] })
		for _, name := range names {
			fmt.Fprintf(&out, "  %6d %s\n", o.requests.Verbs[name], name)
		}
		if faults := o.faults(); faults != "" {
			fmt.Fprintf(&out, "  faults: %s\n", faults)
		}
	}
	return out.String()
}

// plot shows how many are in at each moment.
func plot(all []outcome, o options) error {
	var lines []report.Line
	for _, one := range all {
		line := report.Line{Name: one.name}
		for i, at := range seconds(one.in(), func(p person) time.Duration { return p.in }) {
			line.X, line.Y = append(line.X, at), append(line.Y, float64(i+1))
		}
		lines = append(lines, line)
	}
	return report.Steps("class.svg", fmt.Sprintf("A class of %d: people at work", o.people), "seconds since the first came", "people in their servers", lines)
}

// verdict is an error when anybody was lost, or the class took longer than it may; strict also
// when anybody was refused on the way.
func verdict(o outcome, strict bool) error {
	at := seconds(o.in(), func(p person) time.Duration { return p.in })
	refused := o.refused(4) + o.refused(5) + o.refused(0) + o.failed()
	if len(o.in()) == len(o.people) && o.pods == len(o.people) && (refused == 0 || !strict) && percentile(at, 1) < aim.Seconds() {
		return nil
	}
	return fmt.Errorf("%s: of %d people %d got in, the last after %.1f s; %d have their one pod; %d answers were refusals or failures:\n  %s",
		o.name, len(o.people), len(o.in()), percentile(at, 1), o.pods, refused, o.faults())
}
