package sealed

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Schema is the Arrow schema in which Records gives the named columns: a String
// is utf8, an Integer int64, a Number float64, a Date date32, a Boolean bool,
// and each may be null.
func (t *Table) Schema(columns []string) (*arrow.Schema, error) {
	fields := make([]arrow.Field, len(columns))
	for i, name := range columns {
		j := slices.IndexFunc(t.columns, func(c ColumnInfo) bool { return c.Name == name })
		if j < 0 {
			return nil, fmt.Errorf("%w: %.70q in %s version %d", ErrColumn, name, t.resource, t.version)
		}
		fields[i] = arrow.Field{Name: name, Type: arrowTypes[t.columns[j].Type], Nullable: true}
	}
	return arrow.NewSchema(fields, nil), nil
}

var arrowTypes = map[Type]arrow.DataType{
	String:  arrow.BinaryTypes.String,
	Integer: arrow.PrimitiveTypes.Int64,
	Number:  arrow.PrimitiveTypes.Float64,
	Date:    arrow.FixedWidthTypes.Date32,
	Boolean: arrow.FixedWidthTypes.Boolean,
}

// Records is Scan in Arrow record batches of the columns' Schema. A record is
// yield's to read until it returns, and longer if it retains it: its memory is
// its own. What cannot be read is an error as of Scan, and no error holds a
// value.
//
// The Arrow library has a reader of Parquet of its own. It is not used: it
// panics on a damaged page in goroutines where nothing can recover it.
func (t *Table) Records(ctx context.Context, columns []string, yield func(arrow.Record) error) error {
	schema, err := t.Schema(columns)
	if err != nil {
		return err
	}
	b := array.NewRecordBuilder(memory.NewGoAllocator(), schema)
	defer b.Release()
	return t.Scan(ctx, columns, func(batch *Batch) error {
		for i := range batch.Columns {
			appendColumn(b.Field(i), &batch.Columns[i])
		}
		r := b.NewRecord() // and b begins anew, with memory of its own
		defer r.Release()
		return yield(r)
	})
}

// appendColumn copies a batch's column, whose type is the builder's.
func appendColumn(b array.Builder, c *Column) {
	switch b := b.(type) {
	case *array.StringBuilder:
		b.AppendValues(c.Strings, c.Valid)
	case *array.Int64Builder:
		b.AppendValues(c.Ints, c.Valid)
	case *array.Float64Builder:
		b.AppendValues(c.Floats, c.Valid)
	case *array.BooleanBuilder:
		b.AppendValues(c.Bools, c.Valid)
	case *array.Date32Builder:
		b.Reserve(len(c.Ints))
		for i, days := range c.Ints {
			if c.Valid[i] {
				b.UnsafeAppend(arrow.Date32(days))
			} else {
				b.UnsafeAppendBoolToBitmap(false)
			}
		}
	}
}
