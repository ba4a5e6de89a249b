package columnar

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"
)

// FuzzRun has the fuzzer choose specification, data, storage and cuts; what Run gives is
// what the oracle gives.
func FuzzRun(f *testing.F) {
	for seed := range byte(8) {
		b := make([]byte, 2048)
		rand.NewChaCha8([32]byte{seed}).Read(b)
		f.Add(b)
	}
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		s, l, rows := drawSpec(t), drawLayout(t), drawRows(t, 20)
		agree(t, s, l, rows, l.source(rows, len(rows)/2), rapid.IntRange(1, 2).Draw(t, "workers"))
	}))
}

func TestWideIntegers(t *testing.T) {
	edges := []int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, 1 << 32, -1 << 32}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(edges), rapid.Int64())).Draw(t, "values")
		var sum Int128
		var squares uint192
		wantSum, wantSquares := new(big.Int), new(big.Int)
		for _, v := range values {
			sum.add(v)
			squares.addSquare(v)
			b := big.NewInt(v)
			wantSum.Add(wantSum, b)
			wantSquares.Add(wantSquares, new(big.Int).Mul(b, b))
		}
		if sum.Big().Cmp(wantSum) != 0 || squares.big().Cmp(wantSquares) != 0 {
			t.Fatalf("have %s, %s, want %s, %s", sum.Big(), squares.big(), wantSum, wantSquares)
		}
		if v, ok := sum.Int64(); ok != wantSum.IsInt64() || ok && v != wantSum.Int64() {
			t.Fatalf("Int64 of %s: %d, %t", wantSum, v, ok)
		}
		twice := sum
		twice.merge(sum)
		if twice.Big().Cmp(wantSum.Lsh(wantSum, 1)) != 0 || sum.less(twice) != (sum.Big().Sign() > 0) {
			t.Fatalf("twice %s is %s", sum.Big(), twice.Big())
		}
		if twice.abs().Big().Cmp(wantSum.Abs(wantSum)) != 0 {
			t.Fatalf("|%s| is %s", twice.Big(), twice.abs().Big())
		}
	})
}

// Blocks alternate between values that fit narrow sums closely and those that do not:
// the room is used up and flushed many times.
func TestNarrowSumsNeverWrap(t *testing.T) {
	for shift := range 63 {
		v := int64(math.MaxInt64) >> shift
		g := newGaugeReader(newGauge(&Measure{Want: Sum | Squares}, 0, integer), 1)
		packs := newPacks([]*gaugeReader{g}, 1)
		values, cells := filled(blockRows, v), make([]uint32, blockRows)
		const blocks = 100
		for range blocks {
			g.take(cells, &column{kind: integer, ints: values})
			packs[0].accumulate(cells)
			g.accumulate()
		}
		g.finish()
		n := big.NewInt(blocks * blockRows)
		b := big.NewInt(v)
		if want := new(big.Int).Mul(n, b); g.sums[0].Big().Cmp(want) != 0 {
			t.Errorf("%d times %d: %s", n, v, g.sums[0].Big())
		}
		if want := new(big.Int).Mul(n, b.Mul(b, b)); g.squares[0].big().Cmp(want) != 0 {
			t.Errorf("%d times %d²: %s", n, v, g.squares[0].big())
		}
	}
}

// The promise on floating-point sums, against exact rationals, from subnormal numbers to
// the largest; and that the unit is as fine as is said.
func TestFloatingSumIsWithinItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(-1074, 1023).Draw(t, "size")
		parts := rapid.SliceOfN(rapid.Float64Range(-1, 1), 1, 50).Draw(t, "values")
		var rows [][]any
		exact, largest := new(big.Rat), 0.0
		for _, p := range parts {
			v := math.Ldexp(p, size)
			rows = append(rows, []any{"a", "1", int64(1), int64(1), v, int64(1), "x"})
			exact.Add(exact, new(big.Rat).SetFloat64(v))
			largest = max(largest, math.Abs(v))
		}
		s := &Spec{Measures: []Measure{{Column: "rate", Want: Sum}}}
		c, err := Run(context.Background(), s, plainLayout.source(rows), 1)
		if err != nil {
			t.Fatal(err)
		}
		unit := new(big.Rat).SetFloat64(c.Unit(0))
		have := new(big.Rat).SetInt(c.Sum(0, 0).Big())
		off := have.Sub(have.Mul(have, unit), exact)
		bound := new(big.Rat).Mul(unit, big.NewRat(int64(len(parts)), 2))
		if off.Abs(off).Cmp(bound) > 0 {
			t.Fatalf("off by %s, beyond %s", off.FloatString(30), bound.FloatString(30))
		}
		if largest > 0x1p-960 && c.Unit(0) > largest*0x1p-61 {
			t.Fatalf("unit %g for values up to %g", c.Unit(0), largest)
		}
	})
}

