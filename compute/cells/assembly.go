package cells

import (
	"errors"
	"fmt"
	"slices"
)

// ErrStream refuses a stream or file of cells: malformed, or not of the
// descriptor that it is held to.
var ErrStream = errors.New("cells: malformed stream of cells")

// maxDelivered bounds a delivered figure: rounding, by MaxValue at most, moves values
// and ends of intervals outward.
const maxDelivered = 4 * MaxValue

// assembly builds a view out of columns of texts and figures.
type assembly struct {
	d     *Descriptor
	v     *View
	roles []role // by column of the stream
	rows  int    // that are complete
	codes []map[string]uint32
	nulls [][]bool // by figure column
}

// role is what a column of the stream is.
type role struct {
	name    string
	side    int // index into the view's sides; −1
	status  bool
	measure *Measure
	into    *[]int64
	nulls   int
}

func (r *role) texts() bool { return r.measure == nil }

// newAssembly finds out what the columns are.
func newAssembly(d *Descriptor, names []string) (*assembly, error) {
	a := &assembly{d: d, v: &View{Product: d.Product, Epoch: d.Epoch, Regime: d.Regime}}
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			return nil, fmt.Errorf("%w: two columns are called %.64q", ErrStream, n)
		}
		seen[n] = true
	}
	if !seen[statusColumn] {
		return nil, fmt.Errorf("%w: there is no column %s", ErrStream, statusColumn)
	}
	by := slices.DeleteFunc(slices.Clone(names), func(n string) bool { _, ok := d.side(n); return !ok })
	grid, err := d.grid(by)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	for _, s := range grid {
		a.v.Sides = append(a.v.Sides, Side{Name: s.name, Labels: s.labels})
		index := make(map[string]uint32, len(s.labels))
		for i, l := range s.labels {
			index[l] = uint32(i)
		}
		a.codes = append(a.codes, index)
	}
	a.columns(seen)
	return a, a.assign(names)
}

// columns makes a column for every measure that the stream has.
func (a *assembly) columns(seen map[string]bool) {
	for _, m := range a.d.Measures {
		if !seen[m.title()] {
			continue
		}
		c := Column{Measure: m, Values: []int64{}}
		if a.d.Regime == RegimePrivacy {
			c.Low, c.High = []int64{}, []int64{}
		}
		a.v.Columns = append(a.v.Columns, c)
	}
}

// assign gives every column its role, and refuses one that is missing or unknown.
func (a *assembly) assign(names []string) error {
	expected := map[string]role{statusColumn: {name: statusColumn, side: -1, status: true}}
	for i, s := range a.v.Sides {
		expected[s.Name] = role{name: s.Name, side: i}
	}
	for i := range a.v.Columns {
		c := &a.v.Columns[i]
		for _, f := range c.figures() {
			expected[f.title] = role{name: f.title, side: -1, measure: &c.Measure, into: f.values, nulls: len(a.nulls)}
			a.nulls = append(a.nulls, nil)
		}
	}
	if len(a.v.Columns) == 0 {
		return fmt.Errorf("%w: there is no measure", ErrStream)
	}
	for _, n := range names {
		r, ok := expected[n]
		if !ok {
			return fmt.Errorf("%w: the descriptor has no column %.64q", ErrStream, n)
		}
		delete(expected, n)
		a.roles = append(a.roles, r)
	}
	for n := range expected {
		return fmt.Errorf("%w: there is no column %s", ErrStream, n)
	}
	return nil
}

// grow counts rows before they are read.
func (a *assembly) grow(rows int) error {
	if most := a.d.size(0); rows < 0 || rows > most-a.rows {
		return fmt.Errorf("%w: more than %d rows, which is all that is published", ErrStream, most)
	}
	a.rows += rows
	return nil
}

func (a *assembly) text(r role, text string) error {
	if r.status {
		s := slices.Index(statusLabels, text)
		if s < 0 {
			return fmt.Errorf("%w: there is no status %.64q", ErrStream, text)
		}
		a.v.Status = append(a.v.Status, Status(s))
		return nil
	}
	code, ok := a.codes[r.side][text]
	if !ok {
		return fmt.Errorf("%w: %s has no code %.64q", ErrStream, r.name, text)
	}
	side := &a.v.Sides[r.side]
	side.Codes = append(side.Codes, code)
	return nil
}

func (a *assembly) figure(r role, v int64, null bool) {
	if null {
		v = 0
	}
	*r.into = append(*r.into, v)
	a.nulls[r.nulls] = append(a.nulls[r.nulls], null)
}

// finish checks figures against statuses and ranges.
func (a *assembly) finish() (*View, error) {
	unreleased := Suppressed
	if a.d.Regime == RegimePrivacy {
		unreleased = Below
	}
	for i, s := range a.v.Status {
		if s != Released && s != unreleased {
			return nil, fmt.Errorf("%w: row %d is %v, which the regime %s does not have", ErrStream, i, s, a.d.Regime)
		}
	}
	for _, r := range a.roles {
		if r.texts() {
			continue
		}
		for i, v := range *r.into {
			if null := a.nulls[r.nulls][i]; null != (a.v.Status[i] != Released) || v > maxDelivered || v < -maxDelivered {
				return nil, fmt.Errorf("%w: row %d of %s has a figure that its status does not allow, or one out of range", ErrStream, i, r.name)
			}
		}
	}
	return a.v, nil
}

// Holds says whether a view that was read is an answer to the selection: its
// cells, in its order, and its measures. It says nothing about the figures.
func (s *Selection) Holds(v *View) error {
	want := s.blank()
	if v.Product != want.Product || v.Epoch != want.Epoch || v.Rows() != want.Rows() || len(v.Sides) != len(want.Sides) || len(v.Columns) != len(want.Columns) {
		return fmt.Errorf("%w: it is not the answer to this query", ErrStream)
	}
	for i := range v.Sides {
		if v.Sides[i].Name != want.Sides[i].Name || !slices.Equal(v.Sides[i].Codes, want.Sides[i].Codes) {
			return fmt.Errorf("%w: its cells along %s are not those of the query", ErrStream, want.Sides[i].Name)
		}
	}
	for i := range v.Columns {
		if got := v.Columns[i].Measure.title(); got != want.Columns[i].Measure.title() {
			return fmt.Errorf("%w: it has the measure %.64q, the query %q", ErrStream, got, want.Columns[i].Measure.title())
		}
	}
	return nil
}
