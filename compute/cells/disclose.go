package cells

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/disclosure"
)

// Earlier is what was published before over the same data, under disclosure control
// too. Its own axes say which codes were learned then.
type Earlier struct {
	Plan  *Plan
	Axes  []Axis
	Table *Table
}

// Disclose publishes under disclosure control. A cell has one status for all measures
// in it: it is released if everything that its measures tell of it is, next to
// all that is released elsewhere and was before (disclosure.Protect, whose promises and
// limits are these):
//
//   - rows, values that are not null, and a histogram's bins, as counts of rows. A
//     mean, a variance and an extreme tell the number of values too;
//   - sums; a mean and a variance tell the sum. Negative values are refused;
//   - sums of squares, of a variance, each rounded down to a unit that is small
//     against the total.
//
// The cohort of what is told of a column is the subjects that have a value there. A
// minimum or maximum is one row's value: that a cell is released says that its
// cohort is large enough, and no more. Published values are exact but for decimals: the
// check counts on no rounding. A mean, variance or extreme of no values is zero,
// or what is next to it in the declared range.
//
// The same rows give the same release, whatever their order, the batches and the
// workers. ErrPlan refuses the plan, ErrData the data with a count, and the errors of
// disclosure what cannot be checked or protected. What is learned of the data by
// a refusal is for the operator.
func Disclose(ctx context.Context, plan *Plan, source columnar.Source, earlier []Earlier, workers int) (*Release, error) {
	if plan.Disclosure == nil {
		return nil, refuse("no disclosure control is declared")
	}
	if err := plan.check(source.Schema); err != nil {
		return nil, err
	}
	d, err := countRaw(ctx, plan, source, workers)
	if err != nil {
		return nil, err
	}
	before := make([]*view, len(earlier))
	for i, e := range earlier {
		if before[i], err = newView(&e, plan, source.Schema); err != nil {
			return nil, fmt.Errorf("earlier publication %d: %w", i, err)
		}
	}
	suppressed, err := d.protect(ctx, source, before, workers)
	if err != nil {
		return nil, err
	}
	r := &Release{Axes: d.axes, Groups: d.groups, Measures: d.measures, Report: d.report}
	r.Table, err = d.publish(suppressed, &r.Report)
	return r, err
}

// raw is the cube of a plan under disclosure control. Nothing of it is checked yet.
type raw struct {
	*form
	plan    *Plan
	fields  []*field
	fieldOf []int // by plan measure
	cube    *columnar.Cube
	at      []int // by plan measure: of the cube's measures, the one it is read from; −1: rows
	report  Report
}

func countRaw(ctx context.Context, plan *Plan, source columnar.Source, workers int) (*raw, error) {
	d := &raw{plan: plan}
	var err error
	if d.fields, d.fieldOf, err = fields(plan, source.Schema); err != nil {
		return nil, err
	}
	for i, f := range d.fields {
		for j, g := range d.fields[:i] {
			if f.column == g.column && f.summed(plan, d.fieldOf, i) && g.summed(plan, d.fieldOf, j) {
				return nil, refuse("column %q is summed with two bounds: declare the same, so that the sums can be protected together", f.column)
			}
		}
	}
	spec := columnar.Spec{Filter: plan.Filter, Subject: plan.Subject, MaxCells: plan.MaxCells}
	for _, dim := range plan.Dimensions {
		spec.Dimensions = append(spec.Dimensions, dim.Dimension)
	}
	derived := source
	for _, f := range d.fields {
		derived = f.derive(derived, false)
		spec.Measures = append(spec.Measures, columnar.Measure{Column: f.unitsOf(), Bounds: f.clamps(),
			Want: columnar.Sum | columnar.Squares | columnar.Extremes, Edges: []columnar.Value{columnar.Int(0)}})
	}
	for i := range plan.Measures {
		m := &plan.Measures[i]
		at := d.fieldOf[i]
		if m.Column != "" && at < 0 {
			at = len(spec.Measures)
			spec.Measures = append(spec.Measures, columnar.Measure{Column: m.Column, Edges: m.Edges})
		}
		d.at = append(d.at, at)
	}
	for _, f := range d.fields {
		if f.real { // so that what is not finite is refused with its number
			spec.Measures = append(spec.Measures, columnar.Measure{Column: f.column})
		}
	}
	if d.cube, err = columnar.Run(ctx, &spec, derived, workers); err != nil {
		return nil, err
	}
	for i, a := range d.cube.Axes() {
		if len(a.Codes) == 0 {
			return nil, fmt.Errorf("%w: dimension %q has no codes to learn: its column is null in all rows", ErrData, plan.Dimensions[i].Name)
		}
	}
	if d.form, err = newForm(plan, codesOf(d.cube), source.Schema); err != nil {
		return nil, err
	}
	d.tell()
	return d, d.checkValues()
}

