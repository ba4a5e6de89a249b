package main

import (
	"context"
	"database/sql"
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/yingbi/yingbi/compute/columnar"
)

// comparison is a cube, and how DuckDB is asked for it: by axis, an expression that gives
// the code's label (see label), and a condition.
type comparison struct {
	spec  *columnar.Spec
	table string
	axes  []string
	where string
}

// label names a code as the queries do.
func label(c columnar.Code) string {
	switch c.Kind {
	case columnar.CodeNull:
		return "null"
	case columnar.CodeOther:
		return "other"
	}
	return c.Low.String() // also of a bin
}

// compare demands that every cell has DuckDB's numbers, and that DuckDB has no others.
// Counts, histograms, distinct subjects, extremes and sums of integers are equal.
// A floating sum is within Count × Unit / 2, which is ours, and 4u Σ|v|, which is that of
// DuckDB's compensated fsum and favg, u = 2^-53; means likewise. DuckDB's variance is Welford's in
// floating-point numbers and bounded here by n u (variance + mean²) × 8.
func (c *comparison) compare(t *testing.T, db *sql.DB, source columnar.Source) {
	t.Helper()
	cube, err := columnar.Run(context.Background(), c.spec, source, 2)
	if err != nil {
		t.Fatal(err)
	}
	cells := c.ask(t, db)
	empty := 0
	for cell := range cube.Cells() {
		var key []string
		for d, at := range cube.Position(cell) {
			key = append(key, label(cube.Axes()[d].Codes[at]))
		}
		name := strings.Join(key, "|")
		want, ok := cells[name]
		delete(cells, name)
		if !ok {
			empty++
			if cube.Rows(cell) != 0 || cube.Subjects(cell) != 0 {
				t.Errorf("cell %q has %d rows, in DuckDB none", name, cube.Rows(cell))
			}
			continue
		}
		next := func() string { v := want[0]; want = want[1:]; return v }
		equal := func(what string, have any) {
			if w := next(); fmt.Sprint(have) != w {
				t.Errorf("cell %q: %s is %v, in DuckDB %s", name, what, have, w)
			}
		}
		equal("rows", cube.Rows(cell))
		if c.spec.Subject != "" {
			equal("subjects", cube.Subjects(cell))
		}
		for m, spec := range c.spec.Measures {
			n := cube.Count(m, cell)
			equal(spec.Column+": count", n)
			near := func(what string, have, bound float64) {
				w, err := strconv.ParseFloat(next(), 64)
				if n > 0 && (err != nil || !(math.Abs(have-w) <= bound)) {
					t.Errorf("cell %q: %s of %q is %v, in DuckDB %v, apart by more than %g", name, what, spec.Column, have, w, bound)
				}
			}
			const u = 0x1p-53
			mean, _ := cube.Mean(m, cell)
			variance, _ := cube.Variance(m, cell)
			if isFloat(source.Schema, spec.Column) {
				total, _ := strconv.ParseFloat(next(), 64)
				bound := float64(n)*cube.Unit(m)/2 + 4*u*total
				near("sum", floatOf(cube.Sum(m, cell))*cube.Unit(m), bound)
				near("mean", mean, bound/float64(n)+2*u*math.Abs(mean))
			} else {
				next() // the sum of magnitudes
				sum := cube.Sum(m, cell).Big().String()
				if n == 0 {
					sum = "NULL"
				}
				equal(spec.Column+": sum", sum)
				near("mean", mean, 4*u*math.Abs(mean))
			}
			near("variance", variance, 8*u*float64(n)*(variance+mean*mean))
			low, high, ok := cube.Extremes(m, cell)
			if !ok {
				equal(spec.Column+": least", "NULL")
				equal(spec.Column+": largest", "NULL")
			} else if _, integer := low.Any().(int64); integer {
				equal(spec.Column+": least", low)
				equal(spec.Column+": largest", high)
			} else {
				near("least", low.Any().(float64), 0)
				near("largest", high.Any().(float64), 0)
			}
			if len(spec.Edges) > 0 {
				for i, b := range cube.Histogram(m, cell) {
					equal(fmt.Sprintf("%s: bucket %d", spec.Column, i), b)
				}
			}
		}
	}
	for name := range cells {
		t.Errorf("DuckDB has a cell %q, the cube has none", name)
	}
	t.Logf("%s: %d cells, %d of them empty", c.table, cube.Cells(), empty)
}

