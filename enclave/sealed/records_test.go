package sealed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/compute/columnar"
)

// recordTexts gives the rows of a table's records as texts gives those of its
// batches, read by Arrow's own accessors.
func recordTexts(t *Table, columns []string) ([]string, error) {
	schema, err := t.Schema(columns)
	if err != nil {
		return nil, err
	}
	var kept []arrow.Record
	err = t.Records(context.Background(), columns, func(r arrow.Record) error {
		if !r.Schema().Equal(schema) {
			return fmt.Errorf("a record of %v", r.Schema())
		}
		r.Retain()
		kept = append(kept, r)
		return nil
	})
	var out []string
	for _, r := range kept { // after all were given: their memory is their own
		for row := range int(r.NumRows()) {
			var fields []string
			for _, a := range r.Columns() {
				fields = append(fields, recordText(a, row))
			}
			out = append(out, strings.Join(fields, "|"))
		}
		r.Release()
	}
	return out, err
}

func recordText(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "∅"
	}
	c := Column{Valid: []bool{true}}
	switch a := a.(type) {
	case *array.String:
		return a.Value(i)
	case *array.Int64:
		c.Type, c.Ints = Integer, []int64{a.Value(i)}
	case *array.Float64:
		c.Type, c.Floats = Number, []float64{a.Value(i)}
	case *array.Date32:
		return a.Value(i).ToTime().Format("2006-01-02")
	case *array.Boolean:
		c.Type, c.Bools = Boolean, []bool{a.Value(i)}
	}
	text, _ := c.Text(0)
	return text
}

// Records hold what was sealed, of every type and with its nulls, however rows
// fall into groups, pages and batches.
func TestRecords(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	for i, tune := range []tuning{tiny, defaultTuning, {groupRows: 1, groupBytes: 1, pageBytes: 1, batchRows: 1}} {
		for _, n := range []int{1, 51, 333} {
			path := filepath.Join(dir, fmt.Sprint(i, n))
			writePeople(t, kr, path, 1, n, tune)
			tab, err := Open(t.Context(), kr, path, "people", 1)
			must(t, err)
			for _, columns := range [][]string{allColumns, {"active"}, {"since", "id"}} {
				got, err := recordTexts(tab, columns)
				if err != nil || !slices.Equal(got, wanted(people(), peopleRows(n), columns)) {
					t.Fatalf("tuning %d, %d rows, %v: %v, %d rows read", i, n, columns, err, len(got))
				}
			}
			must(t, tab.Close())
		}
	}
}

func TestRecordsOfAnything(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		rows := anyRows().Draw(rt, "rows")
		path := filepath.Join(dir, fmt.Sprint(n))
		if _, err := writeFile(t.Context(), kr, path, people(), 1, &rowList{rows: rows}, tiny, nil); err != nil {
			rt.Fatal(err)
		}
		tab, err := Open(t.Context(), kr, path, "people", 1)
		if err != nil {
			rt.Fatal(err)
		}
		defer tab.Close()
		want, err := texts(tab, allColumns)
		if err != nil {
			rt.Fatal(err)
		}
		if got, err := recordTexts(tab, allColumns); err != nil || !slices.Equal(got, want) {
			rt.Fatalf("%v\n%q\n%q", err, got, want)
		}
	})
}

// compute/columnar reads every type, once for a cube and again for the codes
// that it learns.
func TestRecordsMakeACube(t *testing.T) {
	kr := newKeyring(t)
	path := filepath.Join(t.TempDir(), "f")
	writePeople(t, kr, path, 1, 120, tiny)
	tab, err := Open(t.Context(), kr, path, "people", 1)
	must(t, err)
	defer tab.Close()
	schema, err := tab.Schema(allColumns)
	must(t, err)
	cube, err := columnar.Run(t.Context(), &columnar.Spec{
		Dimensions: []columnar.Dimension{{Column: "active", Learn: 2, Null: columnar.Keep}},
		Filter:     []columnar.Comparison{{Column: "since", Op: columnar.GreaterEqual, Values: []columnar.Value{columnar.Int(-10)}}},
		Measures:   []columnar.Measure{{Column: "age", Want: columnar.Sum}, {Column: "income", Want: columnar.Sum}},
		Subject:    "id",
	}, columnar.Source{Schema: schema, Scan: func(ctx context.Context, yield func(arrow.Record) error) error {
		return tab.Records(ctx, allColumns, yield)
	}}, 2)
	must(t, err)
	var rows, null, ages [3]int64
	for i, r := range peopleRows(120) {
		if r[4].Int < -10 {
			continue
		}
		cell := r[5].Int
		if r[5].Null {
			cell = 2
		}
		rows[cell]++
		if r[2].Null {
			null[cell]++
		} else {
			ages[cell] += int64(i) * 1e15
		}
	}
	for cell := range rows {
		sum, _ := cube.Sum(0, cell).Int64()
		if cube.Rows(cell) != rows[cell] || cube.Subjects(cell) != rows[cell] || cube.Count(0, cell) != rows[cell]-null[cell] || sum != ages[cell] {
			t.Errorf("cell %d: %d rows, %d subjects, %d ages, sum %d", cell, cube.Rows(cell), cube.Subjects(cell), cube.Count(0, cell), sum)
		}
	}
}

func TestRecordsRefuse(t *testing.T) {
	kr := newKeyring(t)
	path := filepath.Join(t.TempDir(), "f")
	writePeople(t, kr, path, 1, 120, tiny)
	tab, err := Open(t.Context(), kr, path, "people", 1)
	must(t, err)
	defer tab.Close()
	none := func(arrow.Record) error { t.Error("yield was called"); return nil }
	for _, columns := range [][]string{nil, {"nobody"}, {"id", "id"}, {rowColumn}} {
		if err := tab.Records(t.Context(), columns, none); !errors.Is(err, ErrColumn) {
			t.Errorf("%q: %v", columns, err)
		}
	}
	stop := errors.New("enough")
	if err := tab.Records(t.Context(), []string{"id"}, func(arrow.Record) error { return stop }); err != stop {
		t.Errorf("stopped: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := tab.Records(ctx, []string{"id"}, func(arrow.Record) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A page that was damaged is a typed error in the caller's goroutine, which
// says where and holds nothing of what is there.
func TestRecordsOfDamagedPages(t *testing.T) {
	p, whole := newProbe(t, 60)
	pages, _, _ := modules(t, whole)
	damaged := 0
	for i, m := range pages {
		must(t, os.WriteFile(p.path, flip(whole, m.to-1, 1), 0o600))
		tab, err := Open(t.Context(), p.kr, p.path, "people", 2)
		must(t, err)
		err = tab.Records(t.Context(), allColumns, func(arrow.Record) error { return nil })
		must(t, tab.Close())
		if err == nil {
			continue // a page of the row column, which is not read
		}
		damaged++
		if !errors.Is(err, ErrCorrupt) || strings.Contains(err.Error(), "name-") || strings.Contains(err.Error(), keyOf(1)) {
			t.Errorf("page module %d: %v", i, err)
		}
	}
	if want := len(pages) - 4; damaged != want { // two row groups, header and body
		t.Errorf("%d damaged pages were told, want %d", damaged, want)
	}
}
