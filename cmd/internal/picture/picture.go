// Package picture draws what a publication of cells is, as SVG: which cells were
// released, and how the released figures stand to the true ones. The second is
// for the operator's eyes alone; nothing here knows which is which, callers do.
//
// Plotting is gonum's. Text is not embedded: a viewer shows it in its own fonts,
// Chinese included.
package picture

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// MaxCells bounds a grid, and MaxPoints a comparison: beyond them nobody sees
// anything.
const (
	MaxCells  = 4096
	MaxPoints = 20_000
)

// ErrShape refuses what is empty, ragged or too large to be looked at.
var ErrShape = errors.New("picture: nothing to draw, ragged, or too large")

// Grid is a table of cells. Values, rows by columns, are shaded by magnitude;
// a cell that is not released is hatched out in grey, whatever its value.
type Grid struct {
	Title         string
	Rows, Columns []string
	Released      [][]bool
	Values        [][]float64

	// The legend's words.
	ReleasedWord, SuppressedWord string
}

var (
	grey  = color.NRGBA{R: 0x8a, G: 0x8a, B: 0x8a, A: 0xff}
	ink   = color.NRGBA{R: 0x1f, G: 0x4e, B: 0x79, A: 0xff}
	rust  = color.NRGBA{R: 0xb8, G: 0x4a, B: 0x1e, A: 0xff}
	paper = color.White
)

// Draw writes the grid as SVG.
func (g *Grid) Draw(w io.Writer) error {
	if err := g.check(); err != nil {
		return err
	}
	p := plot.New()
	p.Title.Text, p.Title.Padding = g.Title, vg.Points(8)
	largest := 0.0
	for i, row := range g.Values {
		for j, v := range row {
			if g.Released[i][j] {
				largest = max(largest, math.Abs(v))
			}
		}
	}
	for i := range g.Rows {
		for j := range g.Columns {
			fill := color.Color(grey)
			if g.Released[i][j] {
				fill = shade(math.Abs(g.Values[i][j]), largest)
			}
			// The first row is on top, as in a table.
			if err := square(p, float64(j), float64(len(g.Rows)-1-i), fill); err != nil {
				return err
			}
		}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks(g.Columns, false), ticks(g.Rows, true)
	p.X.Tick.Label.Rotation = math.Pi / 4
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YCenter
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.5, float64(len(g.Columns))-0.5, -0.5, float64(len(g.Rows))-0.5
	legend := plot.NewLegend()
	legend.Top, legend.Left, legend.Padding = true, true, vg.Points(3)
	legend.Add(g.ReleasedWord, swatch{ink})
	legend.Add(g.SuppressedWord, swatch{grey})
	// The legend has a strip of its own, where it covers no cell.
	const side, strip, margin = vg.Length(18), vg.Length(110), vg.Length(150)
	canvas := vgsvg.New(vg.Length(len(g.Columns))*side+margin+strip, vg.Length(len(g.Rows))*side+margin)
	whole := draw.New(canvas)
	p.Draw(draw.Crop(whole, 0, -strip, 0, 0))
	legend.Draw(draw.Crop(whole, whole.Max.X-whole.Min.X-strip+vg.Points(10), 0, 0, -vg.Points(30)))
	return write(w, canvas)
}

func (g *Grid) check() error {
	if len(g.Rows)*len(g.Columns) == 0 || len(g.Rows)*len(g.Columns) > MaxCells || len(g.Released) != len(g.Rows) || len(g.Values) != len(g.Rows) {
		return fmt.Errorf("%w: %d × %d cells, 1 to %d are drawn", ErrShape, len(g.Rows), len(g.Columns), MaxCells)
	}
	for i := range g.Rows {
		if len(g.Released[i]) != len(g.Columns) || len(g.Values[i]) != len(g.Columns) {
			return fmt.Errorf("%w: row %d has not %d columns", ErrShape, i, len(g.Columns))
		}
	}
	return nil
}

// shade is on a logarithmic scale: most tables have few large cells.
func shade(v, largest float64) color.Color {
	if v == 0 || largest == 0 {
		return paper
	}
	t := 0.12 + 0.88*math.Log1p(v)/math.Log1p(largest)
	mix := func(from, to uint8) uint8 { return uint8(math.Round(float64(from) + (float64(to)-float64(from))*t)) }
	return color.NRGBA{R: mix(0xff, ink.R), G: mix(0xff, ink.G), B: mix(0xff, ink.B), A: 0xff}
}

func square(p *plot.Plot, x, y float64, fill color.Color) error {
	const half = 0.47
	poly, err := plotter.NewPolygon(plotter.XYs{{X: x - half, Y: y - half}, {X: x + half, Y: y - half}, {X: x + half, Y: y + half}, {X: x - half, Y: y + half}})
	if err != nil {
		return fmt.Errorf("picture: drawing a cell: %w", err)
	}
	poly.Color, poly.LineStyle.Color, poly.LineStyle.Width = fill, grey, vg.Points(0.25)
	p.Add(poly)
	return nil
}

// ticks are labels at 0, 1, …, or from the top down.
func ticks(labels []string, down bool) plot.ConstantTicks {
	out := make(plot.ConstantTicks, len(labels))
	for i, l := range labels {
		at := i
		if down {
			at = len(labels) - 1 - i
		}
		out[i] = plot.Tick{Value: float64(at), Label: l}
	}
	return out
}

// swatch is a legend's sample of a colour.
type swatch struct{ color.Color }

// Thumbnail implements plot.Thumbnailer.
func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.Color, c.ClipPolygonXY([]vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}}))
}

