package columnar

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"
)

// layout says how the columns of a table are stored.
type layout struct {
	fields []arrow.Field
}

var (
	dictionary = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int16, ValueType: arrow.BinaryTypes.String}
	names      = []string{"sector", "zip", "age", "income", "rate", "id", "name"}
)

func drawLayout(t *rapid.T) layout {
	texts := []arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, dictionary}
	pick := func(label string, from ...arrow.DataType) arrow.Field {
		return arrow.Field{Name: label, Type: rapid.SampledFrom(from).Draw(t, label), Nullable: true}
	}
	return layout{[]arrow.Field{
		pick("sector", texts...), pick("zip", texts...),
		pick("age", arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.FixedWidthTypes.Date32, arrow.PrimitiveTypes.Int64),
		pick("income", arrow.PrimitiveTypes.Int64),
		pick("rate", arrow.PrimitiveTypes.Float64),
		pick("id", arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32),
		pick("name", texts...),
	}}
}

// record stores rows of a table.
func (l layout) record(rows [][]any) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(l.fields, nil))
	defer b.Release()
	for _, row := range rows {
		for i, v := range row {
			if v == nil {
				b.Field(i).AppendNull()
				continue
			}
			switch f := b.Field(i).(type) {
			case *array.Int64Builder:
				f.Append(v.(int64))
			case *array.Int32Builder:
				f.Append(int32(v.(int64)))
			case *array.Int16Builder:
				f.Append(int16(v.(int64)))
			case *array.Int8Builder:
				f.Append(int8(v.(int64)))
			case *array.Uint32Builder:
				f.Append(uint32(v.(int64)))
			case *array.Uint16Builder:
				f.Append(uint16(v.(int64)))
			case *array.Uint8Builder:
				f.Append(uint8(v.(int64)))
			case *array.Date32Builder:
				f.Append(arrow.Date32(v.(int64)))
			case *array.Float64Builder:
				f.Append(v.(float64))
			case *array.StringBuilder:
				f.Append(v.(string))
			case *array.LargeStringBuilder:
				f.Append(v.(string))
			case *array.BinaryDictionaryBuilder:
				if err := f.AppendString(v.(string)); err != nil {
					panic(err)
				}
			default:
				panic(fmt.Sprintf("%T", f))
			}
		}
	}
	return b.NewRecord()
}

// source cuts the rows at these places.
func (l layout) source(rows [][]any, cuts ...int) Source {
	return Source{Schema: arrow.NewSchema(l.fields, nil), Scan: func(_ context.Context, yield func(arrow.Record) error) error {
		from := 0
		for _, to := range append(cuts, len(rows)) {
			r := l.record(rows[from:to])
			defer r.Release()
			if err := yield(r); err != nil {
				return err
			}
			from = to
		}
		return nil
	}}
}

func drawRows(t *rapid.T, most int) [][]any {
	maybe := func(g *rapid.Generator[any]) *rapid.Generator[any] {
		return rapid.OneOf(g, g, g, g, rapid.Just[any](nil))
	}
	of := func(v ...any) *rapid.Generator[any] { return rapid.SampledFrom(v) }
	sector := maybe(of("a", "b", "c", "", "沪牌"))
	zip := maybe(of("98101", "98102", "9", "", "沪上海市", "沪上海"))
	age := maybe(of(int64(0), int64(17), int64(18), int64(64), int64(65), int64(-128), int64(127)))
	income := maybe(of(int64(math.MaxInt64), int64(math.MinInt64), int64(0), int64(-1), int64(1), int64(50_000), int64(1<<52)))
	real := []any{0.0, math.Copysign(0, -1), 0.1, -0.3, 1.0, 1e16, -1e-300, 5e-324}
	if rapid.IntRange(0, 3).Draw(t, "wild") == 0 {
		real = append(real, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64)
	}
	rate := maybe(of(real...))
	id := maybe(of(int64(1), int64(2), int64(3), int64(-4)))
	name := maybe(of("x", "y", "zz"))
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []any {
		return []any{sector.Draw(t, "sector"), zip.Draw(t, "zip"), age.Draw(t, "age"), income.Draw(t, "income"),
			rate.Draw(t, "rate"), id.Draw(t, "id"), name.Draw(t, "name")}
	}), 0, most).Draw(t, "rows")
}

