package columnar

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// blockRows is how many rows are worked on at a time: the scratch of a block stays in
// the first two caches.
const blockRows = 2048

// kindOf says what a column's values are, or 0 for a type that is not read.
func kindOf(t arrow.DataType) kind {
	switch t.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32,
		arrow.BOOL, arrow.DATE32, arrow.DATE64, arrow.TIMESTAMP:
		return integer
	case arrow.FLOAT32, arrow.FLOAT64:
		return floating
	case arrow.STRING, arrow.LARGE_STRING:
		return text
	case arrow.DICTIONARY:
		if v := t.(*arrow.DictionaryType).ValueType.ID(); v == arrow.STRING || v == arrow.LARGE_STRING {
			return text
		}
	}
	return 0
}

// column reads one column of a record, block by block.
type column struct {
	name string
	kind kind
	arr  arrow.Array
	dict []string // the dictionary's texts, where arr has one
	// keys says that the column is only an axis whose parts are looked up by the stored
	// integers or dictionary indices, of rows from on: values are not made of them.
	keys bool
	from int

	// Of the block, the slice of its kind, and the positions of its nulls. What stands at a
	// null's position is undefined.
	ints   []int64
	floats []float64
	texts  []string
	null   []int32

	intBuf   []int64
	floatBuf []float64
}

func newColumn(name string, k kind) *column {
	return &column{name: name, kind: k}
}

// bind takes the next record's array.
func (c *column) bind(arr arrow.Array) error {
	if k := kindOf(arr.DataType()); k != c.kind {
		return fmt.Errorf("%w: column %q of a batch is %s, the schema says %s", ErrData, c.name, arr.DataType(), c.kind)
	}
	c.arr, c.dict = arr, nil
	d, ok := arr.(*array.Dictionary)
	if !ok {
		return nil
	}
	values := d.Dictionary()
	c.dict = make([]string, values.Len())
	for i := range c.dict {
		c.dict[i] = textAt(values, i)
	}
	return nil
}

func textAt(a arrow.Array, i int) string {
	switch a := a.(type) {
	case *array.String:
		return a.Value(i)
	case *array.LargeString:
		return a.Value(i)
	}
	return ""
}

// load makes rows [from, to) of the record the block.
func (c *column) load(from, to int) {
	n := to - from
	c.from = from
	c.null = c.null[:0]
	if c.arr.NullN() > 0 {
		for i := range n {
			if c.arr.IsNull(from + i) {
				c.null = append(c.null, int32(i))
			}
		}
	}
	switch {
	case c.kind == integer && c.keys:
	case c.kind == text && c.keys && c.loadKeys(from, n):
	case c.kind == integer:
		c.loadInts(from, to)
	case c.kind == floating:
		c.loadFloats(from, to)
	case c.kind == text:
		c.loadTexts(from, n)
	}
}

func (c *column) loadInts(from, to int) {
	switch a := c.arr.(type) {
	case *array.Int64:
		c.ints = a.Int64Values()[from:to]
	case *array.Int32:
		c.ints = widen(&c.intBuf, a.Int32Values()[from:to])
	case *array.Int16:
		c.ints = widen(&c.intBuf, a.Int16Values()[from:to])
	case *array.Int8:
		c.ints = widen(&c.intBuf, a.Int8Values()[from:to])
	case *array.Uint32:
		c.ints = widen(&c.intBuf, a.Uint32Values()[from:to])
	case *array.Uint16:
		c.ints = widen(&c.intBuf, a.Uint16Values()[from:to])
	case *array.Uint8:
		c.ints = widen(&c.intBuf, a.Uint8Values()[from:to])
	case *array.Date32:
		c.ints = widen(&c.intBuf, a.Date32Values()[from:to])
	case *array.Date64:
		c.ints = widen(&c.intBuf, a.Date64Values()[from:to])
	case *array.Timestamp:
		c.ints = widen(&c.intBuf, a.TimestampValues()[from:to])
	case *array.Boolean:
		c.ints = sized(&c.intBuf, to-from)
		for i := range c.ints {
			c.ints[i] = 0
			if a.Value(from + i) {
				c.ints[i] = 1
			}
		}
	}
}

func (c *column) loadFloats(from, to int) {
	switch a := c.arr.(type) {
	case *array.Float64:
		c.floats = a.Float64Values()[from:to]
	case *array.Float32:
		c.floats = sized(&c.floatBuf, to-from)
		for i, v := range a.Float32Values()[from:to] {
			c.floats[i] = float64(v)
		}
	}
}

func (c *column) loadTexts(from, n int) {
	c.texts = sized(&c.texts, n)
	d, ok := c.arr.(*array.Dictionary)
	if !ok {
		switch a := c.arr.(type) {
		case *array.String:
			for i := range c.texts {
				c.texts[i] = a.Value(from + i)
			}
		case *array.LargeString:
			for i := range c.texts {
				c.texts[i] = a.Value(from + i)
			}
		}
		return
	}
	clear(c.texts)
	c.loadDictionaryNulls(d, from, n)
	c.eachValid(n, func(i int) { c.texts[i] = c.dict[d.GetValueIndex(from+i)] })
}

// loadKeys says whether the column is dictionary-coded, so that its indices are keys.
func (c *column) loadKeys(from, n int) bool {
	d, ok := c.arr.(*array.Dictionary)
	if ok {
		c.loadDictionaryNulls(d, from, n)
	}
	return ok
}

// loadDictionaryNulls finds the nulls where one may stand in the dictionary as well.
func (c *column) loadDictionaryNulls(d *array.Dictionary, from, n int) {
	values := d.Dictionary()
	if values.NullN() == 0 {
		return
	}
	c.null = c.null[:0]
	for i := range n {
		if d.IsNull(from+i) || values.IsNull(d.GetValueIndex(from+i)) {
			c.null = append(c.null, int32(i))
		}
	}
}

func widen[T ~int64 | ~int32 | ~int16 | ~int8 | ~uint32 | ~uint16 | ~uint8](buf *[]int64, values []T) []int64 {
	out := sized(buf, len(values))
	for i, v := range values {
		out[i] = int64(v)
	}
	return out
}

// sized gives a slice of n elements, reusing the buffer.
func sized[T any](buf *[]T, n int) []T {
	if cap(*buf) < n {
		*buf = make([]T, max(n, blockRows))
	}
	*buf = (*buf)[:n]
	return *buf
}
