package sealed

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
)

// Batch is some consecutive rows of the requested columns. It and its columns
// are valid until yield returns; strings stay valid.
type Batch struct {
	First   int64 // the first row, from 0
	Rows    int
	Columns []Column // as requested
}

// Column is a column's values in a batch, in the slice of its type. Where
// Valid is false the value is absent and its place holds zero.
type Column struct {
	Name    string
	Type    Type
	Valid   []bool
	Strings []string  // String
	Ints    []int64   // Integer; Date, in days from 1970-01-01
	Floats  []float64 // Number
	Bools   []bool    // Boolean
}

// Text is a value as text, as an import takes it and always in the same way:
// integers without exponent, numbers as the shortest decimal that reads back
// the same, dates as 2006-01-02. It gives false where the value is absent.
func (c *Column) Text(i int) (string, bool) {
	if !c.Valid[i] {
		return "", false
	}
	switch c.Type {
	case String:
		return c.Strings[i], true
	case Integer:
		return strconv.FormatInt(c.Ints[i], 10), true
	case Number:
		return strconv.FormatFloat(c.Floats[i], 'g', -1, 64), true
	case Date:
		return formatDate(c.Ints[i]), true
	}
	return strconv.FormatBool(c.Bools[i]), true
}

// batchRows is how many rows a batch has at most.
const batchRows = 8 << 10

// Scan reads the named columns, in order of rows, and gives them to yield in
// batches; yield's error ends it. The keys of other columns are not unwrapped.
func (t *Table) Scan(ctx context.Context, columns []string, yield func(*Batch) error) error {
	s, err := t.newScan(ctx, columns)
	if err != nil {
		return err
	}
	for g := range s.r.NumRowGroups() {
		if err := s.group(g, yield); err != nil {
			return err
		}
	}
	return nil
}

// scan is the state of one Scan.
type scan struct {
	ctx     context.Context
	r       *file.Reader
	keys    *retriever
	index   []int // of each requested column in the file
	batch   Batch
	scratch scratch
	row     int64
}

// scratch is what the library decodes into: the values that are there, without
// gaps.
type scratch struct {
	defs   []int16
	texts  []parquet.ByteArray
	ints   []int64
	days   []int32
	floats []float64
	bools  []bool
	joined strings.Builder
}

func (t *Table) newScan(ctx context.Context, columns []string) (*scan, error) {
	s := &scan{ctx: ctx}
	for i, name := range columns {
		j := slices.IndexFunc(t.columns, func(c ColumnInfo) bool { return c.Name == name })
		if j < 0 || slices.Contains(columns[:i], name) {
			return nil, fmt.Errorf("%w: %.70q in %s version %d (or it is asked for twice)", ErrColumn, name, t.resource, t.version)
		}
		if t.columns[j].Shredded {
			return nil, fmt.Errorf("%w: column %s of %s version %d", ErrShredded, name, t.resource, t.version)
		}
		s.index = append(s.index, j+1) // after the row column
		s.batch.Columns = append(s.batch.Columns, Column{Name: name, Type: t.columns[j].Type})
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("%w: none was asked for", ErrColumn)
	}
	var err error
	s.r, s.keys, err = t.reader(ctx)
	return s, err
}

// group reads one row group.
func (s *scan) group(g int, yield func(*Batch) error) error {
	readers := make([]file.ColumnChunkReader, len(s.index))
	var rows int64
	for i, j := range s.index {
		s.keys.column = s.batch.Columns[i].Name
		err := s.keys.guard(s.place(g, i), func() (err error) {
			group := s.r.RowGroup(g)
			rows = group.NumRows()
			readers[i], err = group.Column(j)
			return err
		})
		if err != nil {
			return err
		}
	}
	for rows > 0 {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		n := int(min(rows, batchRows))
		for i := range readers {
			c := &s.batch.Columns[i]
			if err := s.keys.guard(s.place(g, i), func() error { return s.scratch.read(readers[i], c, n) }); err != nil {
				return err
			}
		}
		s.batch.First, s.batch.Rows = s.row, n
		if err := yield(&s.batch); err != nil {
			return err
		}
		s.row, rows = s.row+int64(n), rows-int64(n)
	}
	return nil
}