func drawSpec(t *rapid.T) *Spec {
	s := &Spec{Subject: rapid.SampledFrom([]string{"", "id", "name"}).Draw(t, "subject")}
	if s.Subject != "" {
		s.Largest = rapid.IntRange(0, 3).Draw(t, "largest")
		if rapid.Bool().Draw(t, "bounded") {
			s.Bound = &Bound{Rows: rapid.IntRange(1, 4).Draw(t, "rows per subject"), Key: [32]byte{1, 2, 3}}
		}
	}
	comparisons := []Comparison{
		{"sector", Equal, []Value{Text("a")}}, {"zip", Greater, []Value{Text("98101")}}, {"sector", In, []Value{Text("b"), Text("a")}},
		{"age", GreaterEqual, []Value{Int(18)}}, {"age", Less, []Value{Int(65)}}, {"income", NotEqual, []Value{Int(0)}},
		{"income", In, nil}, {"rate", LessEqual, []Value{Float(0.1)}}, {"rate", NotEqual, []Value{Float(1)}},
		{"rate", NotNull, nil}, {"age", IsNull, nil}, {"income", In, []Value{Int(1), Int(-1), Int(math.MaxInt64)}},
	}
	dimensions := []Dimension{
		{Column: "sector", Codes: []Value{Text("b"), Text("a"), Text("沪牌")}},
		{Column: "sector", Learn: 5},
		{Column: "zip", Prefix: 3, Codes: []Value{Text("981"), Text("9"), Text("沪上海")}},
		{Column: "zip", Prefix: 2, Learn: 10},
		{Column: "age", Edges: []Value{Int(0), Int(18), Int(65)}},
		{Column: "age", Codes: []Value{Int(18), Int(0), Int(127)}},
		{Column: "age", Learn: 10},
		{Column: "income", Edges: []Value{Int(math.MinInt64), Int(-1), Int(math.MaxInt64)}},
		{Column: "income", Codes: []Value{Int(math.MaxInt64), Int(math.MinInt64), Int(1)}},
		{Column: "rate", Edges: []Value{Float(-1), Float(0), Float(0.1), Float(2)}},
	}
	rules := []Rule{Keep, Drop, Keep, Drop, Refuse}
	for range rapid.IntRange(0, 3).Draw(t, "dimensions") {
		if rapid.IntRange(0, 3).Draw(t, "condition") == 0 {
			s.Dimensions = append(s.Dimensions, Dimension{Where: rapid.SliceOfN(rapid.SampledFrom(comparisons), 1, 3).Draw(t, "where")})
			continue
		}
		d := rapid.SampledFrom(dimensions).Draw(t, "dimension")
		d.Null, d.Other = rapid.SampledFrom(rules).Draw(t, "null"), rapid.SampledFrom(rules).Draw(t, "other")
		if s.Bound != nil && (d.Learn > 0 || d.Null == Refuse || d.Other == Refuse) {
			continue
		}
		s.Dimensions = append(s.Dimensions, d)
	}
	if rapid.Bool().Draw(t, "filtered") {
		s.Filter = rapid.SliceOfN(rapid.SampledFrom(comparisons), 1, 2).Draw(t, "filter")
	}
	for range rapid.IntRange(0, 3).Draw(t, "measures") {
		m := rapid.SampledFrom([]Measure{
			{Column: "income", Edges: []Value{Int(-1), Int(0), Int(1 << 40)}, Bounds: &[2]Value{Int(-10), Int(1 << 50)}},
			{Column: "age", Edges: []Value{Int(18)}, Bounds: &[2]Value{Int(0), Int(100)}},
			{Column: "rate", Edges: []Value{Float(-0.3), Float(0), Float(1)}, Bounds: &[2]Value{Float(-0.25), Float(0.75)}},
		}).Draw(t, "measure")
		m.Want = rapid.SampledFrom([]Want{0, Sum, Squares, Sum | Squares}).Draw(t, "want")
		if s.Bound == nil && rapid.Bool().Draw(t, "extremes") {
			m.Want |= Extremes
		}
		if s.Bound == nil && rapid.Bool().Draw(t, "unbounded") {
			m.Bounds = nil
		}
		if rapid.Bool().Draw(t, "no histogram") {
			m.Edges = nil
		}
		s.Measures = append(s.Measures, m)
	}
	return s
}

