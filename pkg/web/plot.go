package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Point is a value at a moment.
type Point struct {
	At    time.Time
	Value int
}

// Plot is a curve over time as SVG draws it; the page's style gives the colours.
type Plot struct {
	Lines  []string // points of polylines: where values are missing, one ends and the next begins
	Marks  []Mark   // of the axis of values
	Times  []Mark   // of the axis of time
	Points []Point  // the greatest value of each hour, for the table
	Most   int
}

// Mark is a mark of an axis.
type Mark struct {
	At   int // where, in the plot's units
	Text string
}

// The plot in its own units: a frame of width by height, right of the values and above the times.
const (
	plotLeft, plotTop     = 40, 10
	plotWidth, plotHeight = 680, 160
)

// NewPlot returns the plot of points, which are in order, from a moment to another. gap is the time
// between two points after which the curve is broken.
func NewPlot(points []Point, from, to time.Time, gap time.Duration) Plot {
	p := Plot{}
	for _, one := range points {
		p.Most = max(p.Most, one.Value)
	}
	top := ceiling(p.Most)
	x := func(at time.Time) float64 { return plotLeft + plotWidth*float64(at.Sub(from))/float64(to.Sub(from)) }
	y := func(value float64) float64 { return plotTop + plotHeight*(1-value/float64(top)) }
	var line []string
	end := func() {
		if len(line) > 0 {
			p.Lines = append(p.Lines, strings.Join(line, " "))
		}
		line = nil
	}
	var last time.Time
	for _, one := range points {
		if one.At.Before(from) || one.At.After(to) {
			continue
		}
		if one.At.Sub(last) > gap {
			end()
		}
		line = append(line, fmt.Sprintf("%.1f,%.1f", x(one.At), y(float64(one.Value))))
		last = one.At
		p.Points = hourly(p.Points, one)
	}
	end()
	for _, value := range []int{0, top / 2, top} { //nolint:mnd // the middle
		p.Marks = append(p.Marks, Mark{At: int(y(float64(value))), Text: strconv.Itoa(value)})
	}
	const every = 4 * time.Hour
	for at := from.UTC().Truncate(every).Add(every); !at.After(to); at = at.Add(every) {
		p.Times = append(p.Times, Mark{At: int(x(at)), Text: at.Format("15:04")})
	}
	return p
}

// hourly adds a point to those of the hours: of each the greatest value.
func hourly(hours []Point, one Point) []Point {
	hour := one.At.UTC().Truncate(time.Hour)
	if n := len(hours); n > 0 && hours[n-1].At.Equal(hour) {
		hours[n-1].Value = max(hours[n-1].Value, one.Value)
		return hours
	}
	return append(hours, Point{At: hour, Value: one.Value})
}

// ceiling is the least number of a form that axes have (2, 4, 10, 20, 40, 100, …) that is not
// below n.
func ceiling(n int) int {
	const ten = 10
	for unit := 1; ; unit *= ten {
		for _, digit := range []int{2, 4, ten} { //nolint:mnd // the form
			if top := digit * unit; top >= n {
				return top
			}
		}
	}
}
