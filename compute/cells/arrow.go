package cells

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Keys of a stream's metadata.
const (
	keyProduct = "yingbi.product"
	keyEpoch   = "yingbi.epoch"
	keyRegime  = "yingbi.regime"
)

const (
	batchRows        = 1 << 16 // of a record batch
	decimalPrecision = 18      // MaxValue has 16 digits
)

// WriteArrow writes the view as an Arrow IPC stream, without compression: a
// column dictionary<utf8> for every side, then status likewise, then of every
// measure value, and under privacy low and high. Integers are int64, or
// decimal128 where the measure has decimals; cells that are not released are null.
func (v *View) WriteArrow(w io.Writer) error {
	t := v.arrow(true)
	out := ipc.NewWriter(w, ipc.WithSchema(t.schema))
	err := t.each(func(r arrow.Record) error { return out.Write(r) })
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("cells: writing an Arrow stream: %w", err)
	}
	return nil
}

// arrowTable makes the record batches of a view.
type arrowTable struct {
	v      *View
	schema *arrow.Schema
	texts  []texts // sides, then status
	plain  bool    // texts are not dictionaries
	valid  []bool
}

// texts is a column of texts: a dictionary of those that occur.
type texts struct {
	dictionary *array.String
	indices    []int32
}

func (v *View) arrow(dictionaries bool) *arrowTable {
	t := &arrowTable{v: v, plain: !dictionaries, valid: make([]bool, v.Rows())}
	textType := arrow.DataType(arrow.BinaryTypes.String)
	if dictionaries {
		textType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	}
	var fields []arrow.Field
	for _, s := range v.Sides {
		fields = append(fields, arrow.Field{Name: s.Name, Type: textType})
		t.texts = append(t.texts, newTexts(s.Labels, s.Codes))
	}
	fields = append(fields, arrow.Field{Name: statusColumn, Type: textType})
	codes := make([]uint32, v.Rows())
	for i, s := range v.Status {
		codes[i], t.valid[i] = uint32(s), s == Released
	}
	t.texts = append(t.texts, newTexts(statusLabels, codes))
	for i := range v.Columns {
		for _, f := range v.Columns[i].figures() {
			fields = append(fields, arrow.Field{Name: f.title, Type: v.Columns[i].Measure.arrowType(), Nullable: true})
		}
	}
	metadata := arrow.MetadataFrom(map[string]string{keyProduct: v.Product, keyEpoch: strconv.Itoa(v.Epoch), keyRegime: v.Regime})
	t.schema = arrow.NewSchema(fields, &metadata)
	return t
}

var statusLabels = Labels{Suppressed.String(), Released.String(), Below.String()}