// tell reports where the rows went.
func (d *raw) tell() {
	a := d.cube.Account()
	d.report.Rows = Rows{Read: a.Read, Filtered: a.Filtered, NoSubject: a.NoSubject, Null: a.Null, Other: a.Other}
	for _, n := range a.Clamped {
		d.report.Rows.Clamped += n
	}
	for _, n := range d.cells {
		d.report.Cells += n
	}
}

// checkValues refuses values that no sum can be protected with, and fixes the unit of
// squares.
func (d *raw) checkValues() error {
	for i, f := range d.fields {
		negative, squares := int64(0), new(big.Int)
		for cell := range d.cube.Cells() {
			negative += d.cube.Histogram(i, cell)[0]
			squares.Add(squares, d.cube.Squares(i, cell))
			low, high, ok := d.cube.Extremes(i, cell)
			if ok && (low.Any().(int64) <= -MaxValue || high.Any().(int64) >= MaxValue) {
				return fmt.Errorf("%w: column %q has values beyond 53 bits: declare bounds or fewer decimals", ErrData, f.column)
			}
		}
		if negative > 0 && f.summed(d.plan, d.fieldOf, i) {
			return fmt.Errorf("%w: %d values of column %q are negative, and sums are protected of others only: declare a lower bound of 0, filter them, or leave the measure out", ErrData, negative, f.column)
		}
		for squares.BitLen() > 45 { // at most disclosure.MaxValue
			squares.Rsh(squares, 1)
			f.shift++
		}
	}
	return nil
}

// summed says whether a measure adds the field up.
func (f *field) summed(plan *Plan, fieldOf []int, field int) bool {
	for i, m := range plan.Measures {
		if fieldOf[i] == field && m.tellsSum() {
			return true
		}
	}
	return false
}

func (m *PlanMeasure) tellsSum() bool { return m.Is == IsSum || m.Is == IsMean || m.Is == IsVariance }

// tellsValues says whether a measure tells how many values its column has.
func (m *PlanMeasure) tellsValues() bool {
	return m.Column != "" && (m.Is == IsCount || m.Is == IsMean || m.Is == IsVariance || m.Is == IsMin || m.Is == IsMax)
}

// tellsRows says whether a measure tells how many rows there are.
func (m *PlanMeasure) tellsRows() bool {
	return m.Is == IsHistogram || m.Is == IsCount && m.Column == ""
}

// publish writes the figures of the cells that are not suppressed.
func (d *raw) publish(suppressed [][]disclosure.Rule, report *Report) (*Table, error) {
	t := d.table(false)
	outside := make([]int, len(d.measures))
	for g := range d.groups {
		sums := d.margin(g)
		for cell, rule := range suppressed[g] {
			switch rule {
			case disclosure.None:
				report.Released++
			case disclosure.Cohort:
				report.Cohort++
			case disclosure.Dominance:
				report.Dominance++
			case disclosure.Percent:
				report.Percent++
			default:
				report.Complementary++
			}
			if rule != disclosure.None {
				continue
			}
			t.Groups[g].Status[cell] = Released
			if sums[cell] == nil {
				report.Empty++
			}
			for i := range d.measures {
				value, ok := d.figure(i, sums[cell])
				low, high := published(&d.measures[i])
				if !ok {
					value = big.NewInt(min(max(0, low), high))
				}
				v := within(value, MaxValue)
				if g > 0 { // the range is declared of the finest grouping
					low, high = -MaxValue, MaxValue
				}
				if value.CmpAbs(big.NewInt(MaxValue)) > 0 || v < low || v > high {
					outside[i]++
				}
				t.Groups[g].Values[i][cell] = v
			}
		}
	}
	var refused []error
	for i, n := range outside {
		if n > 0 {
			low, high := published(&d.measures[i])
			refused = append(refused, fmt.Errorf("%w: measure %q: %d cells are outside [%d, %d], which is declared or what weights can take: declare another range, scale or offset", ErrData, d.measures[i].Name, n, low, high))
		}
	}
	return t, errors.Join(refused...)
}

