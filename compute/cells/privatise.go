package cells

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/noise"
)

// Privatise publishes under differential privacy: what it spends is Privacy.Rho of
// zCDP for one subject added or removed, where a subject is a value of Plan.Subject.
//
// Of every subject at most Privacy.Rows rows count, chosen by a keyed rank of its own
// rows (columnar.Bound); values are clamped to the declared bounds. The figures of the
// finest grouping are noised, each vector of them once, with a part of the budget
// by the measures' shares. All else is a function of what was noised: margins
// are sums of it, means and variances quotients.
//
// The errors are ErrPlan and columnar's of the specification, before a row is read;
// then those of the source, of ctx and of the randomness. None depends on a row's
// values: nulls, NaN and codes outside the declared ones are kept or dropped by rule,
// and figures that are too large are clamped.
//
// random is crypto/rand where it is nil; another is for tests. The key is secret, and
// the release depends on rows, key and random alone: not on the rows' order, the
// batches or the workers.
func Privatise(ctx context.Context, plan *Plan, source columnar.Source, key [32]byte, random io.Reader, workers int) (*Release, error) {
	p, err := newPrivatiser(ctx, plan, source.Schema)
	if err != nil {
		return nil, err
	}
	exact, err := p.exact(ctx, source, key, workers)
	if err != nil {
		return nil, err
	}
	noised, err := p.perturb(random, exact)
	if err != nil {
		return nil, err
	}
	r := p.release()
	r.Table = p.publish(noised, noised)
	return r, nil
}

// Foresee says what Privatise would publish and spend, from the plan and the schema
// alone: the release without its table.
func Foresee(ctx context.Context, plan *Plan, schema *arrow.Schema) (*Release, error) {
	p, err := newPrivatiser(ctx, plan, schema)
	if err != nil {
		return nil, err
	}
	return p.release(), nil
}

// privatiser is a plan that was checked, with everything fixed that does not depend on
// rows.
type privatiser struct {
	*form
	plan    *Plan
	vectors []*vector
	parts   [][]int // by plan measure: its vectors
	rows    int     // the vector of rows, or −1
	spec    columnar.Spec
}

func newPrivatiser(ctx context.Context, plan *Plan, schema *arrow.Schema) (*privatiser, error) {
	if plan.Privacy == nil {
		return nil, refuse("no privacy is declared")
	}
	if err := plan.check(schema); err != nil {
		return nil, err
	}
	pr := plan.Privacy
	switch {
	case pr.Rho < 1 || pr.Rho > noise.MaxRho:
		return nil, refuse("a budget of %d millionths of rho: from 1 to %d", pr.Rho, int64(noise.MaxRho))
	case pr.Mechanism != MechanismGaussian && pr.Mechanism != MechanismLaplace:
		return nil, refuse("there is no mechanism %q: gaussian or laplace", pr.Mechanism)
	case pr.Rows < 1 || pr.Rows > columnar.MaxBoundRows:
		return nil, refuse("%d rows of a subject: from 1 to %d", pr.Rows, columnar.MaxBoundRows)
	case pr.Threshold < 0 || pr.Threshold > MaxValue:
		return nil, refuse("a threshold of %d", pr.Threshold)
	}
	p := &privatiser{plan: plan}
	var err error
	if p.vectors, p.parts, err = vectors(plan, schema); err != nil {
		return nil, err
	}
	p.rows = slices.IndexFunc(p.vectors, (&vector{kind: rowCount}).same)
	if err := divide(pr.Rho, p.vectors); err != nil {
		return nil, err
	}
	for _, v := range p.vectors {
		if err := v.calibrate(pr); err != nil {
			return nil, err
		}
	}
	p.specify()
	// Over no rows: all that columnar refuses, and the codes, which are declared.
	nothing := columnar.Source{Schema: schema, Scan: func(context.Context, func(arrow.Record) error) error { return nil }}
	cube, err := columnar.Run(ctx, &p.spec, p.derive(nothing), 1)
	if err != nil {
		return nil, err
	}
	if p.form, err = newForm(plan, codesOf(cube), schema); err != nil {
		return nil, err
	}
	return p, p.widths()
}

func codesOf(cube *columnar.Cube) (out [][]columnar.Code) {
	for _, a := range cube.Axes() {
		out = append(out, a.Codes)
	}
	return out
}

