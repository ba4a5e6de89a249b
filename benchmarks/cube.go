package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/yingbi/yingbi/compute/columnar"
)

const (
	cubeKeys  = 32  // of each of two dimensions: 1,024 cells
	cubeShare = 100 // subjects of a cell
	cubeBatch = 1 << 16
)

// cube counts rows that are made batch by batch and never held: three sums and the
// distinct subjects of 1,024 cells. The peak is the whole process's so far, and what
// the batches take is in it: from the first to the last of these it should not grow.
func (s *sheet) cube(ctx context.Context, most int) error {
	codes := make([]columnar.Value, cubeKeys)
	for i := range codes {
		codes[i] = columnar.Int(int64(i))
	}
	spec := &columnar.Spec{Subject: "id", Dimensions: []columnar.Dimension{{Column: "k1", Codes: codes}, {Column: "k2", Codes: codes}},
		Measures: []columnar.Measure{{Column: "m1", Want: columnar.Sum}, {Column: "m2", Want: columnar.Sum}, {Column: "m3", Want: columnar.Sum}}}
	command := fmt.Sprintf("go run ./benchmarks -records 0 -count 0 -cube %d", most)
	for rows := min(1_000_000, most); rows <= most; rows *= 10 {
		fmt.Fprintf(os.Stderr, "cube of %d rows\n", rows)
		began := time.Now()
		c, err := columnar.Run(ctx, spec, cubeRows(rows), runtime.NumCPU())
		if err != nil {
			return err
		}
		took := time.Since(began)
		var counted, subjects int64
		for cell := range c.Cells() {
			counted, subjects = counted+c.Rows(cell), subjects+c.Subjects(cell)
		}
		if counted != int64(rows) || subjects != cubeKeys*cubeKeys*cubeShare {
			return fmt.Errorf("%d rows and %d subjects counted of %d rows", counted, subjects, rows)
		}
		name := fmt.Sprintf("cube: %d rows made in batches, 3 sums, subjects", rows)
		s.add(name, "ns/row", command, float64(took.Nanoseconds())/float64(rows))
		if peak := peakMemory(); peak > 0 {
			s.add(name+": peak memory of the process so far", "MB", command, float64(peak)/1e6)
		}
	}
	return nil
}

// cubeRows makes the rows: a subject is in one cell.
func cubeRows(rows int) columnar.Source {
	var fields []arrow.Field
	for _, name := range []string{"k1", "k2", "id", "m1", "m2", "m3"} {
		fields = append(fields, arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64})
	}
	schema := arrow.NewSchema(fields, nil)
	return columnar.Source{Schema: schema, Scan: func(_ context.Context, yield func(arrow.Record) error) error {
		for from := 0; from < rows; from += cubeBatch {
			n := min(cubeBatch, rows-from)
			var values [6][]int64
			var columns [6]arrow.Array
			for c := range values {
				values[c] = make([]int64, n)
			}
			for i := range n {
				x := int64(from+i) * 2654435761 % (1 << 32)
				subject := int64(from+i) * 7919 % (cubeKeys * cubeKeys * cubeShare) // prime: all occur
				cell := subject / cubeShare
				for c, v := range [6]int64{cell / cubeKeys, cell % cubeKeys, subject, x % 1000003, x%101 - 50, x} {
					values[c][i] = v
				}
			}
			for c, v := range values {
				data := array.NewData(arrow.PrimitiveTypes.Int64, n, []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(v))}, nil, 0, 0)
				columns[c] = array.NewInt64Data(data)
			}
			if err := yield(array.NewRecord(schema, columns[:], int64(n))); err != nil {
				return err
			}
		}
		return nil
	}}
}
