package web

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewPlot(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	to := from.Add(24 * time.Hour)
	at := func(minutes, value int) Point {
		return Point{from.Add(time.Duration(minutes) * time.Minute), value}
	}
	p := NewPlot([]Point{at(-5, 99), at(0, 0), at(5, 50), at(60, 4), at(65, 1), at(24*60, 100)}, from, to, 10*time.Minute)
	if diff := cmp.Diff([]string{"40.0,170.0 42.4,90.0", "68.3,163.6 70.7,168.4", "720.0,10.0"}, p.Lines); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Point{{from, 50}, {from.Add(time.Hour), 4}, {to, 100}}, p.Points); diff != "" {
		t.Error(diff)
	}
	if len(p.Times) != 6 || p.Times[0].Text != "12:00" || p.Marks[0] != (Mark{170, "0"}) || p.Marks[2] != (Mark{10, "100"}) {
		t.Errorf("%+v %+v", p.Times, p.Marks)
	}
	if none := NewPlot(nil, from, to, time.Minute); len(none.Lines) != 0 || none.Marks[2].Text != "2" || strings.Contains(none.Marks[0].Text, "N") {
		t.Errorf("without points: %+v", none)
	}
}

func TestCeiling(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 2, 1: 2, 2: 2, 3: 4, 5: 10, 11: 20, 21: 40, 41: 100, 1874: 2000, 2001: 4000} {
		if got := ceiling(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}