// newTexts keeps those labels that occur, in their order.
func newTexts(labels Labels, codes []uint32) texts {
	used := make([]int32, len(labels))
	for _, c := range codes {
		used[c] = 1
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	n := int32(0)
	for code, label := range labels {
		if used[code] != 0 {
			b.Append(label)
			used[code] = n
			n++
		}
	}
	t := texts{dictionary: b.NewStringArray(), indices: make([]int32, len(codes))}
	for i, c := range codes {
		t.indices[i] = used[c]
	}
	return t
}

// figures are a measure's columns in a file.
type figures struct {
	title  string
	values *[]int64
}

func (c *Column) figures() []figures {
	title := c.Measure.title()
	out := []figures{{title, &c.Values}}
	if c.Low != nil {
		out = append(out, figures{title + lowSuffix, &c.Low}, figures{title + highSuffix, &c.High})
	}
	return out
}

func (m *Measure) arrowType() arrow.DataType {
	if m.Decimals == 0 {
		return arrow.PrimitiveTypes.Int64
	}
	return &arrow.Decimal128Type{Precision: decimalPrecision, Scale: int32(m.Decimals)}
}

// each hands out the batches, at least one.
func (t *arrowTable) each(write func(arrow.Record) error) error {
	for first := 0; first == 0 || first < t.v.Rows(); first += batchRows {
		if err := write(t.record(first, min(first+batchRows, t.v.Rows()))); err != nil {
			return err
		}
	}
	return nil
}

func (t *arrowTable) record(first, end int) arrow.Record {
	var columns []arrow.Array
	for i, text := range t.texts {
		if t.plain {
			b := array.NewStringBuilder(memory.DefaultAllocator)
			for _, index := range text.indices[first:end] {
				b.Append(text.dictionary.Value(int(index)))
			}
			columns = append(columns, b.NewArray())
			continue
		}
		b := array.NewInt32Builder(memory.DefaultAllocator)
		b.AppendValues(text.indices[first:end], nil)
		columns = append(columns, array.NewDictionaryArray(t.schema.Field(i).Type, b.NewArray(), text.dictionary))
	}
	for i := range t.v.Columns {
		c := &t.v.Columns[i]
		for _, f := range c.figures() {
			columns = append(columns, c.Measure.arrowArray((*f.values)[first:end], t.valid[first:end]))
		}
	}
	return array.NewRecord(t.schema, columns, int64(end-first))
}

func (m *Measure) arrowArray(values []int64, valid []bool) arrow.Array {
	if m.Decimals == 0 {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		b.AppendValues(values, valid)
		return b.NewArray()
	}
	b := array.NewDecimal128Builder(memory.DefaultAllocator, m.arrowType().(*arrow.Decimal128Type))
	wide := make([]decimal128.Num, len(values))
	for i, v := range values {
		wide[i] = decimal128.FromI64(v)
	}
	b.AppendValues(wide, valid)
	return b.NewArray()
}

// ReadArrow reads a stream as WriteArrow writes it, or that has the same columns
// in another order, or texts without dictionaries: cells of one grouping of the
// descriptor, in any order and perhaps not all. It holds names, labels, statuses
// and ranges to the descriptor. See Selection.Holds for whether it is an answer.
//
// Streams come from outside: there is no compression, no nesting, messages are
// bounded before they are read, and rows by what is published.
func ReadArrow(r io.Reader, d *Descriptor) (v *View, err error) {
	defer func() {
		if p := recover(); p != nil { // of the Arrow library, on malformed messages
			v, err = nil, fmt.Errorf("%w: %v", ErrStream, p)
		}
	}()
	memory := new(allowance)
	in, err := ipc.NewReaderFromMessageReader(&messages{r: r, memory: memory, rows: int64(d.size(0))}, ipc.WithAllocator(memory))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	b, err := newAssembly(d, fieldNames(in.Schema()))
	if err != nil {
		return nil, err
	}
	if err := b.checkHead(in.Schema().Metadata()); err != nil {
		return nil, err
	}
	for in.Next() {
		if err := b.record(in.Record()); err != nil {
			return nil, err
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	return b.finish()
}

func fieldNames(s *arrow.Schema) []string {
	names := make([]string, s.NumFields())
	for i := range names {
		names[i] = s.Field(i).Name
	}
	return names
}

// checkHead holds what a stream says of itself to the descriptor.
func (a *assembly) checkHead(head arrow.Metadata) error {
	for key, want := range map[string]string{keyProduct: a.d.Product, keyEpoch: strconv.Itoa(a.d.Epoch), keyRegime: a.d.Regime} {
		if got, ok := head.GetValue(key); ok && got != want {
			return fmt.Errorf("%w: %s is %.64q, the descriptor has %q", ErrStream, key, got, want)
		}
	}
	return nil
}

// record takes a batch. Types are read as they come: another one is refused.
func (a *assembly) record(r arrow.Record) error {
	rows := int(r.NumRows())
	if err := a.grow(rows); err != nil {
		return err
	}
	for i, role := range a.roles {
		var err error
		if role.texts() {
			err = a.arrowTexts(role, r.Column(i), rows)
		} else {
			err = a.arrowFigures(role, r.Column(i), rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *assembly) arrowTexts(role role, column arrow.Array, rows int) error {
	at := func(row int) string { return column.(*array.String).Value(row) }
	switch c := column.(type) {
	case *array.String:
	case *array.Dictionary:
		dictionary, ok := c.Dictionary().(*array.String)
		if !ok {
			return a.typed(role, column)
		}
		at = func(row int) string { return dictionary.Value(c.GetValueIndex(row)) }
	default:
		return a.typed(role, column)
	}
	for row := range rows {
		if column.IsNull(row) {
			return fmt.Errorf("%w: %s has a null", ErrStream, role.name)
		}
		if err := a.text(role, at(row)); err != nil {
			return err
		}
	}
	return nil
}

func (a *assembly) arrowFigures(role role, column arrow.Array, rows int) error {
	if !arrow.TypeEqual(column.DataType(), role.measure.arrowType()) {
		return a.typed(role, column)
	}
	for row := range rows {
		switch c := column.(type) {
		case *array.Int64:
			a.figure(role, c.Value(row), c.IsNull(row))
		case *array.Decimal128:
			wide := c.Value(row)
			if v := int64(wide.LowBits()); wide != decimal128.FromI64(v) && !c.IsNull(row) {
				return fmt.Errorf("%w: a figure of %s is out of range", ErrStream, role.name)
			} else {
				a.figure(role, v, c.IsNull(row))
			}
		}
	}
	return nil
}

func (a *assembly) typed(role role, column arrow.Array) error {
	return fmt.Errorf("%w: the column %s is of the type %v", ErrStream, role.name, column.DataType())
}