// agree compares a run with the oracle, both where they refuse.
func agree(t interface{ Fatalf(string, ...any) }, s *Spec, l layout, rows [][]any, source Source, workers int) {
	want, refusal := naive(s, &table{names, rows})
	c, err := Run(context.Background(), s, source, workers)
	if (err == nil) != (refusal == nil) || err != nil && !strings.HasSuffix(err.Error(), refusal.Error()) {
		t.Fatalf("have error %v, want %v", err, refusal)
	}
	if err != nil {
		return
	}
	if have := dump(s, c); have != want {
		t.Fatalf("have\n%s\nwant\n%s", have, want)
	}
}

// A cube, its margins and its refusals are the oracle's, whatever the order of the rows,
// the cuts into batches, the way columns are stored and the number of workers.
func TestOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, l, rows := drawSpec(t), drawLayout(t), drawRows(t, 60)
		shuffled := rapid.Permutation(rows).Draw(t, "order")
		var cuts []int
		for at := range shuffled {
			if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
				cuts = append(cuts, at)
			}
		}
		agree(t, s, l, rows, l.source(shuffled, cuts...), rapid.IntRange(1, 3).Draw(t, "workers"))
	})
}

// The same over blocks that are full, where narrow sums are flushed and the hash tables grow.
func TestOracleLarge(t *testing.T) {
	l := layout{[]arrow.Field{
		{Name: "sector", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "zip", Type: dictionary, Nullable: true},
		{Name: "age", Type: arrow.PrimitiveTypes.Int16, Nullable: true}, {Name: "income", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "rate", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true}}}
	r := rand.New(rand.NewPCG(1, 2))
	var rows [][]any
	for i := range 3*blockRows + 5 {
		// Blocks of small, of middling and of the largest values.
		income := r.Int64() >> (62 - 20*(i/blockRows)) * (1 - 2*r.Int64N(2))
		row := []any{string(rune('a' + r.IntN(5))), fmt.Sprint(98100 + r.IntN(40)), r.Int64N(100), income,
			r.NormFloat64() * math.Exp2(float64(r.IntN(60))), r.Int64N(2000), fmt.Sprint("n", r.IntN(50))}
		if i%7 == 0 {
			row[r.IntN(len(row))] = nil
		}
		rows = append(rows, row)
	}
	s := &Spec{Subject: "id", Largest: 2,
		Dimensions: []Dimension{{Column: "sector", Learn: 9, Null: Keep}, {Column: "zip", Prefix: 4, Learn: 9, Null: Drop},
			{Column: "age", Edges: []Value{Int(10), Int(50), Int(90)}, Null: Keep, Other: Keep}},
		Measures: []Measure{{Column: "income", Want: Sum | Squares | Extremes}, {Column: "rate", Want: Sum | Squares | Extremes, Edges: []Value{Float(0)}},
			{Column: "age", Want: Sum | Squares}}}
	for workers := 1; workers <= 3; workers++ {
		agree(t, s, l, rows, l.source(rows, 10, blockRows, 2*blockRows+100), workers)
	}
	s.Dimensions[0] = Dimension{Column: "sector", Codes: []Value{Text("a"), Text("b")}, Other: Keep, Null: Drop}
	s.Dimensions[1] = Dimension{Column: "zip", Prefix: 4, Codes: []Value{Text("9810"), Text("9811")}, Other: Drop, Null: Drop}
	s.Subject, s.Bound = "name", &Bound{Rows: 5, Key: [32]byte{9}}
	s.Measures = []Measure{{Column: "income", Want: Sum | Squares, Bounds: &[2]Value{Int(-1 << 40), Int(1 << 40)}},
		{Column: "rate", Want: Sum, Bounds: &[2]Value{Float(-10), Float(10)}, Edges: []Value{Float(0)}}}
	agree(t, s, l, rows, l.source(rows, 10, blockRows, 2*blockRows+100), 2)
}

// With a bound, a cube is the sum of the cubes of its subjects: taking one away changes
// nothing that the others contribute.
func TestBoundIsBySubject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, rows := drawLayout(t), drawRows(t, 40)
		s := &Spec{Subject: "id", Bound: &Bound{Rows: 2, Key: [32]byte{7}},
			Dimensions: []Dimension{{Column: "age", Edges: []Value{Int(0), Int(18), Int(65)}, Null: Keep, Other: Keep}},
			Measures:   []Measure{{Column: "income", Want: Sum, Bounds: &[2]Value{Int(0), Int(1000)}}}}
		run := func(rows [][]any) *Cube {
			c, err := Run(context.Background(), s, l.source(rows), 1)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		of := map[any][][]any{}
		for _, r := range rows {
			of[r[5]] = append(of[r[5]], r)
		}
		all := run(rows)
		count, sum := make([]int64, all.Cells()), make([]int64, all.Cells())
		for _, own := range of {
			c, kept := run(own), int64(0)
			for cell := range count {
				v, _ := c.Sum(0, cell).Int64()
				count[cell], sum[cell], kept = count[cell]+c.Rows(cell), sum[cell]+v, kept+c.Rows(cell)
			}
			if kept > 2 {
				t.Fatalf("%d rows of one subject", kept)
			}
		}
		for cell := range count {
			if v, _ := all.Sum(0, cell).Int64(); all.Rows(cell) != count[cell] || v != sum[cell] {
				t.Fatalf("cell %d: %d rows, sum %d; of the subjects one by one %d and %d", cell, all.Rows(cell), v, count[cell], sum[cell])
			}
		}
	})
}

