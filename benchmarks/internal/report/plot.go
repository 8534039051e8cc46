package report

import (
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/x/ringdht/benchmarks/internal/load"
)

// Plot is a plot of one metric for a group of rows, with a line for each system.
type Plot struct {
	Title, X, Y string
	Lines       []Line
}

// Line is the line of a system.
type Line struct {
	System string
	Style  int
	Points []Point
}

// Point is a spread at a place. Both axes are logarithmic.
type Point struct {
	X float64
	Spread
}

// Plots returns the plots of a section: for every compared metric, one for each group of at
// least two rows.
func (s *Section) Plots() (plots []Plot) {
	if s.X == "" {
		return nil
	}
	var groups []string
	for _, r := range s.Rows {
		if !slices.Contains(groups, r.Group) {
			groups = append(groups, r.Group)
		}
	}
	for _, g := range groups {
		for i, m := range s.Metrics {
			if !m.Compare || m.Unit == load.CPU {
				continue
			}
			p := Plot{Title: s.Title + ": " + g + ", " + strings.ReplaceAll(m.Name, "/", " per "), X: s.X, Y: axis(m)}
			if p.Lines = s.lines(g, i); p.Lines != nil {
				plots = append(plots, p)
			}
		}
	}
	return plots
}

// lines returns the lines of one metric in one group, or nil for a single row.
func (s *Section) lines(group string, metric int) (lines []Line) {
	rows := slices.DeleteFunc(slices.Clone(s.Rows), func(r *Row) bool { return r.Group != group })
	if len(rows) < 2 {
		return nil
	}
	for _, r := range rows {
		for _, series := range r.Series {
			at := slices.IndexFunc(lines, func(l Line) bool { return l.System == series.System })
			if at < 0 {
				at = len(lines)
				lines = append(lines, Line{System: series.System, Style: series.Style})
			}
			if p := (Point{r.X, Of(series.Values(metric))}); p.Min > 0 { // false for NaN
				lines[at].Points = append(lines[at].Points, p)
			}
		}
	}
	return lines
}

func axis(m load.Metric) string {
	if m.Unit == load.Duration {
		return m.Name + ", seconds"
	}
	return m.Name
}

// File returns a file name for the plot.
func (p Plot) File() string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(p.Title))
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	return strings.Trim(name, "-") + ".svg"
}

// Colours is the number of colours. A style that is larger by so much has the same one, dashed.
const Colours = 8

// palette is Okabe and Ito's, which differs for any colour vision.
var palette = [Colours]color.RGBA{
	{0, 0, 0, 255}, {213, 94, 0, 255}, {230, 159, 0, 255}, {0, 114, 178, 255}, {86, 180, 233, 255},
	{0, 158, 115, 255}, {204, 121, 167, 255}, {128, 128, 128, 255},
}

const width = 9 * vg.Inch

// SVG writes the plot as SVG.
func (p Plot) SVG(w io.Writer) error {
	pl, err := p.plot()
	if err != nil {
		return err
	}
	c := vgsvg.New(width, 5*vg.Inch)
	pl.Draw(draw.New(c))
	_, err = c.WriteTo(w)
	return err
}

func (p Plot) plot() (*plot.Plot, error) {
	pl := plot.New()
	pl.Title.Text, pl.X.Label.Text, pl.Y.Label.Text = p.Title, p.X, p.Y
	for _, a := range []*plot.Axis{&pl.X, &pl.Y} {
		a.Scale = plot.LogScale{}
		a.Tick.Marker = ticks{}
	}
	// Each text of the legend begins behind its mark: a viewer without the font that the width was
	// measured with then writes over nothing.
	pl.Legend.Top, pl.Legend.Left, pl.Legend.Padding, pl.Legend.XOffs = true, true, 3, width*0.58
	pl.Legend.TextStyle.Font = font.From(pl.Legend.TextStyle.Font, 9)
	pl.Add(plotter.NewGrid())
	for _, l := range p.Lines {
		if err := addLine(pl, l); err != nil {
			return nil, err
		}
	}
	pl.X.Max *= math.Pow(pl.X.Max/pl.X.Min, 0.6) // room for the legend beside the lines
	return pl, nil
}

// addLine adds a line with a mark and the range from minimum to maximum at each point.
func addLine(pl *plot.Plot, l Line) error {
	if len(l.Points) == 0 {
		return nil
	}
	xys, bars := make(plotter.XYs, len(l.Points)), make(plotter.YErrors, len(l.Points))
	for i, p := range l.Points {
		xys[i] = plotter.XY{X: p.X, Y: p.Median}
		bars[i].Low, bars[i].High = p.Median-p.Min, p.Max-p.Median
	}
	line, marks, err := plotter.NewLinePoints(xys)
	if err != nil {
		return err
	}
	ranges, err := plotter.NewYErrorBars(struct {
		plotter.XYs
		plotter.YErrors
	}{xys, bars})
	if err != nil {
		return err
	}
	again := l.Style / Colours // the colours repeat: dashed, with other marks
	c := palette[l.Style%Colours]
	line.Color, marks.Color, ranges.Color = c, c, c
	marks.Shape = shapes[(l.Style+3*again)%len(shapes)]
	if again > 0 {
		line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	}
	pl.Add(line, marks, ranges)
	pl.Legend.Add("\u00a0"+l.System, line, marks)
	return nil
}

// shapes are the marks of the lines.
var shapes = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}, draw.PlusGlyph{}, draw.RingGlyph{},
	draw.BoxGlyph{}, draw.PyramidGlyph{},
}

// ticks labels powers of ten and their multiples by two and five, for axes that often span
// less than one power.
type ticks struct{}

func (ticks) Ticks(low, high float64) (t []plot.Tick) {
	for e := math.Floor(math.Log10(low)); e <= math.Log10(high); e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, e); v >= low && v <= high {
				t = append(t, plot.Tick{Value: v, Label: label(v)})
			}
		}
	}
	return t
}

func label(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + " M"
	case v >= 1e3:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + " k"
	case v >= 1:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case v >= 0.999e-3:
		return strconv.FormatFloat(v*1e3, 'g', 3, 64) + " m"
	}
	return strconv.FormatFloat(v*1e6, 'g', 3, 64) + " µ"
}
