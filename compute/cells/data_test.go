package cells

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/yingbi/yingbi/compute/columnar"
)

// A row of the tests' data; nil is null.
type row struct {
	who  any // int
	sort any // string
	area any // string
	paid any // int
	rate any // float64
}

var testSchema = arrow.NewSchema([]arrow.Field{
	{Name: "who", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "sort", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "area", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "paid", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "rate", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
}, nil)

// source gives the rows in batches that end at the cuts.
func source(rows []row, cuts ...int) columnar.Source {
	return columnar.Source{Schema: testSchema, Scan: func(ctx context.Context, yield func(arrow.Record) error) error {
		from := 0
		for _, to := range append(slices.Sorted(slices.Values(cuts)), len(rows)) {
			r := record(rows[from:to])
			err := yield(r)
			r.Release()
			if err != nil {
				return err
			}
			from = to
		}
		return nil
	}}
}

func record(rows []row) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, testSchema)
	defer b.Release()
	for _, r := range rows {
		for i, v := range []any{r.who, r.sort, r.area, r.paid, r.rate} {
			switch v := v.(type) {
			case nil:
				b.Field(i).AppendNull()
			case int:
				b.Field(i).(*array.Int64Builder).Append(int64(v))
			case string:
				b.Field(i).(*array.StringBuilder).Append(v)
			case float64:
				b.Field(i).(*array.Float64Builder).Append(v)
			}
		}
	}
	return b.NewRecord()
}

func codes(s ...string) (out []columnar.Value) {
	for _, v := range s {
		out = append(out, columnar.Text(v))
	}
	return out
}

// seeded is randomness for tests, the same for the same seed.
func seeded(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

// private is a plan over the tests' data with every kind of measure.
func private() *Plan {
	return &Plan{
		Dimensions: []PlanDimension{
			{Name: "sort", Dimension: columnar.Dimension{Column: "sort", Codes: codes("a", "b"), Other: columnar.Drop, Null: columnar.Drop}},
			{Name: "area", Dimension: columnar.Dimension{Column: "area", Codes: codes("n1", "n2", "s1"), Other: columnar.Keep, Null: columnar.Keep},
				Levels: []PlanLevel{{"region", 1}}},
		},
		Groups: [][]string{{"area", "sort"}, {"sort", "region"}, {"region"}, {}},
		Measures: []PlanMeasure{
			{Measure: Measure{Name: "n", Is: IsCount, Round: 1}, Share: 2},
			{Measure: Measure{Name: "known", Is: IsCount, Column: "paid", Round: 1}},
			{Measure: Measure{Name: "paid", Is: IsSum, Column: "paid", Round: 1}, Bounds: &[2]int64{0, 100}},
			{Measure: Measure{Name: "average", Is: IsMean, Column: "paid", Decimals: 2, Round: 1}, Bounds: &[2]int64{0, 10000}},
			{Measure: Measure{Name: "rate", Is: IsMean, Column: "rate", Decimals: 3, Round: 1}, Bounds: &[2]int64{-2000, 2000}},
			{Measure: Measure{Name: "spread", Is: IsVariance, Column: "rate", Decimals: 3, Round: 1}, Bounds: &[2]int64{-2000, 2000}},
			{Measure: Measure{Name: "bands", Is: IsHistogram, Column: "paid", Round: 1}, Edges: []columnar.Value{columnar.Int(0), columnar.Int(10), columnar.Int(50)}},
		},
		Subject: "who",
		Privacy: &Privacy{Rho: 500_000, Mechanism: MechanismGaussian, Rows: 64},
	}
}
