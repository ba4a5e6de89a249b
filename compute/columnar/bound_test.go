package columnar

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// With a Bound, what a caller sees before it looks at a number is a function of the
// specification alone: whether there is a cube or a refusal, its axes and units. Data
// of every kind that could trip a cube is tried: nulls, strays, NaN and infinities, the
// extremes, one subject with all rows, rows without a subject, no rows at all.
func TestBoundedFormIsOfTheSpecification(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, l := drawSpec(t), drawLayout(t)
		s.Subject, s.Bound = rapid.SampledFrom([]string{"id", "name"}).Draw(t, "whose"), &Bound{Rows: 2}
		none, refusal := Run(context.Background(), s, l.source(nil), 1)
		rows := drawRows(t, 30)
		wild := []any{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, nil}
		wide := []any{int64(math.MaxInt64), int64(math.MinInt64), nil}
		for i, r := range rows {
			r[4], r[3] = wild[i%len(wild)], wide[i%len(wide)]
		}
		c, err := Run(context.Background(), s, l.source(rows, len(rows)/2), rapid.IntRange(1, 2).Draw(t, "workers"))
		if refusal != nil {
			if !errors.Is(refusal, ErrSpec) || err == nil || err.Error() != refusal.Error() {
				t.Fatalf("without rows %v, with rows %v", refusal, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("refused by data: %v", err)
		}
		if c.Cells() != none.Cells() || !reflect.DeepEqual(c.Axes(), none.Axes()) {
			t.Fatalf("cells %d of %v, without rows %d of %v", c.Cells(), c.Axes(), none.Cells(), none.Axes())
		}
		for m := range s.Measures {
			if c.Unit(m) != none.Unit(m) {
				t.Fatalf("measure %d counts in %g, without rows in %g", m, c.Unit(m), none.Unit(m))
			}
		}
	})
}

// Sums of bounded contributions at the ends of 64 bits do not refuse or wrap.
func TestBoundedExtremes(t *testing.T) {
	var rows [][]any
	for i := range 3 * blockRows {
		rows = append(rows, []any{"a", "1", nil, int64(math.MaxInt64), math.Inf(1 - 2*(i%2)), int64(i), "x"})
	}
	rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	s := &Spec{Subject: "id", Bound: &Bound{Rows: 1}, Measures: []Measure{
		{Column: "income", Want: Sum | Squares, Bounds: &[2]Value{Int(math.MinInt64), Int(math.MaxInt64)}},
		{Column: "rate", Want: Sum, Bounds: &[2]Value{Float(-math.MaxFloat64), Float(math.MaxFloat64)}},
		{Column: "age", Want: Sum, Bounds: &[2]Value{Int(1), Int(2)}}}}
	agree(t, s, plainLayout, rows, plainLayout.source(rows, 7), 2)
}