var plainLayout = layout{[]arrow.Field{{Name: "sector", Type: arrow.BinaryTypes.String}, {Name: "zip", Type: arrow.BinaryTypes.String},
	{Name: "age", Type: arrow.PrimitiveTypes.Int32}, {Name: "income", Type: arrow.PrimitiveTypes.Int64},
	{Name: "rate", Type: arrow.PrimitiveTypes.Float64}, {Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "name", Type: arrow.BinaryTypes.String}}}

func TestRefusals(t *testing.T) {
	row := func(age, rate any) []any { return []any{"a", "1", age, int64(1), rate, int64(1), "x"} }
	rows := [][]any{row(int64(1), 0.5), row(int64(70), math.NaN()), row(nil, math.Inf(-1)), row(int64(71), 1.0)}
	age := Dimension{Column: "age", Edges: []Value{Int(0), Int(65)}}
	keep := Dimension{Column: "age", Learn: 3, Null: Keep}
	one := []Value{Int(1)}
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{Dimensions: []Dimension{age}}, "1 rows are null in dimension \"age\"\ncolumnar: data: 2 rows are outside the codes of dimension \"age\""},
		{Spec{Measures: []Measure{{Column: "rate", Want: Sum}}}, `2 rows are NaN or infinite in measure "rate"`},
		{Spec{Dimensions: []Dimension{{Column: "age", Learn: 2}}}, `dimension "age" has more than the 2 codes that may be learned: declare codes, bins or a prefix`},
		{Spec{Dimensions: []Dimension{keep, {Column: "age", Codes: one, Null: Keep, Other: Keep}}, MaxCells: 11}, `12 cells, at most 11 are allowed: coarsen "age", which has 4 codes`},
		{Spec{Dimensions: []Dimension{{Column: "none", Learn: 1}}}, `the schema has 0 columns "none"`},
		{Spec{Dimensions: []Dimension{{Column: "age"}}}, "give one of codes"},
		{Spec{Dimensions: []Dimension{{Column: "rate", Learn: 2}}}, "has edges and not codes"},
		{Spec{Dimensions: []Dimension{{Column: "age", Codes: append(one, Int(1))}}}, `code "1" is given twice`},
		{Spec{Dimensions: []Dimension{{Column: "sector", Codes: one}}}, "is not a text"},
		{Spec{Dimensions: []Dimension{{Column: "age", Edges: one}}}, "edges are two or more"},
		{Spec{Dimensions: []Dimension{{Column: "age", Edges: []Value{Int(2), Int(2)}}}}, "edge 2 is not above the one before"},
		{Spec{Dimensions: []Dimension{{Column: "rate", Edges: []Value{Float(2), Float(math.NaN())}}}}, "edge NaN is not finite, or not a floating-point number"},
		{Spec{Dimensions: []Dimension{{Column: "age", Prefix: 1, Codes: one}}}, "a prefix of 1 characters"},
		{Spec{Filter: []Comparison{{"age", Less, nil}}}, "with 0 values"},
		{Spec{Dimensions: []Dimension{{Where: []Comparison{{"age", Less, nil}}}}}, "condition on \"age\": operator 3 with 0 values"},
		{Spec{Dimensions: []Dimension{{Where: []Comparison{{"none", IsNull, nil}}}}}, `the schema has 0 columns "none"`},
		{Spec{Dimensions: []Dimension{{Learn: 3, Where: []Comparison{{"age", IsNull, nil}}}}}, `dimension "where age": give one of codes`},
		{Spec{Dimensions: []Dimension{{Where: []Comparison{{"age", IsNull, nil}, {"rate", NotNull, nil}}, Null: Drop}}}, `"where age, rate": conditions go with no column`},
		{Spec{Filter: []Comparison{{"rate", Less, one}}}, `"1" is not a floating-point number`},
		{Spec{Measures: []Measure{{Column: "name"}}}, "is a text column"},
		{Spec{Measures: []Measure{{Column: "age", Bounds: &[2]Value{Int(2), Int(1)}}}}, "bounds [2, 1] are empty"},
		{Spec{Subject: "rate"}, "is a floating-point column"},
		{Spec{Largest: 1}, "need a subject"},
		{Spec{Subject: "id", Largest: 9}, "9 largest contributions"},
		{Spec{Subject: "id", Bound: &Bound{}}, "a bound of 0 rows"},
		{Spec{Subject: "id", Bound: &Bound{Rows: 1}, Dimensions: []Dimension{keep}}, "codes are declared and not learned"},
		{Spec{Subject: "id", Bound: &Bound{Rows: 1}, Dimensions: []Dimension{age}}, "nothing may be refused by data"},
		{Spec{Subject: "id", Bound: &Bound{Rows: 1}, Measures: []Measure{{Column: "age"}}}, "values need bounds"},
		{Spec{MaxCells: LimitCells + 1}, "MaxCells"},
	} {
		_, err := Run(context.Background(), &c.spec, plainLayout.source(rows, 1, 2), 2)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("have %v, want %s", err, c.want)
		}
		var many *TooManyCells
		if err != nil && !errors.Is(err, ErrSpec) && !errors.Is(err, ErrData) && !errors.As(err, &many) {
			t.Errorf("%v is of no kind that a caller can tell", err)
		}
	}
}