// total is what is known of a cell of any grouping, by measure of the cube.
type total struct {
	rows         int64
	count        []int64
	sum, squares []*big.Int
	low, high    []int64
	bins         [][]int64
}

// nothing is the total of no rows.
func (d *raw) nothing() *total {
	n := len(d.at)
	t := &total{count: make([]int64, n), sum: make([]*big.Int, n), squares: make([]*big.Int, n),
		low: make([]int64, n), high: make([]int64, n), bins: make([][]int64, n)}
	for j := range n {
		t.sum[j], t.squares[j] = new(big.Int), new(big.Int)
		t.low[j], t.high[j] = math.MaxInt64, math.MinInt64
		t.bins[j] = make([]int64, len(bins(&d.plan.Measures[j])))
	}
	return t
}

// margin adds the finest cells up; a cell without rows stays nil.
func (d *raw) margin(g int) []*total {
	out := make([]*total, d.cells[g])
	for cell, to := range d.to[g] {
		if d.cube.Rows(cell) == 0 {
			continue
		}
		if out[to] == nil {
			out[to] = d.nothing()
		}
		t := out[to]
		t.rows += d.cube.Rows(cell)
		for j, at := range d.at {
			if at < 0 {
				continue
			}
			t.count[j] += d.cube.Count(at, cell)
			switch {
			case d.plan.Measures[j].Is == IsHistogram:
				for k, x := range binned(d.cube, at, cell) {
					t.bins[j][k] += x
				}
			case d.fieldOf[j] >= 0:
				t.sum[j].Add(t.sum[j], d.cube.Sum(at, cell).Big())
				t.squares[j].Add(t.squares[j], d.cube.Squares(at, cell))
				if low, high, ok := d.cube.Extremes(at, cell); ok {
					t.low[j], t.high[j] = min(t.low[j], low.Any().(int64)), max(t.high[j], high.Any().(int64))
				}
			}
		}
	}
	return out
}

// figure is a measure in its units; false for a quotient or an extreme of no values.
func (d *raw) figure(i int, t *total) (*big.Int, bool) {
	if t == nil {
		return new(big.Int), d.measures[i].addsUp()
	}
	j, m := d.of[i], &d.measures[i]
	n := big.NewInt(t.count[j])
	switch m.Is {
	case IsCount:
		if m.Column == "" {
			return big.NewInt(t.rows), true
		}
		return n, true
	case IsHistogram:
		return big.NewInt(t.bins[j][d.bin(i)]), true
	}
	unit := d.fields[d.fieldOf[j]].decimals
	if m.Is == IsSum {
		return rescale(t.sum[j], unit, m.Decimals), true
	}
	if n.Sign() == 0 {
		return nil, false
	}
	switch m.Is {
	case IsMin:
		return rescale(big.NewInt(t.low[j]), unit, m.Decimals), true
	case IsMax:
		return rescale(big.NewInt(t.high[j]), unit, m.Decimals), true
	case IsMean:
		return rounded(new(big.Rat).SetFrac(t.sum[j], n), unit, m.Decimals), true
	}
	// (n Σv² − (Σv)²) / n²
	top := new(big.Int).Mul(n, t.squares[j])
	top.Sub(top, new(big.Int).Mul(t.sum[j], t.sum[j]))
	return rounded(new(big.Rat).SetFrac(top, new(big.Int).Mul(n, n)), 2*unit, m.Decimals), true
}

// bin is the place of a measure among the bins of its histogram.
func (f *form) bin(i int) int {
	first := i
	for first > 0 && f.of[first-1] == f.of[i] {
		first--
	}
	return i - first
}

// parseLabel reads the label of a code back.
func parseLabel(schema *arrow.Schema, column, label string) (columnar.Value, error) {
	if !isInteger(schema, column) {
		return columnar.Text(label), nil
	}
	var n int64
	var err error
	switch typeOf(schema, column).ID() {
	case arrow.DATE32:
		var day time.Time
		day, err = time.Parse(time.DateOnly, label)
		n = day.Unix() / secondsPerDay
	case arrow.BOOL:
		if label == "true" {
			n = 1
		} else if label != "false" {
			err = strconv.ErrSyntax
		}
	default:
		n, err = strconv.ParseInt(label, 10, 64)
	}
	if err != nil {
		return columnar.Value{}, fmt.Errorf("%w: %.40q is no code of column %q", ErrPlan, label, column)
	}
	return columnar.Int(n), nil
}
