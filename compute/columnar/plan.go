package columnar

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
)

// MaxMemory bounds one worker's accumulators, in bytes.
const MaxMemory = 4 << 30

// plan is a specification that was checked against a schema.
type plan struct {
	spec       *Spec
	names      []string // the columns in use
	kinds      []kind
	at         []int // their places in the schema
	axes       []*axis
	conditions []*condition
	gauges     []*gauge
	subject    int // its column in use, or -1
	cells      int

	// Sums by subject: how many, and each measure's place among them, or -1.
	summed int
	sumOf  []int

	learn [][]Value // by dimension
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrSpec, fmt.Errorf(format, args...))
}

func newPlan(s *Spec, schema *arrow.Schema) (*plan, error) {
	p := &plan{spec: s, subject: -1}
	if err := p.checkSizes(); err != nil {
		return nil, err
	}
	for i := range s.Dimensions {
		if err := p.checkDimension(&s.Dimensions[i], schema); err != nil {
			return nil, err
		}
	}
	for i := range s.Filter {
		c, err := p.condition(&s.Filter[i], schema)
		if err != nil {
			return nil, err
		}
		p.conditions = append(p.conditions, c)
	}
	for i := range s.Measures {
		m := &s.Measures[i]
		col, k, err := p.use(schema, m.Column)
		if err != nil {
			return nil, err
		}
		if err := p.checkMeasure(m, k); err != nil {
			return nil, err
		}
		p.gauges = append(p.gauges, newGauge(m, col, k))
		p.sumOf = append(p.sumOf, -1)
		if s.Largest > 0 && m.Want&Sum != 0 {
			p.sumOf[i] = p.summed
			p.summed++
		}
	}
	if s.Subject != "" {
		col, k, err := p.use(schema, s.Subject)
		if err != nil {
			return nil, err
		}
		if k == floating {
			return nil, refuse("subject %q is a floating-point column", s.Subject)
		}
		p.subject = col
	}
	return p, nil
}

// use takes a column of the schema into use.
func (p *plan) use(schema *arrow.Schema, name string) (int, kind, error) {
	if i := slices.Index(p.names, name); i >= 0 {
		return i, p.kinds[i], nil
	}
	at := schema.FieldIndices(name)
	if len(at) != 1 {
		return 0, 0, refuse("the schema has %d columns %q", len(at), name)
	}
	t := schema.Field(at[0]).Type
	k := kindOf(t)
	if k == 0 {
		return 0, 0, refuse("column %q is of a type that is not read: %s", name, t)
	}
	p.names, p.kinds, p.at = append(p.names, name), append(p.kinds, k), append(p.at, at[0])
	return len(p.names) - 1, k, nil
}

func (p *plan) checkSizes() error {
	s := p.spec
	switch {
	case len(s.Dimensions) > MaxDimensions:
		return refuse("%d dimensions, at most %d", len(s.Dimensions), MaxDimensions)
	case len(s.Measures) > MaxMeasures:
		return refuse("%d measures, at most %d", len(s.Measures), MaxMeasures)
	case s.MaxCells < 0 || s.MaxCells > LimitCells:
		return refuse("MaxCells %d is not from 0 to %d", s.MaxCells, LimitCells)
	case s.Largest < 0 || s.Largest > MaxLargest:
		return refuse("%d largest contributions, from 0 to %d", s.Largest, MaxLargest)
	case s.Subject == "" && (s.Largest > 0 || s.Bound != nil):
		return refuse("largest contributions and a bound need a subject")
	case s.Bound != nil && (s.Bound.Rows < 1 || s.Bound.Rows > MaxBoundRows):
		return refuse("a bound of %d rows, from 1 to %d", s.Bound.Rows, MaxBoundRows)
	}
	return nil
}

func (p *plan) checkDimension(d *Dimension, schema *arrow.Schema) error {
	given := 0
	for _, g := range []bool{len(d.Codes) > 0, len(d.Edges) > 0, d.Learn != 0, len(d.Where) > 0} {
		if g {
			given++
		}
	}
	if given != 1 {
		return refuse("dimension %q: give one of codes, edges, conditions, and how many codes to learn", d.name())
	}
	if len(d.Where) > 0 {
		return p.checkWhere(d, schema)
	}
	col, k, err := p.use(schema, d.Column)
	if err != nil {
		return err
	}
	switch {
	case d.Null > Drop || d.Other > Drop:
		return refuse("dimension %q: no such rule", d.Column)
	case d.Prefix < 0 || d.Prefix > 0 && k != text:
		return refuse("dimension %q: a prefix of %d characters, and its column is %s", d.Column, d.Prefix, k)
	case d.Learn < 0 || d.Learn > LimitCells:
		return refuse("dimension %q: learn from 1 to %d codes", d.Column, LimitCells)
	case len(d.Edges) == 0 && k == floating:
		return refuse("dimension %q: a floating-point column has edges and not codes", d.Column)
	case len(d.Edges) == 1 || len(d.Edges) > 0 && k == text:
		return refuse("dimension %q: edges are two or more, of a column of numbers", d.Column)
	case p.spec.Bound != nil && d.Learn > 0:
		return refuse("dimension %q: with a bound, codes are declared and not learned", d.Column)
	case p.spec.Bound != nil && (d.Null == Refuse || d.Other == Refuse):
		return refuse("dimension %q: with a bound, nothing may be refused by data: keep or drop", d.Column)
	}
	seen := make(map[Value]bool)
	for _, v := range d.Codes {
		if v.kind != k || seen[v] || prefix(v.s, d.Prefix) != v.s {
			return refuse("dimension %q: code %q is given twice, is longer than the prefix, or is not %s", d.Column, v, k)
		}
		seen[v] = true
	}
	if err := checkEdges(d.Edges, k); err != nil {
		return refuse("dimension %q: %w", d.Column, err)
	}
	p.axes = append(p.axes, &axis{spec: d, col: col})
	return nil
}