// An error of the source and the end of a context end the run.
func TestSourceFails(t *testing.T) {
	broken := errors.New("broken")
	src := plainLayout.source(nil)
	src.Scan = func(context.Context, func(arrow.Record) error) error { return broken }
	if _, err := Run(context.Background(), &Spec{}, src, 2); !errors.Is(err, broken) {
		t.Errorf("have %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, &Spec{}, plainLayout.source(nil), 2); !errors.Is(err, context.Canceled) {
		t.Errorf("have %v", err)
	}
	other := plainLayout.source(nil)
	other.Schema = arrow.NewSchema([]arrow.Field{{Name: "age", Type: arrow.PrimitiveTypes.Int64}}, nil)
	spec := &Spec{Measures: []Measure{{Column: "age"}}}
	if _, err := Run(context.Background(), spec, other, 1); !errors.Is(err, ErrData) {
		t.Errorf("a batch of another schema: %v", err)
	}
}

// A condition as an axis divides a cube as it would filter it: at 1 are the rows of the
// filtered cube, and what is at 0 and 1 together is the cube.
func TestConditionIsAnAxis(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, rows := drawLayout(t), drawRows(t, 40)
		where := rapid.SliceOfN(rapid.SampledFrom([]Comparison{{"age", Less, []Value{Int(65)}}, {"rate", NotEqual, []Value{Float(0)}},
			{"sector", In, []Value{Text("a"), Text("")}}, {"income", IsNull, nil}}), 1, 3).Draw(t, "where")
		age := Dimension{Column: "age", Edges: []Value{Int(0), Int(18)}, Null: Keep, Other: Keep}
		run := func(filter []Comparison, d ...Dimension) *Cube {
			c, err := Run(context.Background(), &Spec{Subject: "id", Filter: filter, Dimensions: d,
				Measures: []Measure{{Column: "income", Want: Sum | Squares}}}, l.source(rows), 1)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		whole, kept, joint := run(nil, age), run(where, age), run(nil, Dimension{Where: where}, age)
		if a := joint.Axes()[0]; len(a.Codes) != 2 || a.Codes[0].Kind != CodeFails || a.Codes[1].Kind != CodeHolds || len(a.Where) != len(where) {
			t.Fatalf("the axis is %v", a)
		}
		margin := joint.Rollup(1)
		for cell := range whole.Cells() {
			for _, c := range []struct {
				have, want *Cube
				at         int
			}{{joint, kept, whole.Cells() + cell}, {margin, whole, cell}} {
				if c.have.Rows(c.at) != c.want.Rows(cell) || c.have.Subjects(c.at) != c.want.Subjects(cell) ||
					c.have.Sum(0, c.at) != c.want.Sum(0, cell) || c.have.Squares(0, c.at).Cmp(c.want.Squares(0, cell)) != 0 {
					t.Fatalf("cell %d differs", cell)
				}
			}
		}
	})
}
