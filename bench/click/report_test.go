package main

import (
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/bench/internal/browser"
)

func visits(seconds ...float64) (all []visit) {
	for _, s := range seconds {
		all = append(all, visit{
			Usable: time.Duration(s * float64(time.Second)), Ran: time.Duration((s + 1) * float64(time.Second)),
			Page: browser.Page{Began: 500 * time.Millisecond, FirstByte: 250 * time.Millisecond, Requests: 120, Bytes: 3_000_000},
		})
	}
	return all
}

func row(table, begins string) string {
	for line := range strings.Lines(table) {
		if fields := strings.ReplaceAll(line, "|", " "); strings.HasPrefix(strings.TrimSpace(fields), begins) {
			return strings.Join(strings.Fields(fields), " ")
		}
	}
	return ""
}

func TestTables(t *testing.T) {
	all := []*contestant{{name: nameCold, alone: []float64{1, 2, 3, 4}, crowds: []float64{5, 7, 6}, visits: map[string][]visit{firstNear: visits(2, 4, 3)}}, {name: nameHub}}
	for _, tt := range []struct{ table, begins, want string }{
		{clicks(all), nameCold, "Perijove, cold 4 2.50 4.00 6.00 7.00"},
		{clicks(all), nameHub, "JupyterHub 0"},
		{labs(all), nameCold, "Perijove, cold 3 0.75 3.00 4.00 4.00 120 3.00"},
		{labs(all), nameHub, ""},
	} {
		if got := row(tt.table, tt.begins); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for what, tt := range map[string]struct {
		of     contestant
		missed string
	}{
		"all met":                          {contestant{name: nameCold, alone: []float64{1}, crowds: []float64{5}, visits: map[string][]visit{firstNear: visits(2)}}, ""},
		"a slow click":                     {contestant{name: nameCold, alone: []float64{1.3}}, "click to first byte"},
		"a slow crowd":                     {contestant{name: nameCold, crowds: []float64{7}}, "at once"},
		"a slow lab":                       {contestant{name: nameCold, visits: map[string][]visit{firstNear: visits(3)}}, firstNear},
		"a slow lab by the line":           {contestant{name: nameCold, visits: map[string][]visit{firstAway: visits(5)}}, firstAway},
		"a pool that is quick mostly":      {contestant{name: namePool, alone: []float64{.1, .1, .1, .9}}, "p95"},
		"a pool that a crowd has emptied":  {contestant{name: namePool, crowds: []float64{3}}, "at once"},
		"a lab from the pool that is slow": {contestant{name: namePool, visits: map[string][]visit{againNear: visits(2)}}, againNear},
		"JupyterHub may be slow":           {contestant{name: nameHub, alone: []float64{9}}, "nothing was measured"},
		"nothing":                          {contestant{name: nameCold}, "nothing was measured"},
	} {
		err := verdict([]*contestant{&tt.of})
		if (err != nil) != (tt.missed != "") || err != nil && !strings.Contains(err.Error(), tt.missed) {
			t.Errorf("%s: %v, want %q", what, err, tt.missed)
		}
	}
}