func floatOf(v columnar.Int128) float64 {
	f, _ := v.Big().Float64()
	return f
}

func isFloat(s *arrow.Schema, column string) bool {
	return s.Field(s.FieldIndices(column)[0]).Type.ID() == arrow.FLOAT64
}

// ask gives DuckDB's numbers by cell, as text, in the order in which compare reads them.
func (c *comparison) ask(t *testing.T, db *sql.DB) map[string][]string {
	t.Helper()
	name := "''"
	if len(c.axes) > 0 {
		name = "(" + strings.Join(c.axes, ") || '|' || (") + ")"
	}
	columns := []string{name + " cell", "count(*)"}
	if c.spec.Subject != "" {
		columns = append(columns, "count(DISTINCT "+c.spec.Subject+")")
	}
	for _, m := range c.spec.Measures {
		v := m.Column
		columns = append(columns, "count("+v+")", "sum(abs("+v+"::DOUBLE))",
			"CASE WHEN typeof(any_value("+v+")) = 'DOUBLE' THEN fsum("+v+"::DOUBLE)::VARCHAR ELSE sum("+v+")::VARCHAR END",
			"CASE WHEN typeof(any_value("+v+")) = 'DOUBLE' THEN favg("+v+"::DOUBLE) ELSE avg("+v+") END", "var_pop("+v+"::DOUBLE)", "min("+v+")", "max("+v+")")
		buckets := len(m.Edges) + 1
		if len(m.Edges) == 0 {
			buckets = 0
		}
		for i := range buckets {
			in := []string{"true"}
			if i > 0 {
				in = append(in, fmt.Sprintf("%s >= %s", v, m.Edges[i-1]))
			}
			if i < len(m.Edges) {
				in = append(in, fmt.Sprintf("%s < %s", v, m.Edges[i]))
			}
			columns = append(columns, "count(*) FILTER ("+v+" IS NOT NULL AND "+strings.Join(in, " AND ")+")")
		}
	}
	for i := range columns[1:] {
		columns[1+i] = "coalesce((" + columns[1+i] + ")::VARCHAR, 'NULL')"
	}
	query := "SELECT " + strings.Join(columns, ", ") + " FROM " + c.table
	if c.where != "" {
		query += " WHERE " + c.where
	}
	query += " GROUP BY 1"
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	defer rows.Close()
	out := map[string][]string{}
	for rows.Next() {
		values := make([]string, len(columns))
		to := make([]any, len(columns))
		for i := range to {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		out[values[0]] = values[1:]
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// readCSV makes a record of the file, of integers where that is said ("*": everywhere) and of
// text elsewhere, where an empty field is a null. DuckDB reads the file by itself.
func readCSV(t *testing.T, path string, integers map[string]bool) columnar.Source {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var fields []arrow.Field
	for _, name := range lines[0] {
		typ := arrow.DataType(arrow.BinaryTypes.String)
		if integers[name] || integers["*"] {
			typ = arrow.PrimitiveTypes.Int64
		}
		fields = append(fields, arrow.Field{Name: name, Type: typ, Nullable: true})
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	for _, line := range lines[1:] {
		for i, s := range line {
			switch f := b.Field(i).(type) {
			case *array.Int64Builder:
				v, err := strconv.ParseFloat(s, 64) // some are written as 5e+05
				if err != nil || v != math.Trunc(v) {
					t.Fatalf("%q is no integer: %v", s, err)
				}
				f.Append(int64(v))
			case *array.StringBuilder:
				if s == "" {
					f.AppendNull()
				} else {
					f.Append(s)
				}
			}
		}
	}
	return inBatches(b.NewRecord())
}

func inBatches(r arrow.Record) columnar.Source {
	return columnar.Source{Schema: r.Schema(), Scan: func(_ context.Context, yield func(arrow.Record) error) error {
		for from := int64(0); from < r.NumRows(); from += 5000 {
			if err := yield(r.NewSlice(from, min(from+5000, r.NumRows()))); err != nil {
				return err
			}
		}
		return nil
	}}
}

func open(t *testing.T, statements ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%v in %s", err, s)
		}
	}
	return db
}

const everything = columnar.Sum | columnar.Squares | columnar.Extremes

func TestLicences(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "sample", "licences.csv")
	source := readCSV(t, path, nil)
	db := open(t, "CREATE TABLE licences AS SELECT * FROM read_csv('"+path+"', all_varchar = true, header = true)")
	keep := func(column string, prefix int) columnar.Dimension {
		return columnar.Dimension{Column: column, Prefix: prefix, Learn: 1000, Null: columnar.Keep}
	}
	axis := func(column string, n int) string { return fmt.Sprintf("coalesce(left(%s, %d), 'null')", column, n) }
	(&comparison{&columnar.Spec{Dimensions: []columnar.Dimension{keep("naics_sector", 0), keep("ownership_type", 0)}, Subject: "city_account_number"},
		"licences", []string{axis("naics_sector", 99), axis("ownership_type", 99)}, ""}).compare(t, db, source)
	(&comparison{&columnar.Spec{Dimensions: []columnar.Dimension{keep("naics_sector", 0), keep("zip_5", 3)}, Subject: "business_legal_name",
		Filter: []columnar.Comparison{{Column: "ownership_type", Op: columnar.NotEqual, Values: []columnar.Value{columnar.Text("Corporation")}},
			{Column: "license_start_date", Op: columnar.GreaterEqual, Values: []columnar.Value{columnar.Text("2010-01-01")}},
			{Column: "business_legal_name", Op: columnar.NotNull}}},
		"licences", []string{axis("naics_sector", 99), axis("zip_5", 3)},
		"ownership_type <> 'Corporation' AND license_start_date >= '2010-01-01' AND business_legal_name IS NOT NULL"}).compare(t, db, source)
}

func TestCreditDefault(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "sample", "credit_default.csv")
	source := readCSV(t, path, map[string]bool{"*": true})
	db := open(t, "CREATE TABLE credit AS SELECT CAST(COLUMNS(*) AS DOUBLE)::BIGINT FROM read_csv('"+path+"', all_varchar = true, header = true)")
	edges := func(v ...int64) (out []columnar.Value) {
		for _, e := range v {
			out = append(out, columnar.Int(e))
		}
		return out
	}
	(&comparison{&columnar.Spec{Subject: "id", Dimensions: []columnar.Dimension{
		{Column: "education", Codes: edges(1, 2, 3, 4, 9), Other: columnar.Keep},
		{Column: "age", Edges: edges(20, 30, 40, 50, 60), Other: columnar.Keep}},
		Measures: []columnar.Measure{{Column: "limit_bal", Want: everything, Edges: edges(50_000, 200_000)}, {Column: "bill_amt1", Want: everything},
			{Column: "default_next_month", Want: everything}}},
		"credit", []string{"CASE WHEN education IN (1, 2, 3, 4, 9) THEN education::VARCHAR ELSE 'other' END",
			"CASE WHEN age >= 20 AND age < 60 THEN (age // 10 * 10)::VARCHAR ELSE 'other' END"}, ""}).compare(t, db, source)
}