// checkWhere makes an axis of conditions.
func (p *plan) checkWhere(d *Dimension, schema *arrow.Schema) error {
	if d.Column != "" || d.Prefix != 0 || d.Null != 0 || d.Other != 0 {
		return refuse("dimension %q: conditions go with no column, prefix or rule of the dimension's own", d.name())
	}
	a := &axis{spec: d, col: -1}
	for i := range d.Where {
		c, err := p.condition(&d.Where[i], schema)
		if err != nil {
			return err
		}
		a.conditions = append(a.conditions, c)
	}
	p.axes = append(p.axes, a)
	return nil
}

// condition takes a comparison into use.
func (p *plan) condition(c *Comparison, schema *arrow.Schema) (*condition, error) {
	col, k, err := p.use(schema, c.Column)
	if err != nil {
		return nil, err
	}
	if err := checkComparison(c, k); err != nil {
		return nil, err
	}
	return newCondition(c, col), nil
}

func checkEdges(edges []Value, k kind) error {
	for i, e := range edges {
		if e.kind != k || math.IsNaN(e.f) || math.IsInf(e.f, 0) {
			return fmt.Errorf("edge %s is not finite, or not %s", e, k)
		}
		if i > 0 && (e.i < edges[i-1].i || e.f < edges[i-1].f || e.i == edges[i-1].i && e.f == edges[i-1].f) {
			return fmt.Errorf("edge %s is not above the one before", e)
		}
	}
	return nil
}

func checkComparison(c *Comparison, k kind) error {
	want := 1
	switch c.Op {
	case In:
		want = len(c.Values)
	case IsNull, NotNull:
		want = 0
	}
	if c.Op < Equal || c.Op > NotNull || len(c.Values) != want {
		return refuse("condition on %q: operator %d with %d values", c.Column, c.Op, len(c.Values))
	}
	for _, v := range c.Values {
		if v.kind != k || v.f != v.f {
			return refuse("condition on %q: %q is not %s", c.Column, v, k)
		}
	}
	return nil
}

func (p *plan) checkMeasure(m *Measure, k kind) error {
	switch {
	case k == text:
		return refuse("measure %q is a text column", m.Column)
	case m.Want >= 2*Extremes:
		return refuse("measure %q: no such quantity", m.Column)
	case len(m.Edges) > MaxBins:
		return refuse("measure %q: %d edges, at most %d", m.Column, len(m.Edges), MaxBins)
	case p.spec.Bound != nil && m.Bounds == nil:
		return refuse("measure %q: with a bound, values need bounds", m.Column)
	case p.spec.Bound != nil && m.Want&Extremes != 0:
		return refuse("measure %q: with a bound there are no extremes", m.Column)
	}
	if err := checkEdges(m.Edges, k); err != nil {
		return refuse("measure %q: %w", m.Column, err)
	}
	if b := m.Bounds; b != nil {
		for _, v := range b {
			if err := checkEdges([]Value{v}, k); err != nil {
				return refuse("measure %q: bounds: %w", m.Column, err)
			}
		}
		if b[0].i > b[1].i || b[0].f > b[1].f {
			return refuse("measure %q: bounds [%s, %s] are empty", m.Column, b[0], b[1])
		}
	}
	return nil
}

// survey learns codes and measures magnitudes, in a scan of its own if any are asked for.
func (p *plan) survey(ctx context.Context, source Source) error {
	p.learn = make([][]Value, len(p.axes))
	s := newSurvey(p)
	if len(s.columns) == 0 {
		return nil
	}
	err := source.Scan(ctx, func(r arrow.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return s.record(r)
	})
	if err != nil {
		return fmt.Errorf("surveying the records: %w", err)
	}
	s.finish()
	return nil
}

// fix counts the cells and places the dimensions in them.
func (p *plan) fix() error {
	limit := p.spec.MaxCells
	if limit == 0 {
		limit = DefaultMaxCells
	}
	cells, most := big.NewInt(1), 0
	for d, a := range p.axes {
		a.fix(d, p.learn[d])
		cells.Mul(cells, big.NewInt(int64(len(a.codes))))
		if len(a.codes) > len(p.axes[most].codes) {
			most = d
		}
	}
	if cells.Cmp(big.NewInt(int64(limit))) > 0 {
		a := p.axes[most]
		return &TooManyCells{Cells: cells.String(), Limit: limit, Dimension: a.spec.name(), Codes: len(a.codes)}
	}
	p.cells = int(cells.Int64())
	stride := uint32(1)
	for _, a := range slices.Backward(p.axes) {
		a.place(stride)
		stride *= uint32(len(a.codes))
	}
	perCell := 8
	for _, g := range p.gauges {
		perCell += 80 + 8*(len(g.spec.Edges)+1)
	}
	if need := int64(perCell) * int64(p.cells); need > MaxMemory {
		return refuse("%d cells need up to %d bytes for each worker, at most %d: have fewer measures, edges or cells", p.cells, need, int64(MaxMemory))
	}
	return nil
}