// specify makes the cube's specification: a measure for each column that is counted,
// summed or squared.
func (p *privatiser) specify() {
	p.spec = columnar.Spec{Filter: p.plan.Filter, Subject: p.plan.Subject, MaxCells: p.plan.MaxCells,
		Bound: &columnar.Bound{Rows: p.plan.Privacy.Rows}}
	for _, d := range p.plan.Dimensions {
		p.spec.Dimensions = append(p.spec.Dimensions, d.Dimension)
	}
	for _, v := range p.vectors {
		m := columnar.Measure{Column: v.column, Edges: v.edges}
		switch v.kind {
		case rowCount:
			v.at = -1
			continue
		case sums:
			m = columnar.Measure{Column: v.field.unitsOf(), Want: columnar.Sum, Bounds: v.field.clamps()}
		case squares:
			m = columnar.Measure{Column: v.field.squaresOf(), Want: columnar.Sum, Bounds: &[2]columnar.Value{columnar.Int(0), columnar.Int(v.row)}}
		case valueCount, buckets:
			m.Bounds = v.widest()
		}
		v.at = len(p.spec.Measures)
		p.spec.Measures = append(p.spec.Measures, m)
	}
}

// widest is a clamp that changes no number, for what is only counted: columnar asks for
// one.
func (v *vector) widest() *[2]columnar.Value {
	if v.real {
		return &[2]columnar.Value{columnar.Float(-math.MaxFloat64), columnar.Float(math.MaxFloat64)}
	}
	return &[2]columnar.Value{columnar.Int(math.MinInt64), columnar.Int(math.MaxInt64)}
}

func (p *privatiser) derive(source columnar.Source) columnar.Source {
	for _, v := range p.vectors {
		if v.field != nil {
			source = v.field.derive(source, v.kind == squares)
		}
	}
	return source
}

// widths fills in the half widths of the figures that were noised directly.
func (p *privatiser) widths() error {
	for g := range p.groups {
		p.groups[g].HalfWidths = make([]int64, len(p.measures))
	}
	for i, m := range p.measures {
		v := p.direct(i)
		if v == nil {
			continue
		}
		h := outward(v.halfWidth(p.plan.Privacy.Mechanism, 0.95), v.decimals(), m.Decimals)
		if h > MaxValue/2 {
			return refuse("measure %q: its noise is beyond 52 bits: declare narrower bounds or fewer decimals, or spend more", m.Name)
		}
		p.groups[0].HalfWidths[i] = h
	}
	return nil
}

// direct is the vector that measure i is, nil where it is a quotient.
func (p *privatiser) direct(i int) *vector {
	if m := p.measures[i]; m.Is == IsMean || m.Is == IsVariance {
		return nil
	}
	return p.vectors[p.parts[p.of[i]][0]]
}

// exact computes the vectors: nothing of it leaves.
func (p *privatiser) exact(ctx context.Context, source columnar.Source, key [32]byte, workers int) ([][]int64, error) {
	spec := p.spec
	spec.Bound = &columnar.Bound{Rows: p.plan.Privacy.Rows, Key: key}
	cube, err := columnar.Run(ctx, &spec, p.derive(source), workers)
	if err != nil {
		return nil, fmt.Errorf("computing the cells: %w", err)
	}
	out := make([][]int64, len(p.vectors))
	for i, v := range p.vectors {
		for cell := range cube.Cells() {
			out[i] = append(out[i], v.figures(cube, cell)...)
		}
	}
	return out, nil
}

// figures are the vector's of one cell.
func (v *vector) figures(cube *columnar.Cube, cell int) []int64 {
	switch v.kind {
	case rowCount:
		return []int64{cube.Rows(cell)}
	case valueCount:
		return []int64{cube.Count(v.at, cell)}
	case buckets:
		return binned(cube, v.at, cell)
	}
	s := cube.Sum(v.at, cell)
	n, ok := s.Int64()
	if !ok {
		n = math.MaxInt64
		if s.Hi < 0 {
			n = math.MinInt64
		}
	}
	return []int64{n}
}

// binned gives a histogram's bins, what is outside them, and nulls.
func binned(cube *columnar.Cube, m, cell int) []int64 {
	h := cube.Histogram(m, cell)
	last := len(h) - 1
	out := slices.Clone(h[1:last])
	return append(out, h[0]+h[last], cube.Rows(cell)-cube.Count(m, cell))
}

// perturb adds the noise, once, in the order of the vectors and their figures.
func (p *privatiser) perturb(random io.Reader, exact [][]int64) ([][]int64, error) {
	sampler := noise.New(random)
	out := make([][]int64, len(exact))
	for i, v := range p.vectors {
		var err error
		if out[i], err = v.draw(sampler, p.plan.Privacy, exact[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// release is all of it but the table.
func (p *privatiser) release() *Release {
	r := &Release{Axes: p.axes, Groups: p.groups, Measures: p.measures}
	for _, n := range p.cells {
		r.Report.Cells += n
	}
	for _, v := range p.vectors {
		mechanism := p.plan.Privacy.Mechanism
		r.Report.Noise = append(r.Report.Noise, Noise{Of: v.String(), Measures: v.measures, Rho: v.rho,
			Deviation: v.deviation(mechanism), HalfWidth: v.halfWidth(mechanism, 0.95), Decimals: v.decimals()})
	}
	return r
}
