package cells

import (
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/noise"
)

// A vector is what is noised: a figure per finest cell, or per cell and bin.
type vector struct {
	kind     kind
	column   string
	real     bool   // the column is of floating-point numbers
	field    *field // of sums and squares
	edges    []columnar.Value
	weight   int // the largest share of the measures that rest on it
	measures []string

	// row is the most by which one row of a subject changes one figure, and no row
	// changes two. A subject has at most Rows of them: it changes the vector by at most
	// Rows · row in the Euclidean norm, and in the sum of magnitudes.
	row   int64
	rho   noise.Rho
	noise noise.Variance
	at    int // the measure of the cube that counts it; −1: rows
}

type kind uint8

const (
	rowCount   kind = iota // rows
	valueCount             // values that are not null
	sums
	squares
	buckets // of a histogram: bins, outside, nulls
)

func (v *vector) String() string {
	switch v.kind {
	case valueCount:
		return "values of " + v.column
	case sums:
		return "sum of " + v.column
	case squares:
		return "squares of " + v.column
	case buckets:
		return "histogram of " + v.column
	}
	return "numbers of rows"
}

// width is how many figures a cell has.
func (v *vector) width() int {
	if v.kind == buckets {
		return len(v.edges) + 1 // bins, outside, nulls
	}
	return 1
}

func (v *vector) decimals() int {
	switch v.kind {
	case sums:
		return v.field.decimals
	case squares:
		return 2 * v.field.decimals
	}
	return 0
}

// vectors lists what the measures rest on, each once, and by plan measure in which
// order: the count, then the sum, then the squares.
func vectors(p *Plan, schema *arrow.Schema) (out []*vector, of [][]int, err error) {
	all, fieldOf, err := fields(p, schema)
	if err != nil {
		return nil, nil, err
	}
	for i := range p.Measures {
		m := &p.Measures[i]
		var need []*vector
		counted := &vector{kind: rowCount, row: 1}
		if m.Column != "" && !required(schema, m.Column) {
			counted = &vector{kind: valueCount, column: m.Column, row: 1}
		}
		var f *field
		if fieldOf[i] >= 0 {
			f = all[fieldOf[i]]
		}
		switch m.Is {
		case IsCount:
			need = []*vector{counted}
		case IsHistogram:
			need = []*vector{{kind: buckets, column: m.Column, edges: m.Edges, row: 1}}
		case IsSum:
			need = []*vector{newSums(f)}
		case IsMean:
			need = []*vector{counted, newSums(f)}
		case IsVariance:
			need = []*vector{counted, newSums(f), {kind: squares, column: f.column, field: f}}
		}
		var places []int
		for _, v := range need {
			v.real = isReal(schema, v.column)
			j := slices.IndexFunc(out, v.same)
			if j < 0 {
				j, out = len(out), append(out, v)
			}
			out[j].weight = max(out[j].weight, m.Share, 1)
			out[j].measures = append(out[j].measures, m.Name)
			places = append(places, j)
		}
		of = append(of, places)
	}
	if p.Privacy.Threshold > 0 && !slices.ContainsFunc(out, (&vector{kind: rowCount}).same) {
		out = append(out, &vector{kind: rowCount, row: 1, weight: 1})
	}
	return out, of, nil
}

func newSums(f *field) *vector {
	return &vector{kind: sums, column: f.column, field: f, row: max(1, f.largest())}
}

func (v *vector) same(w *vector) bool {
	return v.kind == w.kind && v.column == w.column && v.field == w.field && slices.Equal(v.edges, w.edges)
}

// required says that the schema itself excludes nulls; of a floating-point column it
// cannot exclude NaN.
func required(schema *arrow.Schema, column string) bool {
	return !schema.Field(schema.FieldIndices(column)[0]).Nullable && !isReal(schema, column)
}

// divide splits the budget by weight, in whole millionths: what does not divide goes to
// the first vectors, one each. The parts add up to rho.
func divide(rho noise.Rho, out []*vector) error {
	total, left := int64(0), rho
	for _, v := range out {
		total += int64(v.weight)
	}
	for _, v := range out {
		v.rho = noise.Rho(int64(rho) * int64(v.weight) / total)
		left -= v.rho
	}
	for _, v := range out {
		if left > 0 {
			v.rho++
			left--
		}
		if v.rho == 0 {
			return refuse("a budget of %d millionths leaves none for the %s: spend more, or have fewer measures", rho, v)
		}
	}
	return nil
}

