package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/big"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/yingbi/yingbi/compute/columnar"
)

// The table, by the same formulas in SQL and in Go: x is i times an odd constant modulo
// 2^32, whose high bits give the keys. "id" has 100,000 subjects which are in cells without
// order, nearly a pair a row; "own" 1,000 subjects in each cell, who are in no other.
const createSpeed = `CREATE TABLE t AS SELECT
	(x // 256 %% 10)::INTEGER k1, (x // 65536 %% 10)::INTEGER k2, (x // 1048576 %% 10)::INTEGER k3,
	'sector-' || k1 s1, 'owner-' || k2 s2, 'zip-' || k3 s3,
	x %% 1000003 m1, x %% 101 - 50 m2, x m3, (i * 7919 %% 100000)::INTEGER id,
	(k1 * 100000 + k2 * 10000 + k3 * 1000 + i %% 1000)::INTEGER own
	FROM (SELECT i, i * 2654435761 %% 4294967296 x FROM range(%d) r(i))`

var (
	coded  = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint8, ValueType: arrow.BinaryTypes.String}
	schema = arrow.NewSchema([]arrow.Field{
		{Name: "k1", Type: arrow.PrimitiveTypes.Int32}, {Name: "k2", Type: arrow.PrimitiveTypes.Int32}, {Name: "k3", Type: arrow.PrimitiveTypes.Int32},
		{Name: "s1", Type: arrow.BinaryTypes.String}, {Name: "s2", Type: arrow.BinaryTypes.String}, {Name: "s3", Type: arrow.BinaryTypes.String},
		{Name: "d1", Type: coded}, {Name: "d2", Type: coded}, {Name: "d3", Type: coded},
		{Name: "m1", Type: arrow.PrimitiveTypes.Int64}, {Name: "m2", Type: arrow.PrimitiveTypes.Int64}, {Name: "m3", Type: arrow.PrimitiveTypes.Int64},
		{Name: "id", Type: arrow.PrimitiveTypes.Int32}, {Name: "own", Type: arrow.PrimitiveTypes.Int32},
	}, nil)
	stems = []string{"sector-", "owner-", "zip-"}
)

const batchRows = 1 << 17

// speedSource holds all rows.
func speedSource(rows int) columnar.Source {
	var records []arrow.Record
	for from := 0; from < rows; from += batchRows {
		records = append(records, speedRecord(from, min(from+batchRows, rows)))
	}
	return columnar.Source{Schema: schema, Scan: func(_ context.Context, yield func(arrow.Record) error) error {
		for _, r := range records {
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	}}
}

func speedRecord(from, to int) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Reserve(to - from)
	for i := from; i < to; i++ {
		x := int64(i) * 2654435761 % (1 << 32)
		key := [3]int64{x / 256 % 10, x / 65536 % 10, x / 1048576 % 10}
		for d, k := range key {
			b.Field(d).(*array.Int32Builder).Append(int32(k))
			s := stems[d] + string(rune('0'+k))
			b.Field(3 + d).(*array.StringBuilder).Append(s)
			_ = b.Field(6 + d).(*array.BinaryDictionaryBuilder).AppendString(s) // ten texts fit a byte
		}
		for m, v := range []int64{x % 1000003, x%101 - 50, x} {
			b.Field(9 + m).(*array.Int64Builder).Append(v)
		}
		b.Field(12).(*array.Int32Builder).Append(int32(i * 7919 % 100000))
		b.Field(13).(*array.Int32Builder).Append(int32(key[0]*100000 + key[1]*10000 + key[2]*1000 + int64(i%1000)))
	}
	return b.NewRecord()
}

// speedCase is a cube and the query that asks DuckDB for it.
type speedCase struct {
	name  string
	spec  *columnar.Spec
	query string
}

func speedCases() []speedCase {
	sums := []columnar.Measure{{Column: "m1", Want: columnar.Sum}, {Column: "m2", Want: columnar.Sum}, {Column: "m3", Want: columnar.Sum}}
	axes := func(prefix string) (out []columnar.Dimension) {
		for d, stem := range stems {
			codes := make([]columnar.Value, 10)
			for k := range codes {
				codes[k] = columnar.Int(int64(k))
				if prefix != "k" {
					codes[k] = columnar.Text(fmt.Sprint(stem, k))
				}
			}
			out = append(out, columnar.Dimension{Column: fmt.Sprint(prefix, d+1), Codes: codes})
		}
		return out
	}
	query := func(by, distinct string) string {
		return fmt.Sprintf("SELECT sum(n), sum(a * cell), sum(b * cell), sum(c * cell), sum(d * cell) FROM ("+
			"SELECT %[2]s d, count(*) n, sum(m1) a, sum(m2) b, sum(m3) c, "+
			"(right(%[1]s1::VARCHAR, 1) || right(%[1]s2::VARCHAR, 1) || right(%[1]s3::VARCHAR, 1))::BIGINT cell "+
			"FROM t GROUP BY %[1]s1, %[1]s2, %[1]s3)", by, distinct)
	}
	return []speedCase{
		{"integer keys", &columnar.Spec{Dimensions: axes("k"), Measures: sums}, query("k", "0")},
		{"dictionary-coded string keys", &columnar.Spec{Dimensions: axes("d"), Measures: sums}, query("s", "0")},
		{"string keys", &columnar.Spec{Dimensions: axes("s"), Measures: sums}, query("s", "0")},
		{"distinct subjects, a cell each", &columnar.Spec{Dimensions: axes("k"), Measures: sums, Subject: "own"}, query("k", "count(DISTINCT own)")},
		{"distinct subjects, in any cell", &columnar.Spec{Dimensions: axes("k"), Measures: sums, Subject: "id"}, query("k", "count(DISTINCT id)")},
	}
}

// duckTotals and cubeTotals weigh each cell's numbers by the cell, so that cells which are
// exchanged show.
func duckTotals(ctx context.Context, db *sql.DB, query string) (string, error) {
	var t [5]any
	err := db.QueryRowContext(ctx, query).Scan(&t[0], &t[1], &t[2], &t[3], &t[4])
	return fmt.Sprint(t[:]), err
}

func cubeTotals(c *columnar.Cube) string {
	var t [5]any
	var sums [5]big.Int
	for cell := range c.Cells() {
		w := big.NewInt(int64(cell))
		sums[0].Add(&sums[0], big.NewInt(c.Rows(cell)))
		for m := range 3 {
			v := c.Sum(m, cell).Big()
			sums[1+m].Add(&sums[1+m], v.Mul(v, w))
		}
		sums[4].Add(&sums[4], w.Mul(w, big.NewInt(c.Subjects(cell))))
	}
	for i := range t {
		t[i] = &sums[i]
	}
	return fmt.Sprint(t[:])
}
