package columnar

import (
	"math/big"
	"slices"
)

// Cube is what Run found. Cells are numbered from 0 in row-major order. It holds raw
// data: it is for a release regime, and not for anyone outside. Safe for concurrent use.
type Cube struct {
	axes     []*axis
	cells    int
	rows     []int64
	gauges   []*gaugeReader
	sumOf    []int
	pairs    *pairs // nil without a subject, as are subjects
	subjects *subjects
	largest  int
	tally    tally
}

// RowCount stands for a measure's index where contributions are of rows.
const RowCount = -1

// Axis is a dimension of a cube with its codes, in the order of the cells.
type Axis struct {
	Column string       // empty with Where
	Where  []Comparison // of an axis that is a condition
	Codes  []Code
}

// Cells gives how many cells there are.
func (c *Cube) Cells() int { return c.cells }

// Axes gives the dimensions.
func (c *Cube) Axes() []Axis {
	out := make([]Axis, len(c.axes))
	for d, a := range c.axes {
		out[d] = Axis{Column: a.spec.Column, Where: slices.Clone(a.spec.Where), Codes: slices.Clone(a.codes)}
	}
	return out
}

// Position gives the index of a cell's code on each axis.
func (c *Cube) Position(cell int) []int {
	out := make([]int, len(c.axes))
	for d, a := range slices.Backward(c.axes) {
		out[d] = cell % len(a.codes)
		cell /= len(a.codes)
	}
	return out
}

// Rows gives how many rows are in the cell.
func (c *Cube) Rows(cell int) int64 { return c.rows[cell] }

// Count gives how many values measure m has in the cell: rows that are not null.
func (c *Cube) Count(m, cell int) int64 { return c.rows[cell] - c.gauges[m].nulls[cell] }

// Unit is the power of two in which Sum, Squares (Unit²) and Contributions of measure m
// count: 1 for integers. A floating-point sum is off by at most Count × Unit / 2.
func (c *Cube) Unit(m int) float64 { return 1 / c.gauges[m].scale }

// Sum of measure m, which wants Sum or Squares, in Units; zero for a cell without values.
func (c *Cube) Sum(m, cell int) Int128 { return c.gauges[m].sums[cell] }

// Squares gives the sum of the squares of measure m, which wants Squares, in Unit².
func (c *Cube) Squares(m, cell int) *big.Int { return c.gauges[m].squares[cell].big() }

// Mean gives Sum × Unit / Count, rounded to the nearest; false for a cell without values.
func (c *Cube) Mean(m, cell int) (float64, bool) {
	n := c.Count(m, cell)
	if n == 0 {
		return 0, false
	}
	return c.scaled(m, 1, c.Sum(m, cell).Big(), big.NewInt(n)), true
}

// Variance gives the population's variance (÷ n) of measure m, which wants Squares, from
// exact sums: (n Σv² − (Σv)²) / n². It is rounded once, so nothing cancels.
func (c *Cube) Variance(m, cell int) (float64, bool) {
	n := big.NewInt(c.Count(m, cell))
	if n.Sign() == 0 {
		return 0, false
	}
	sum := c.Sum(m, cell).Big()
	v := new(big.Int).Mul(n, c.Squares(m, cell))
	v.Sub(v, sum.Mul(sum, sum))
	return c.scaled(m, 2, v, n.Mul(n, n)), true
}

// scaled gives a/b × Unit^power.
func (c *Cube) scaled(m, power int, a, b *big.Int) float64 {
	r := new(big.Rat).SetFrac(a, b)
	unit := new(big.Rat).SetFloat64(c.Unit(m))
	for range power {
		r.Mul(r, unit)
	}
	f, _ := r.Float64()
	return f
}