// calibrate fixes the vector's noise. Squares are counted in a unit that is large enough
// for the noise to fit; it follows from the bounds alone.
func (v *vector) calibrate(p *Privacy) error {
	if v.kind != squares {
		if err := v.parameter(p); err != nil {
			return refuse("the %s, whose values are up to %d, would need noise beyond 62 bits (%w): declare narrower bounds, fewer decimals, fewer rows of a subject, or spend more", v, v.row, err)
		}
		return nil
	}
	square := new(big.Int).Mul(big.NewInt(v.field.largest()), big.NewInt(v.field.largest()))
	for v.field.shift = 0; ; v.field.shift++ {
		row := new(big.Int).Rsh(square, v.field.shift)
		v.row = 1
		if !row.IsInt64() {
			continue
		}
		v.row = max(1, row.Int64())
		if err := v.parameter(p); err == nil || v.row == 1 {
			return err
		}
	}
}

func (v *vector) parameter(p *Privacy) (err error) {
	most := new(big.Int).Mul(big.NewInt(int64(p.Rows)), big.NewInt(v.row))
	if p.Mechanism == MechanismLaplace {
		v.noise, err = noise.LaplaceFor(v.rho, most)
	} else {
		v.noise, err = noise.GaussianFor(v.rho, most.Mul(most, most))
	}
	return err
}

// draw adds noise to every figure. Figures and noise are first clamped to 61 bits: that
// is a function of each alone, which moves no two figures further apart.
func (v *vector) draw(s *noise.Sampler, p *Privacy, exact []int64) ([]int64, error) {
	out := make([]int64, len(exact))
	for i, x := range exact {
		var n int64
		var err error
		if p.Mechanism == MechanismLaplace {
			n, err = s.Laplace(v.noise.Num, v.noise.Den)
		} else {
			n, err = s.Gaussian(v.noise.Num, v.noise.Den)
		}
		if err != nil {
			return nil, fmt.Errorf("drawing noise: %w", err)
		}
		out[i] = bounded(x) + bounded(n)
	}
	return out, nil
}

const farthest = 1 << 61 // of a figure in a vector

func bounded(v int64) int64 { return min(max(v, -farthest), farthest) }

// halfWidth is within what the noise of a figure stays with this probability, rounded up:
// from the continuous distribution's quantile q. The discrete one has no more
// beyond ⌈q⌉: for a Gaussian by CKS 2020, proposition 25; for Laplace noise outside ±w
// is 2e^(−(w+1)/b)/(1+e^(−1/b)) ≤ e^(−w/b).
func (v *vector) halfWidth(mechanism string, probability float64) int64 {
	var q float64
	if mechanism == MechanismLaplace {
		q = -v.noise.Float() * math.Log1p(-probability)
	} else {
		q = math.Sqrt(v.noise.Float()) * math.Sqrt2 * math.Erfinv(probability)
	}
	return int64(min(math.Ceil(q), farthest))
}

func (v *vector) deviation(mechanism string) float64 {
	if mechanism == MechanismLaplace {
		return v.noise.Float() * math.Sqrt2
	}
	return math.Sqrt(v.noise.Float())
}

// widened is ⌈√n · half⌉, the half width of a sum of n independent figures: exact for
// a Gaussian, and on the safe side for Laplace noise, whose quantiles relative to the
// deviation come down to a Gaussian's.
func widened(half int64, n int) int64 {
	square := new(big.Int).Mul(big.NewInt(half), big.NewInt(half))
	square.Mul(square, big.NewInt(int64(n)))
	root := new(big.Int).Sqrt(square)
	if new(big.Int).Mul(root, root).Cmp(square) < 0 {
		root.Add(root, big.NewInt(1))
	}
	if !root.IsInt64() {
		return farthest
	}
	return min(root.Int64(), farthest)
}
