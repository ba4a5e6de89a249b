package cells

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Leak is what a CSV file of unknown origin has of a publication's figures: for
// tracing whose copy it was. Nothing says that the figures are true.
type Leak struct {
	Group    int          // index of the published grouping
	Measures []int        // indices into Descriptor.Measures
	Cells    []LeakedCell // in the order of the file
	Rows     int          // of the file, less its header
	Skipped  int          // rows of which nothing could be read: an unknown code, or no figure
}

// LeakedCell is a figure of a leak: the measure by its index in Leak.Measures, and the
// cell by its index in the grouping.
type LeakedCell struct {
	Measure int
	Cell    int
	Value   int64 // in units of the measure
}

// ReadLeak reads a CSV file as a recipient may have passed it on: its rows and
// columns in any order, rows and measures missing, columns added, intervals and
// statuses taken out. The columns that name cells have to be those of a published
// grouping, and a measure has to be called as it was. Figures with more decimal
// places than were delivered, and rows with codes that do not exist, are skipped.
func ReadLeak(r io.Reader, d *Descriptor) (*Leak, error) {
	source := &capped{r: r, left: maxLineBytes}
	in := csv.NewReader(source)
	in.ReuseRecord, in.FieldsPerRecord = true, -1
	names, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	names = slices.Clone(names)
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	l, err := newLeakReader(d, names)
	if err != nil {
		return nil, err
	}
	most := d.size(l.leak.Group)
	for {
		line, err := in.Read()
		if errors.Is(err, io.EOF) {
			return l.leak, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStream, err)
		}
		if l.leak.Rows++; l.leak.Rows > most {
			return nil, fmt.Errorf("%w: more than %d rows, which is all that is published", ErrStream, most)
		}
		l.row(line)
		source.left = maxLineBytes
	}
}

// leakReader knows what the columns of a leak are.
type leakReader struct {
	d     *Descriptor
	leak  *Leak
	sides []leakSide
	at    []int // column of every measure of the leak
}

// leakSide is a column that names cells: each label's part of the cell's index.
type leakSide struct {
	column int
	labels map[string]int
}

func newLeakReader(d *Descriptor, names []string) (*leakReader, error) {
	by := slices.DeleteFunc(slices.Clone(names), func(n string) bool { _, ok := d.side(n); return !ok })
	grid, err := d.grid(by)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	slices.SortFunc(grid, func(a, b side) int { return a.axis - b.axis })
	l := &leakReader{d: d, leak: &Leak{Group: slices.IndexFunc(d.Groups, func(g Group) bool {
		return slices.EqualFunc(g.By, grid, func(name string, s side) bool { return name == s.name })
	})}}
	if l.leak.Group < 0 {
		return nil, fmt.Errorf("%w: its columns name cells by %.200q, which is no published grouping", ErrStream, strings.Join(by, " × "))
	}
	each := 1
	for _, s := range slices.Backward(grid) {
		labels := make(map[string]int, len(s.labels))
		for code, label := range s.labels {
			labels[label] = code * each
		}
		l.sides = append(l.sides, leakSide{slices.Index(names, s.name), labels})
		each *= len(s.labels)
	}
	for _, m := range d.Groups[l.leak.Group].Measures {
		if at := slices.Index(names, d.Measures[m].title()); at >= 0 {
			l.leak.Measures, l.at = append(l.leak.Measures, m), append(l.at, at)
		}
	}
	if len(l.at) == 0 {
		return nil, fmt.Errorf("%w: there is no measure", ErrStream)
	}
	return l, nil
}

// row takes what it can of a line.
func (l *leakReader) row(line []string) {
	before, cell := len(l.leak.Cells), 0
	for _, s := range l.sides {
		part, ok := 0, false
		if s.column < len(line) {
			part, ok = s.labels[line[s.column]]
		}
		if !ok {
			l.leak.Skipped++
			return
		}
		cell += part
	}
	for i, m := range l.leak.Measures {
		if l.at[i] >= len(line) || line[l.at[i]] == "" {
			continue
		}
		if v, ok := parseDecimal(line[l.at[i]], l.d.Measures[m].Decimals); ok {
			l.leak.Cells = append(l.leak.Cells, LeakedCell{Measure: i, Cell: cell, Value: v})
		}
	}
	if len(l.leak.Cells) == before {
		l.leak.Skipped++
	}
}
