package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/bench/internal/report"
)

// most95 is the share of starts that p95 speaks of.
const most95 = 0.95

func conditions(o options) string {
	return fmt.Sprintf("%d rounds in turns: %d starts alone, %d at once, and four visits with Chromium.\n", o.rounds, o.alone, o.crowd)
}

// seconds returns one figure of each visit of a kind.
func (c *contestant) seconds(kind string, of func(visit) time.Duration) (all []float64) {
	for _, v := range c.visits[kind] {
		all = append(all, of(v).Seconds())
	}
	return all
}

func usable(v visit) time.Duration { return v.Usable }

func ran(v visit) time.Duration { return v.Ran }

func page(v visit) time.Duration { return v.Page.Began + v.Page.FirstByte }

// median shows one, and nothing of nothing.
func median(values []float64) string {
	if len(values) == 0 {
		return ""
	}
	return report.Number(report.Median(values))
}

// clicks is the table of first bytes.
func clicks(all []*contestant) string {
	t := report.Table{Header: []string{"click to first byte of the lab", "starts", "median s", "p95 s", "at once: all are in s", "most s"}}
	for _, c := range all {
		row := []string{c.name, report.Count(len(c.alone)), median(c.alone), "", median(c.crowds), ""}
		if len(c.alone) > 0 {
			row[3] = report.Number(report.Quantile(c.alone, most95))
		}
		if len(c.crowds) > 0 {
			row[5] = report.Number(slices.Max(c.crowds))
		}
		t.Rows = append(t.Rows, row)
	}
	return t.Markdown()
}

// labs is the table of visits.
func labs(all []*contestant) string {
	t := report.Table{Header: []string{"click, in Chromium, until", "visits", "the page comes s", "the launcher takes a click s", "most s", "the first cell ran s", "requests", "MB"}}
	for _, kind := range kinds() {
		t.Rows = append(t.Rows, []string{"**" + kind + "**"})
		for _, c := range all {
			visits := c.visits[kind]
			if len(visits) == 0 {
				continue
			}
			var requests, megabytes []float64
			for _, v := range visits {
				requests, megabytes = append(requests, float64(v.Page.Requests)), append(megabytes, float64(v.Page.Bytes)/bytesOfAMB)
			}
			t.Rows = append(t.Rows, []string{
				c.name, report.Count(len(visits)), median(c.seconds(kind, page)), median(c.seconds(kind, usable)), report.Number(slices.Max(c.seconds(kind, usable))),
				median(c.seconds(kind, ran)), report.Count(int(report.Median(requests))), median(megabytes),
			})
		}
	}
	return t.Markdown()
}

// plot shows the medians.
func plot(all []*contestant) error {
	groups := []report.Group{{Name: "first byte"}, {Name: "all first bytes, at once"}}
	for _, kind := range kinds() {
		groups = append(groups, report.Group{Name: strings.ReplaceAll(kind, ", ", ",\n")})
	}
	for _, c := range all {
		figures := [][]float64{c.alone, c.crowds}
		for _, kind := range kinds() {
			figures = append(figures, c.seconds(kind, usable))
		}
		for i, values := range figures {
			if len(values) > 0 {
				groups[i].Bars = append(groups[i].Bars, report.Bar{Name: c.name, Value: report.Median(values)})
			}
		}
	}
	return report.Bars("click.svg", "From the click on Start to the lab, seconds", slices.DeleteFunc(groups, func(g report.Group) bool { return len(g.Bars) == 0 }))
}

// aim is what one figure may be at most, in seconds.
type aim struct {
	what string
	most float64
	of   float64
	some bool // whether it was measured
}

// aims are those of a contestant.
func (c *contestant) aims() []aim {
	middle := func(what string, most float64, values []float64) aim {
		a := aim{what: what, most: most, some: len(values) > 0}
		if a.some {
			a.of = report.Median(values)
		}
		return a
	}
	switch c.name {
	case nameCold:
		return []aim{
			middle("click to first byte", 1.2, c.alone), middle("all first bytes at once", 6, c.crowds),
			middle("usable, "+firstNear, 2.5, c.seconds(firstNear, usable)), middle("usable, "+firstAway, 4, c.seconds(firstAway, usable)),
		}
	case namePool:
		slow := aim{what: "click to first byte, p95", most: 0.5, some: len(c.alone) > 0}
		if slow.some {
			slow.of = report.Quantile(c.alone, most95)
		}
		return []aim{slow, middle("all first bytes at once", 2, c.crowds), middle("usable, "+againNear, 1.5, c.seconds(againNear, usable))}
	}
	return nil
}

// verdict is an error for each aim that is missed.
func verdict(all []*contestant) error {
	var missed []error
	measured := false
	for _, c := range all {
		for _, a := range c.aims() {
			measured = measured || a.some
			if a.of > a.most {
				missed = append(missed, fmt.Errorf("%s: %s: %.2f s; the aim is %.2f s", c.name, a.what, a.of, a.most))
			}
		}
	}
	if !measured {
		return errors.New("nothing was measured")
	}
	return errors.Join(missed...)
}