func (s *scan) place(group, i int) string {
	return fmt.Sprintf("column %s, row group %d", s.batch.Columns[i].Name, group)
}

// read reads n values of a column.
func (s *scratch) read(r file.ColumnChunkReader, c *Column, n int) error {
	s.defs = sized(s.defs, n)
	c.Valid = sized(c.Valid, n)
	switch r := r.(type) {
	case *file.ByteArrayColumnChunkReader:
		return s.readStrings(r, c, n)
	case *file.Int64ColumnChunkReader:
		return readFixed(s, r.ReadBatch, &s.ints, &c.Ints, c.Valid, func(v int64) int64 { return v })
	case *file.Int32ColumnChunkReader:
		return readFixed(s, r.ReadBatch, &s.days, &c.Ints, c.Valid, func(v int32) int64 { return int64(v) })
	case *file.Float64ColumnChunkReader:
		return readFixed(s, r.ReadBatch, &s.floats, &c.Floats, c.Valid, func(v float64) float64 { return v })
	case *file.BooleanColumnChunkReader:
		return readFixed(s, r.ReadBatch, &s.bools, &c.Bools, c.Valid, func(v bool) bool { return v })
	}
	return fmt.Errorf("no such column reader: %T", r)
}

// readBatch is the library's ReadBatch.
type readBatch[T any] func(n int64, values []T, defs, reps []int16) (int64, int, error)

// readAll reads exactly as many rows as valid has, and says which have values.
// The library ends quietly where pages are missing.
func readAll[T any](s *scratch, read readBatch[T], values []T, valid []bool) (int, error) {
	n := len(valid)
	rows, present := 0, 0
	for rows < n {
		r, p, err := read(int64(n-rows), values[present:], s.defs[rows:], nil)
		if err != nil {
			return 0, err
		}
		if r < 1 || r > int64(n-rows) || p < 0 || int64(p) > r {
			return 0, fmt.Errorf("it ends after %d of %d rows", rows, n)
		}
		rows, present = rows+int(r), present+p
	}
	there := 0
	for i, d := range s.defs[:n] {
		if valid[i] = d == 1; valid[i] {
			there++
		}
	}
	if there != present {
		return 0, fmt.Errorf("it has %d values for %d places", present, there)
	}
	return present, nil
}

func readFixed[T, U any](s *scratch, read readBatch[T], values *[]T, out *[]U, valid []bool, convert func(T) U) error {
	*values = sized(*values, len(valid))
	if _, err := readAll(s, read, *values, valid); err != nil {
		return err
	}
	*out = sized(*out, len(valid))
	clear(*out)
	next := 0
	for i, ok := range valid {
		if ok {
			(*out)[i] = convert((*values)[next])
			next++
		}
	}
	return nil
}

// readStrings copies a batch's strings into one string, of which each is a
// part: one allocation a batch, and none of the library's memory is kept. Until
// then its byte slices lie in its pages, which Go's allocator (see reader)
// leaves to the garbage collector.
func (s *scratch) readStrings(r *file.ByteArrayColumnChunkReader, c *Column, n int) error {
	s.texts = sized(s.texts, n)
	present, err := readAll(s, r.ReadBatch, s.texts, c.Valid)
	if err != nil {
		return err
	}
	size := 0
	for _, b := range s.texts[:present] {
		size += len(b)
	}
	s.joined.Reset() // leaves the last batch's string to whoever holds it
	s.joined.Grow(size)
	for _, b := range s.texts[:present] {
		s.joined.Write(b)
	}
	all := s.joined.String()
	c.Strings = sized(c.Strings, n)
	clear(c.Strings)
	next, begin := 0, 0
	for i, ok := range c.Valid {
		if ok {
			end := begin + len(s.texts[next])
			c.Strings[i], begin, next = all[begin:end], end, next+1
		}
	}
	clear(s.texts)
	return nil
}

// sized gives a slice of n elements, of s's memory where it is large enough.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, max(n, 1024))
	}
	return s[:n]
}