// Every operator on every kind of column, with nulls, NaN and infinities among the rows.
func TestOperators(t *testing.T) {
	var rows [][]any
	for i, rate := range []any{nil, math.NaN(), math.Inf(1), math.Inf(-1), 0.0, math.Copysign(0, -1), 1.0, 2.5} {
		age, sector := any(int64(i)), any(string(rune('a'+i)))
		if i == 3 {
			age, sector = nil, nil
		}
		rows = append(rows, []any{sector, "1", age, int64(1), rate, int64(1), "x"})
	}
	for column, value := range map[string]Value{"sector": Text("e"), "age": Int(4), "rate": Float(1)} {
		for op := Equal; op <= NotNull; op++ {
			c := Comparison{Column: column, Op: op, Values: []Value{value}}
			if op == IsNull || op == NotNull {
				c.Values = nil
			}
			agree(t, &Spec{Filter: []Comparison{c}}, plainLayout, rows, plainLayout.source(rows, 3), 1)
		}
	}
}

// An infinity that the filter takes out neither refuses the cube nor widens the unit.
func TestFilteredInfinity(t *testing.T) {
	rows := [][]any{
		{"a", "1", int64(1), int64(1), 8.5, int64(1), "x"},
		{"b", "1", int64(1), int64(1), math.Inf(1), int64(1), "x"},
		{"b", "1", int64(1), int64(1), math.NaN(), int64(1), "x"},
	}
	s := &Spec{Filter: []Comparison{{"sector", Equal, []Value{Text("a")}}}, Measures: []Measure{{Column: "rate", Want: Sum}}}
	c, err := Run(context.Background(), s, plainLayout.source(rows), 1)
	if err != nil {
		t.Fatal(err)
	}
	if mean, ok := c.Mean(0, 0); mean != 8.5 || !ok || c.Unit(0) != 0x1p-58 {
		t.Errorf("mean %v, unit %g", mean, c.Unit(0))
	}
}

// numbers is a record of integers: two keys, a subject and three measures.
func numbers(rows, keys, subjects int) arrow.Record {
	r := rand.New(rand.NewPCG(3, 4))
	names := []string{"k1", "k2", "id", "m1", "m2", "m3"}
	most := []int64{int64(keys), int64(keys), int64(subjects), 1 << 20, 100, 1 << 30}
	var fields []arrow.Field
	var columns []arrow.Array
	for i, name := range names {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		for range rows {
			b.Append(r.Int64N(most[i]))
		}
		fields = append(fields, arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64})
		columns = append(columns, b.NewArray())
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(rows))
}

func repeated(r arrow.Record, times int) Source {
	return Source{Schema: r.Schema(), Scan: func(_ context.Context, yield func(arrow.Record) error) error {
		for range times {
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	}}
}

func thousand(keys int) *Spec {
	codes := make([]Value, keys)
	for i := range codes {
		codes[i] = Int(int64(i))
	}
	return &Spec{Dimensions: []Dimension{{Column: "k1", Codes: codes}, {Column: "k2", Codes: codes}},
		Measures: []Measure{{Column: "m1", Want: Sum}, {Column: "m2", Want: Sum}, {Column: "m3", Want: Sum}}}
}

// What is allocated over a whole run, and not only what is live at its end, does not grow
// with the rows: of 40 times as many, or of a bound's rows.
func TestMemoryIsFlatInRows(t *testing.T) {
	record := numbers(1<<14, 8, 100)
	allocated := func(s *Spec, times int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Run(context.Background(), s, repeated(record, times), 1); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	s := thousand(8)
	s.Subject, s.Largest = "id", 2
	once, often := allocated(s, 1), allocated(s, 40)
	t.Logf("%d bytes for 16 Ki rows, %d for 640 Ki", once, often)
	if often > once+once/8 {
		t.Errorf("%d bytes for 16 Ki rows, %d for 640 Ki", once, often)
	}
}