// TestGenerated has nulls everywhere, integers from end to end of 64 bits, floating-point
// numbers over many magnitudes, and groups that no row is in.
func TestGenerated(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	f := func(name string, typ arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: typ, Nullable: true}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{f("k", arrow.PrimitiveTypes.Int32), f("s", arrow.BinaryTypes.String),
		f("wide", arrow.PrimitiveTypes.Int64), f("small", arrow.PrimitiveTypes.Int64), f("rate", arrow.PrimitiveTypes.Float64), f("id", arrow.PrimitiveTypes.Int64)}, nil))
	defer b.Release()
	path := filepath.Join(t.TempDir(), "generated.csv")
	var text strings.Builder
	text.WriteString("k,s,wide,small,rate,id\n")
	ends := []int64{math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, 0, -1}
	for range 60_000 {
		row := []any{r.Int64N(9), fmt.Sprint("s", r.IntN(6)), ends[r.IntN(len(ends))], r.Int64N(2001) - 1000, r.NormFloat64() * math.Ldexp(1, r.IntN(60)-30), r.Int64N(3000)}
		for i := range row {
			if i < 5 && r.IntN(10) == 0 || i == 2 && row[0] == int64(3) { // one group has no value at all
				row[i] = nil
			}
			if i > 0 {
				text.WriteByte(',')
			}
			switch v := row[i].(type) {
			case nil:
				b.Field(i).AppendNull()
			case string:
				b.Field(i).(*array.StringBuilder).Append(v)
			case float64:
				b.Field(i).(*array.Float64Builder).Append(v)
			case int64:
				if i == 0 {
					b.Field(i).(*array.Int32Builder).Append(int32(v))
				} else {
					b.Field(i).(*array.Int64Builder).Append(v)
				}
			}
			if row[i] != nil {
				fmt.Fprint(&text, row[i])
			}
		}
		text.WriteByte('\n')
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	db := open(t, "CREATE TABLE generated AS SELECT k::INTEGER k, s, wide::BIGINT wide, small::BIGINT small, rate::DOUBLE rate, id::BIGINT id "+
		"FROM read_csv('"+path+"', all_varchar = true, header = true)")
	source := inBatches(b.NewRecord())
	ints := func(v ...int64) (out []columnar.Value) {
		for _, e := range v {
			out = append(out, columnar.Int(e))
		}
		return out
	}
	axes := []columnar.Dimension{{Column: "k", Codes: ints(7, 0, 3, 100), Null: columnar.Keep, Other: columnar.Keep},
		{Column: "s", Codes: []columnar.Value{columnar.Text("s1"), columnar.Text("s5"), columnar.Text("none")}, Null: columnar.Keep, Other: columnar.Keep}}
	names := []string{"CASE WHEN k IS NULL THEN 'null' WHEN k IN (7, 0, 3, 100) THEN k::VARCHAR ELSE 'other' END",
		"CASE WHEN s IS NULL THEN 'null' WHEN s IN ('s1', 's5', 'none') THEN s ELSE 'other' END"}
	measures := []columnar.Measure{{Column: "wide", Want: everything, Edges: ints(math.MinInt64+1, -1, math.MaxInt64)}, {Column: "small", Want: everything, Edges: ints(-500, 0, 500)},
		{Column: "rate", Want: everything, Edges: []columnar.Value{columnar.Float(-1), columnar.Float(0), columnar.Float(0.5)}}}
	for _, c := range []comparison{
		{&columnar.Spec{Subject: "id", Dimensions: axes, Measures: measures}, "generated", names, ""},
		{&columnar.Spec{Measures: measures}, "generated", nil, ""},
		{&columnar.Spec{Subject: "id", Dimensions: axes, Measures: measures, Filter: []columnar.Comparison{{Column: "small", Op: columnar.Less, Values: ints(100)},
			{Column: "rate", Op: columnar.GreaterEqual, Values: []columnar.Value{columnar.Float(-8)}}, {Column: "s", Op: columnar.In, Values: []columnar.Value{columnar.Text("s1"), columnar.Text("s2")}}}},
			"generated", names, "small < 100 AND rate >= -8 AND s IN ('s1', 's2')"},
		{&columnar.Spec{Subject: "id", Dimensions: axes, Measures: measures, Filter: []columnar.Comparison{{Column: "wide", Op: columnar.IsNull}}}, "generated", names, "wide IS NULL"},
	} {
		c.compare(t, db, source)
	}
}

// TestSpeedCases runs what is measured, on few rows.
func TestSpeedCases(t *testing.T) {
	db := open(t, fmt.Sprintf(createSpeed, 50_000))
	for _, c := range speedCases() {
		if _, _, err := c.measure(context.Background(), db, speedSource(50_000), 2, 1); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
