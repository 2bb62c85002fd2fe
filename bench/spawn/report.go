package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perijove/perijove/bench/internal/report"
)

// Ratios of the time until all answer, ours to bare pods'.
const (
	aim = 1.15
	// tolerated is where a check fails: other work on the machine makes a ratio of two short times
	// uncertain.
	tolerated = 1.3
)

func (r round) first() time.Duration { return r[0] }

func (r round) half() time.Duration { return r[len(r)/2] }

func (r round) last() time.Duration { return r[len(r)-1] }

// seconds returns one figure of each round.
func (c *contestant) seconds(of func(round) time.Duration) (all []float64) {
	for _, r := range c.rounds {
		all = append(all, of(r).Seconds())
	}
	return all
}

// ratios compares each round with the bare pods of the same round.
func (c *contestant) ratios(bare *contestant) []float64 {
	all, base := c.seconds(round.last), bare.seconds(round.last)
	for i := range all {
		all[i] /= base[i]
	}
	return all
}

// table compares all with the first, the bare pods.
func table(all []*contestant) string {
	t := report.Table{Header: []string{"", "first answers s", "half s", "all answer s", "range s", "of bare pods", "range", "failed starts"}}
	spread := func(values []float64) string {
		return report.Number(slices.Min(values)) + " to " + report.Number(slices.Max(values))
	}
	for _, c := range all {
		last, ratios := c.seconds(round.last), c.ratios(all[0])
		t.Rows = append(t.Rows, []string{
			c.name,
			report.Number(report.Median(c.seconds(round.first))),
			report.Number(report.Median(c.seconds(round.half))),
			report.Number(report.Median(last)), spread(last), report.Number(report.Median(ratios)), spread(ratios), report.Count(int(c.failed.Load())),
		})
	}
	return t.Markdown()
}

// plot shows the medians.
func plot(all []*contestant, o options) error {
	groups := []report.Group{{Name: "first answers"}, {Name: "half answer"}, {Name: "all answer"}}
	for _, c := range all {
		for i, of := range []func(round) time.Duration{round.first, round.half, round.last} {
			groups[i].Bars = append(groups[i].Bars, report.Bar{Name: c.name, Value: report.Median(c.seconds(of))})
		}
	}
	return report.Bars("spawn.svg", fmt.Sprintf("%d starts at once, seconds", o.servers), groups)
}

func conditions(o options) string {
	return fmt.Sprintf("%d servers at once, medians of %d rounds in turns.\n", o.servers, o.rounds)
}

// verdict is an error when ours takes too much longer than bare pods.
func verdict(ours, bare *contestant) error {
	if len(ours.rounds) == 0 {
		return errors.New("no round was measured")
	}
	if n := ours.failed.Load(); n > 0 {
		return fmt.Errorf("%d starts failed", n)
	}
	if ratio := report.Median(ours.ratios(bare)); ratio > tolerated {
		return fmt.Errorf("all servers answer after %.2f times what bare pods take; the aim is %.2f, more than %.2f is a fault", ratio, aim, tolerated)
	}
	return nil
}