// Point is a figure as it is and as it was released, with the ends of its
// interval; both equal to Released where there is none.
type Point struct{ Truth, Released, Low, High float64 }

// Comparison sets released figures against true ones.
type Comparison struct {
	Title, Truth, Released string // what the picture and its axes say
	Points                 []Point
}

// Draw writes the comparison as SVG.
func (c *Comparison) Draw(w io.Writer) error {
	if len(c.Points) == 0 || len(c.Points) > MaxPoints {
		return fmt.Errorf("%w: %d points, 1 to %d are drawn", ErrShape, len(c.Points), MaxPoints)
	}
	p := plot.New()
	p.Title.Text, p.Title.Padding = c.Title, vg.Points(8)
	p.X.Label.Text, p.Y.Label.Text = c.Truth, c.Released
	low, high := math.Inf(1), math.Inf(-1)
	bars := intervals{}
	for _, q := range c.Points {
		low, high = min(low, q.Truth), max(high, q.Truth)
		bars.XYs = append(bars.XYs, plotter.XY{X: q.Truth, Y: q.Released})
		bars.YErrors = append(bars.YErrors, struct{ Low, High float64 }{q.Released - q.Low, q.High - q.Released})
	}
	line, err := plotter.NewLine(plotter.XYs{{X: low, Y: low}, {X: high, Y: high}})
	if err != nil {
		return fmt.Errorf("picture: drawing the diagonal: %w", err)
	}
	line.Color, line.Dashes = grey, []vg.Length{vg.Points(4), vg.Points(3)}
	errs, err := plotter.NewYErrorBars(bars)
	if err != nil {
		return fmt.Errorf("picture: drawing intervals: %w", err)
	}
	errs.Color, errs.CapWidth = ink, vg.Points(3)
	points, err := plotter.NewScatter(bars.XYs)
	if err != nil {
		return fmt.Errorf("picture: drawing points: %w", err)
	}
	points.GlyphStyle = draw.GlyphStyle{Color: rust, Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
	p.Add(plotter.NewGrid(), line, errs, points)
	canvas := vgsvg.New(6*vg.Inch, 5*vg.Inch)
	p.Draw(draw.New(canvas))
	return write(w, canvas)
}

// intervals are points with error bars.
type intervals struct {
	plotter.XYs
	plotter.YErrors
}

func write(w io.Writer, canvas *vgsvg.Canvas) error {
	if _, err := canvas.WriteTo(w); err != nil {
		return fmt.Errorf("picture: writing: %w", err)
	}
	return nil
}