// Extremes gives the least and the largest value of measure m, which wants Extremes, as
// they are in the data or clamped; false for a cell without values.
func (c *Cube) Extremes(m, cell int) (low, high Value, ok bool) {
	g := c.gauges[m]
	if c.Count(m, cell) == 0 {
		return Value{}, Value{}, false
	}
	if g.kind == integer {
		return Int(g.intMin[cell]), Int(g.intMax[cell]), true
	}
	return Float(g.floatMin[cell]), Float(g.floatMax[cell]), true
}

// Histogram gives the buckets of measure m, which has Edges: one more than edges.
func (c *Cube) Histogram(m, cell int) []int64 {
	g := c.gauges[m]
	n := len(g.spec.Edges) + 1
	return slices.Clone(g.buckets[cell*n : (cell+1)*n])
}

// Subjects gives how many distinct subjects have a row in the cell; 0 without a subject.
func (c *Cube) Subjects(cell int) int64 {
	if c.pairs == nil {
		return 0
	}
	return int64(len(c.pairs.of(cell)))
}

// Contributions tells how the rows (RowCount) or the sum of measure m are shared out
// among the cell's subjects. Largest is empty, and for a measure Total is 0, where the specification
// did not ask for it by Largest and Sum. It takes time in proportion to the cell's subjects.
func (c *Cube) Contributions(m, cell int) Contributions {
	j := -1
	if m != RowCount {
		j = c.sumOf[m]
	}
	if c.pairs == nil || m != RowCount && j < 0 {
		return Contributions{}
	}
	return c.pairs.contributions(cell, j, c.largest)
}

// Account tells where the rows went that the source gave. A row that is dropped is
// counted once: for its first dimension without a code.
type Account struct {
	Read      int64
	Filtered  int64 // did not satisfy the filter
	NoSubject int64
	Null      []int64 // by axis of the cube that Run gave
	Other     []int64
	Clamped   []int64 // values, by measure, of rows in cells and before a Bound
	Unreal    []int64 // NaN and infinite values taken for nulls, likewise
}

// Account gives the account, also of a cube that was rolled up.
func (c *Cube) Account() Account {
	t := &c.tally
	a := Account{Read: t.read, Filtered: t.filtered, NoSubject: t.noSubject,
		Null: t.null[:], Other: t.other[:]}
	for _, g := range c.gauges {
		a.Clamped, a.Unreal = append(a.Clamped, g.clamped), append(a.Unreal, g.unreal)
	}
	a.Null, a.Other = slices.Clone(a.Null[:t.dimensions]), slices.Clone(a.Other[:t.dimensions])
	return a
}

// Rollup gives the margin over the axes kept, in that order: what Run would have given
// for these dimensions over the same rows. Distinct subjects and contributions are
// counted again and not added. It panics if an axis is out of range or named twice.
func (c *Cube) Rollup(keep ...int) *Cube {
	out := &Cube{cells: 1, sumOf: c.sumOf, subjects: c.subjects, largest: c.largest, tally: c.tally}
	strides := make([]int, len(c.axes))
	for i, d := range slices.Backward(keep) {
		if slices.Contains(keep[:i], d) {
			panic("columnar: Rollup names an axis twice")
		}
		strides[d] = out.cells
		out.cells *= len(c.axes[d].codes)
	}
	for _, d := range keep {
		out.axes = append(out.axes, c.axes[d])
	}
	to := make([]uint32, c.cells+1)
	for cell := range c.cells {
		for d, at := range c.Position(cell) {
			to[cell] += uint32(at * strides[d])
		}
	}
	to[c.cells] = uint32(out.cells)
	out.rows = make([]int64, out.cells+1)
	for cell, n := range c.rows {
		out.rows[to[cell]] += n
	}
	for _, g := range c.gauges {
		r := newGaugeReader(g.gauge, out.cells)
		r.merge(g, to)
		r.finish()
		out.gauges = append(out.gauges, r)
	}
	if c.pairs != nil {
		out.pairs = newPairs(c.pairs.width)
		out.pairs.merge(c.pairs, to, nil)
		out.pairs.sort(out.cells)
	}
	return out
}
