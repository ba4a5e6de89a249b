package columnar

import (
	"context"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Every width of integers and of dictionary indices, whole and sliced, with and without
// nulls, with codes outside, alone and as the second axis, gives the oracle's cube.
func TestKeysOfEveryWidth(t *testing.T) {
	var rows [][]any
	for i := range 300 {
		row := []any{string(rune('a' + i%7)), "1", int64(i % 100), int64(i), 1.0, int64(1), "x"}
		if i > 200 && i%5 == 0 {
			row[0], row[2] = nil, nil
		}
		rows = append(rows, row)
	}
	s := &Spec{Dimensions: []Dimension{
		{Column: "sector", Codes: []Value{Text("b"), Text("a"), Text("g")}, Null: Keep, Other: Keep},
		{Column: "age", Codes: []Value{Int(99), Int(3), Int(0)}, Null: Keep, Other: Keep}},
		Measures: []Measure{{Column: "income", Want: Sum}}}
	p := arrow.PrimitiveTypes
	for _, index := range []arrow.DataType{p.Int8, p.Uint8, p.Int16, p.Uint16, p.Int32, p.Uint32, p.Int64, p.Uint64} {
		l := layout{append([]arrow.Field(nil), plainLayout.fields...)}
		l.fields[0].Type = &arrow.DictionaryType{IndexType: index, ValueType: arrow.BinaryTypes.String}
		if index != p.Uint64 {
			l.fields[2].Type = index
		}
		whole := l.record(rows)
		sliced := Source{Schema: whole.Schema(), Scan: func(_ context.Context, yield func(arrow.Record) error) error {
			for _, cut := range [][2]int64{{0, 7}, {7, 64}, {64, 201}, {201, 300}} {
				if err := yield(whole.NewSlice(cut[0], cut[1])); err != nil {
					return err
				}
			}
			return nil
		}}
		agree(t, s, l, rows, sliced, 1)
		agree(t, &Spec{Dimensions: s.Dimensions, Measures: s.Measures, Filter: []Comparison{{"sector", NotNull, nil}, {"age", NotEqual, []Value{Int(3)}}}}, l, rows, sliced, 2)
	}
}

// A null that stands in the dictionary is a null.
func TestNullInDictionary(t *testing.T) {
	l := layout{append([]arrow.Field(nil), plainLayout.fields...)}
	l.fields[0].Type = dictionary
	rows := [][]any{{"a", "1", int64(1), int64(1), 1.0, int64(1), "x"}, {nil, "1", int64(1), int64(2), 1.0, int64(1), "x"}, {"b", "1", int64(1), int64(3), 1.0, int64(1), "x"}}
	record := l.record(rows)
	texts := plainLayout.record([][]any{rows[0], {nil, nil, nil, nil, nil, nil, nil}, rows[2]}).Column(0)
	b := array.NewInt16Builder(memory.DefaultAllocator)
	b.AppendValues([]int16{0, 1, 2}, nil)
	columns := append([]arrow.Array(nil), record.Columns()...)
	columns[0] = array.NewDictionaryArray(dictionary, b.NewArray(), texts)
	source := repeated(array.NewRecord(record.Schema(), columns, 3), 1)
	for _, where := range [][]Comparison{nil, {{"sector", IsNull, nil}}, {{"sector", NotEqual, []Value{Text("b")}}}} {
		agree(t, &Spec{Filter: where, Dimensions: []Dimension{{Column: "sector", Codes: []Value{Text("a")}, Null: Keep, Other: Keep}}}, l, rows, source, 1)
	}
}
