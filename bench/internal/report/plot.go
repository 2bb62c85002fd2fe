package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Group is one cluster of bars.
type Group struct {
	Name string
	Bars []Bar
}

// Bar is one value.
type Bar struct {
	Name  string
	Value float64
}

// Line is one curve over numbers of users.
type Line struct {
	Name   string
	X, Y   []float64
	Dashed bool
	// Colour is the same number for the same thing in every Panel.
	Colour int
}

// Panel is one of several plots in a file.
type Panel struct {
	Title string
	Lines []Line
}

// palette is Okabe and Ito's: told apart by colour-blind people too.
func palette(i int) color.Color {
	all := []color.RGBA{{0x99, 0x99, 0x99, 0xff}, {0x00, 0x72, 0xb2, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xd5, 0x5e, 0x00, 0xff}}
	return all[i%len(all)]
}

// Bars draws groups of bars; a bar keeps its colour in all groups.
func Bars(file, title string, groups []Group) error {
	p := plot.New()
	p.Title.Text, p.Y.Min = title, 0
	p.Legend.Top = true
	var names, labels []string
	for _, g := range groups {
		labels = append(labels, g.Name)
		for _, b := range g.Bars {
			if !slices.Contains(names, b.Name) {
				names = append(names, b.Name)
			}
		}
	}
	const width = vg.Length(13)
	for i, name := range names {
		values := make(plotter.Values, len(groups))
		for j, g := range groups {
			for _, b := range g.Bars {
				if b.Name == name {
					values[j] = b.Value
				}
			}
		}
		chart, err := plotter.NewBarChart(values, width)
		if err != nil {
			return fmt.Errorf("plot %s: %w", file, err)
		}
		chart.Color, chart.LineStyle.Width = palette(i), 0
		chart.Offset = width * (vg.Length(i) - vg.Length(len(names)-1)/2)
		p.Add(chart)
		p.Legend.Add(name, chart)
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.6, float64(len(groups))-0.3
	p.Y.Max *= 1.5 // room for the legend
	p.Legend.Left, p.Legend.XOffs = true, vg.Centimeter
	return save(p, 32*vg.Centimeter, file)
}

// Lines draws curves on logarithmic axes.
func Lines(file, title, x, y string, lines []Line) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, vg.Centimeter
	for i, l := range lines {
		points := make(plotter.XYs, len(l.X))
		for j := range l.X {
			points[j].X, points[j].Y = l.X[j], l.Y[j]
		}
		curve, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("plot %s: %w", file, err)
		}
		curve.Color, dots.Color, curve.Width = palette(i/2+1), palette(i/2+1), vg.Points(1.5)
		if l.Dashed {
			curve.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
		}
		p.Add(curve, dots)
		p.Legend.Add(l.Name, curve, dots)
	}
	p.X.Max *= 1.5                   // else its label is cut
	p.Y.Min, p.Y.Max = 1, 20*p.Y.Max // room for the legend
	return save(p, 20*vg.Centimeter, file)
}

// Steps draws curves on plain axes that begin at 0.
func Steps(file, title, x, y string, lines []Line) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Min, p.Y.Min = 0, 0
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, vg.Centimeter
	for i, l := range lines {
		points := make(plotter.XYs, len(l.X))
		for j := range l.X {
			points[j].X, points[j].Y = l.X[j], l.Y[j]
		}
		curve, err := plotter.NewLine(points)
		if err != nil {
			return fmt.Errorf("plot %s: %w", file, err)
		}
		curve.StepStyle, curve.Color, curve.Width = plotter.PostStep, palette(i+1), vg.Points(1.5)
		p.Add(curve)
		p.Legend.Add(l.Name, curve)
	}
	p.Y.Max *= 1.2 // room for the legend
	return save(p, 20*vg.Centimeter, file)
}

// Panels draws curves in panels side by side and below one another, two in a row, each on a
// logarithmic axis of its own.
func Panels(file, x, y string, panels []Panel) error {
	const columns = 2
	var rows [][]*plot.Plot
	for i, one := range panels {
		if i%columns == 0 {
			rows = append(rows, make([]*plot.Plot, columns))
		}
		p, err := panel(one, x, y)
		if err != nil {
			return fmt.Errorf("plot %s: %w", file, err)
		}
		rows[i/columns][i%columns] = p
	}
	canvas := vgsvg.New(32*vg.Centimeter, vg.Length(len(rows))*11*vg.Centimeter)
	tiles := draw.Tiles{Rows: len(rows), Cols: columns, PadX: vg.Centimeter, PadY: vg.Centimeter, PadTop: vg.Millimeter, PadRight: 4 * vg.Millimeter}
	for i, row := range plot.Align(rows, tiles, draw.New(canvas)) {
		for j, place := range row {
			if rows[i][j] != nil {
				rows[i][j].Draw(place)
			}
		}
	}
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return fmt.Errorf("plot %s: %w", file, err)
	}
	if err := os.MkdirAll(folder(), 0o755); err != nil {
		return fmt.Errorf("folder of plots: %w", err)
	}
	return os.WriteFile(filepath.Join(folder(), file), out.Bytes(), 0o644)
}

func panel(one Panel, x, y string) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = one.Title, x, y
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, vg.Centimeter
	for _, l := range one.Lines {
		points := make(plotter.XYs, len(l.X))
		for j := range l.X {
			points[j].X, points[j].Y = l.X[j], l.Y[j]
		}
		curve, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		curve.Color, curve.Width = palette(l.Colour), vg.Points(1.5)
		p.Add(curve)
		p.Legend.Add(l.Name, curve)
	}
	p.Y.Min, p.Y.Max = decade(p.Y.Min, math.Floor), decade(4*p.Y.Max, math.Ceil) // room for the legend
	return p, nil
}

// decade is the power of ten next to x.
func decade(x float64, round func(float64) float64) float64 {
	return math.Pow(10, round(math.Log10(x)))
}

func save(p *plot.Plot, width vg.Length, file string) error {
	if err := os.MkdirAll(folder(), 0o755); err != nil {
		return fmt.Errorf("folder of plots: %w", err)
	}
	if err := p.Save(width, 11*vg.Centimeter, filepath.Join(folder(), file)); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
