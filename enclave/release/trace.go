package release

import (
	"errors"
	"fmt"
	"io"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/fingerprint"
)

// ErrNotMarked says that the product's copies are all the same.
var ErrNotMarked = errors.New("release: the product has no fingerprints, so that all copies are the same")

// Trace compares a CSV file of unknown origin, which may be a part of a copy of
// these cells, with the copies that the recipients got (数据指纹). What it finds is
// a lead: whoever holds the key, as the operator does, could have made any copy.
func (c *Cells) Trace(file io.Reader, recipients []string, level float64) (*cells.Leak, *fingerprint.Report, error) {
	if c.key == nil {
		return nil, nil, fmt.Errorf("%w: %s", ErrNotMarked, c.descriptor.Product)
	}
	leak, err := cells.ReadLeak(file, c.descriptor)
	if err != nil {
		return nil, nil, err
	}
	columns := make([]fingerprint.Column, len(leak.Measures))
	for i, m := range leak.Measures {
		columns[i] = c.column(leak.Group, m)
	}
	for _, leaf := range leak.Cells {
		of := &columns[leaf.Measure]
		of.Leaked = append(of.Leaked, fingerprint.Cell{Cell: c.starts[leak.Group] + int64(leaf.Cell), Value: leaf.Value})
	}
	report, err := fingerprint.Trace(c.key, c.publication(), recipients, columns, level)
	return leak, report, err
}

// column is what was released of a measure, in a grouping.
func (c *Cells) column(group, measure int) fingerprint.Column {
	of, slot := &c.table.Groups[group], 0
	for i, m := range c.descriptor.Groups[group].Measures {
		if m == measure {
			slot = i
		}
	}
	first := c.starts[group]
	return fingerprint.Column{
		Measure: markedName(&c.descriptor.Measures[measure]), Base: c.descriptor.Measures[measure].Round,
		Released: func(cell int64) (int64, bool) {
			i := cell - first
			if i < 0 || i >= int64(len(of.Status)) || of.Status[i] != cells.Released {
				return 0, false
			}
			return of.Values[slot][i], true
		},
	}
}
