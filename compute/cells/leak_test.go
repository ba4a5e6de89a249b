package cells

import (
	"bytes"
	"encoding/csv"
	"errors"
	"slices"
	"strings"
	"testing"
)

// delivered is what a recipient gets of a grouping, as CSV.
func delivered(t testing.TB, d *Descriptor, table *Table, by ...string) (*View, [][]string) {
	t.Helper()
	_, v := mustSelect(t, d, table, Query{By: by})
	var b bytes.Buffer
	if err := v.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return v, lines
}

func asCSV(t testing.TB, lines [][]string) *bytes.Buffer {
	t.Helper()
	b := new(bytes.Buffer)
	if err := csv.NewWriter(b).WriteAll(lines); err != nil {
		t.Fatal(err)
	}
	return b
}

// Of a copy every delivered figure is found again under its cell and measure,
// however the file was rearranged.
func TestLeakFindsFiguresAgain(t *testing.T) {
	for _, of := range []struct {
		make func() (*Descriptor, *Table)
		by   []string
	}{
		{licences, []string{"sector", "zip"}}, {licences, []string{"sector", "zip3"}}, {licences, nil}, {credit, []string{"education", "age", "sex"}},
	} {
		d, table := of.make()
		v, lines := delivered(t, d, table, of.by...)
		slices.Reverse(lines[1:])
		for i := range lines { // columns reversed, one added
			slices.Reverse(lines[i])
			lines[i] = append(lines[i], "note")
		}
		leak, err := ReadLeak(asCSV(t, lines), d)
		if err != nil {
			t.Fatal(err)
		}
		found := map[LeakedCell]bool{}
		for _, c := range leak.Cells {
			found[c] = true
		}
		released := 0
		for i, s := range v.Status { // a whole grouping: row i is cell i
			if s != Released {
				continue
			}
			released++
			for k := range v.Columns {
				if !found[LeakedCell{Measure: k, Cell: i, Value: v.Columns[k].Values[i]}] {
					t.Errorf("%v: cell %d of %s is not found", of.by, i, v.Columns[k].Measure.title())
				}
			}
		}
		if len(leak.Cells) != released*len(v.Columns) || leak.Rows != len(v.Status) || leak.Skipped != len(v.Status)-released {
			t.Errorf("%v: %d figures, %d rows, %d skipped of %d cells, %d released", of.by, len(leak.Cells), leak.Rows, leak.Skipped, len(v.Status), released)
		}
	}
}

// What can no more be told is skipped, and what names no cells is refused.
func TestLeakSkipsAndRefuses(t *testing.T) {
	d, _ := licences()
	for _, c := range []struct {
		name, csv        string
		figures, skipped int
		says             string
	}{
		{"only codes and a measure", "licences,zip3,sector\n7,021,零售\n", 1, 0, ""},
		{"an unknown code", "sector,zip3,licences\n零售,999,7\n零售,021,7\n", 1, 1, ""},
		{"no figure", "sector,zip3,licences\n零售,021,\n", 0, 1, ""},
		{"not a number", "sector,zip3,licences\n零售,021,many\n", 0, 1, ""},
		{"more places than were delivered", "sector,zip3,licences\n零售,021,7.5\n", 0, 1, ""},
		{"a short row", "sector,zip3,licences\n零售\n零售,021,7\n", 1, 1, ""},
		{"a grouping that is not published", "zip,licences\n02138,7\n", 0, 0, "no published grouping"},
		{"an axis and its level", "zip,zip3,licences\n02138,021,7\n", 0, 0, "repeats"},
		{"no measure", "sector,zip3\n零售,021\n", 0, 0, "no measure"},
		{"a measure that this grouping does not have", "sector,zip3,fees\n零售,021,1.00\n", 0, 0, "no measure"},
		{"more rows than cells", "sector,zip3,licences\n" + strings.Repeat("零售,021,7\n", 7), 0, 0, "more than 6 rows"},
		{"nothing", "", 0, 0, "EOF"},
	} {
		leak, err := ReadLeak(strings.NewReader(c.csv), d)
		if c.says != "" {
			if !errors.Is(err, ErrStream) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, expected %q", c.name, err, c.says)
			}
			continue
		}
		if err != nil || len(leak.Cells) != c.figures || leak.Skipped != c.skipped {
			t.Errorf("%s: %+v, %v", c.name, leak, err)
		}
	}
}

func FuzzLeak(f *testing.F) {
	d, table := licences()
	_, lines := delivered(f, d, table, "sector", "zip")
	f.Add(asCSV(f, lines).Bytes())
	f.Add([]byte("sector,zip3,licences\n零售,021,7\n"))
	f.Add([]byte("licences\n12\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		leak, err := ReadLeak(bytes.NewReader(b), d)
		if err != nil {
			return
		}
		for _, c := range leak.Cells {
			if c.Cell < 0 || c.Cell >= d.size(leak.Group) || c.Measure < 0 || c.Measure >= len(leak.Measures) {
				t.Fatalf("a figure of no cell: %+v", c)
			}
		}
	})
}
