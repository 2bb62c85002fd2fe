package main

import (
	"errors"
	"fmt"

	"github.com/perijove/perijove/bench/internal/ab"
	"github.com/perijove/perijove/bench/internal/report"
)

// How Perijove is to be beside the others.
const (
	// aimHub is how many times sooner than JupyterHub half of the answers are to be there, for the
	// pages that the platform itself makes.
	aimHub = 5.0
	// aimAlone is how many times as long as JupyterLab alone half of the answers may take.
	aimAlone = 1.15
	// tolerance is how far from its aim a ratio is a fault: other work on the machine makes it uncertain.
	tolerance = 1.25
)

const median = 50

// shown are the percentiles that ApacheBench prints by itself.
func shown() []int { return []int{50, 66, 75, 80, 90, 95, 98, 99, 100} }

// percentile is the median of a percentile over all rounds, in milliseconds.
func percentile(runs []ab.Result, n int) float64 {
	return middle(runs, func(r ab.Result) float64 { return r.Percentiles[n] })
}

func middle(runs []ab.Result, of func(ab.Result) float64) float64 {
	var all []float64
	for _, r := range runs {
		all = append(all, of(r))
	}
	return report.Median(all)
}

// times is how many times as long as b a takes at a percentile: the median of the ratios of the
// same round.
func times(a, b []ab.Result, n int) float64 {
	var all []float64
	for i := range a {
		all = append(all, a[i].Percentiles[n]/b[i].Percentiles[n])
	}
	return report.Median(all)
}

// least is the percentile at which a takes the fewest times as long as b.
func least(a, b []ab.Result) (at int, ratio float64) {
	for n := range a[0].Percentiles {
		if r := times(a, b, n); n == 0 || r < ratio {
			at, ratio = n, r
		}
	}
	return at, ratio
}

// named finds a contestant; nil if it was left out.
func named(all []*contestant, name string) *contestant {
	for _, c := range all {
		if c.name == name {
			return c
		}
	}
	return nil
}

// table compares all with JupyterHub and with JupyterLab alone.
func table(all []*contestant) string {
	t := report.Table{Header: []string{"milliseconds", "requests/s"}}
	for _, n := range shown() {
		t.Header = append(t.Header, fmt.Sprintf("%d %%", n))
	}
	t.Header = append(t.Header, "of alone, median", "JupyterHub takes, median", "at least")
	for _, p := range pages() {
		t.Rows = append(t.Rows, []string{"**" + string(p) + "**"})
		for _, c := range all {
			runs := c.runs[p]
			if len(runs) == 0 {
				continue
			}
			row := []string{c.name, report.Count(int(middle(runs, func(r ab.Result) float64 { return r.PerSecond })))}
			for _, n := range shown() {
				row = append(row, report.Number(percentile(runs, n)))
			}
			t.Rows = append(t.Rows, append(row, besides(all, c, p)...))
		}
	}
	return t.Markdown()
}

// besides compares one with the others.
func besides(all []*contestant, c *contestant, p page) []string {
	cells := []string{"", "", ""}
	if alone := named(all, nameAlone); alone != nil && len(alone.runs[p]) > 0 {
		cells[0] = report.Number(times(c.runs[p], alone.runs[p], median))
	}
	hub := named(all, nameHub)
	if hub == nil || hub == c || c.name == nameAlone {
		return cells
	}
	at, ratio := least(hub.runs[p], c.runs[p])
	cells[1] = report.Number(times(hub.runs[p], c.runs[p], median)) + " times"
	cells[2] = fmt.Sprintf("%s, at %d %%", report.Number(ratio), at)
	return cells
}

// curve is one line of the plot, for who wants the figures.
type curve struct {
	Page page        `json:"page"`
	Name string      `json:"name"`
	Runs []ab.Result `json:"runs"`
}

func figures(all []*contestant) (curves []curve) {
	for _, p := range pages() {
		for _, c := range all {
			if len(c.runs[p]) > 0 {
				curves = append(curves, curve{p, c.name, c.runs[p]})
			}
		}
	}
	return curves
}

// plot shows every percentile, a panel for each page.
func plot(all []*contestant, o options) error {
	var panels []report.Panel
	for _, p := range pages() {
		panel := report.Panel{Title: string(p)}
		for i, c := range all {
			if len(c.runs[p]) == 0 {
				continue
			}
			line := report.Line{Name: c.name, Colour: i}
			for n := range c.runs[p][0].Percentiles {
				line.X, line.Y = append(line.X, float64(n)), append(line.Y, percentile(c.runs[p], n))
			}
			panel.Lines = append(panel.Lines, line)
		}
		panels = append(panels, panel)
	}
	return report.Panels("paper.svg", "percent of the requests", fmt.Sprintf("ms, %d at once", o.load.AtOnce), panels)
}

// plots stand behind the table: the files are written with it.
const plots = "\n![Every percentile](performance/paper.svg)\n\nEvery percentile of every round: [paper.json](performance/paper.json).\n"

func conditions(o options) string {
	return fmt.Sprintf("%s requests for each page, %d at once, medians of %d rounds in turns.\n", report.Count(o.load.Requests), o.load.AtOnce, o.rounds)
}

// verdict is an error when Perijove is further from an aim than the tolerance.
func verdict(all []*contestant) error {
	var faults []error
	alone, hub := named(all, nameAlone), named(all, nameHub)
	for _, c := range all {
		if c == alone || c == hub {
			continue
		}
		if len(c.runs[pageServer]) == 0 {
			return errors.New("nothing was measured")
		}
		if ratio := times(c.runs[pageServer], alone.runs[pageServer], median); ratio > aimAlone*tolerance {
			faults = append(faults, fmt.Errorf("%s: %s takes %.2f times as long as JupyterLab alone; the aim is %.2f", c.name, pageServer, ratio, aimAlone))
		}
		if hub == nil {
			continue
		}
		for _, p := range pages() {
			if at, ratio := least(hub.runs[p], c.runs[p]); ratio < 1/tolerance {
				faults = append(faults, fmt.Errorf("%s: %s: JupyterHub takes %.2f times as long at %d %%; the aim is more than 1", c.name, p, ratio, at))
			}
		}
		for _, p := range []page{pageLogin, pageHub} {
			if ratio := times(hub.runs[p], c.runs[p], median); ratio < aimHub/tolerance {
				faults = append(faults, fmt.Errorf("%s: %s: JupyterHub takes %.2f times as long; the aim is %.0f", c.name, p, ratio, aimHub))
			}
		}
	}
	return errors.Join(faults...)
}
