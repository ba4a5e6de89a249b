package cells

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of Select.
var (
	ErrOverflow = errors.New("cells: a sum of cells is too large") // beyond MaxValue
	ErrRounding = errors.New("cells: rounding")                    // none where one is needed, or not as promised
)

// Rounding rounds values of a published group for one recipient (数据指纹), in
// place: values[i] is of cell cells[i], ascending, and becomes one of the two next
// multiples of the measure's Round, itself where it is one. group and measure are
// indices into the descriptor's lists. It is called for blocks of released and
// other cells alike; what it makes of the others is dropped.
type Rounding func(group, measure int, cells []uint32, values []int64) error

// View is the cells of an answer, in the order of the selection: row i of every
// column is one cell.
type View struct {
	Product string
	Epoch   int
	Regime  string
	Sides   []Side // empty for the total
	Status  []Status
	Columns []Column
}

// Side is a column that says where cells are: Codes[i] is the index in Labels.
type Side struct {
	Name   string
	Labels Labels
	Codes  []uint32
}

// Column is a measure of a view. Figures of cells that are not released are zero.
type Column struct {
	Measure Measure
	Values  []int64
	// Low and High are nil under disclosure. They are the ends of the interval of the
	// noise, moved with the value where that was rounded, and outward to a multiple
	// of Round: they say nothing about the value before it was rounded.
	Low, High []int64
}

// Rows is the number of cells.
func (v *View) Rows() int { return len(v.Status) }

// blank is the view of a selection without figures.
func (s *Selection) blank() *View {
	v := &View{Product: s.d.Product, Epoch: s.d.Epoch, Regime: s.d.Regime, Status: make([]Status, s.count)}
	each := 1 // cells with the same code
	for _, k := range slices.Backward(s.sides) {
		side := Side{Name: k.name, Labels: k.labels, Codes: make([]uint32, s.count)}
		at, run := s.first/each%len(k.codes), s.first%each
		for i := range side.Codes {
			side.Codes[i] = uint32(k.codes[at])
			if run++; run == each {
				run = 0
				if at++; at == len(k.codes) {
					at = 0
				}
			}
		}
		v.Sides = append(v.Sides, side)
		each *= len(k.codes)
	}
	slices.Reverse(v.Sides)
	for _, m := range s.measures {
		c := Column{Measure: s.d.Measures[m], Values: make([]int64, s.count)}
		if s.d.Regime == RegimePrivacy {
			c.Low, c.High = make([]int64, s.count), make([]int64, s.count)
		}
		v.Columns = append(v.Columns, c)
	}
	return v
}

// Select takes the cells of a selection. round is needed where the descriptor says
// fingerprint, and not used elsewhere: there values are rounded to the nearest
// multiple of Round. The table is a valid one of the selection's descriptor.
func (t *Table) Select(s *Selection, round Rounding) (*View, error) {
	if !s.d.Fingerprint {
		round = s.d.nearest
	} else if round == nil {
		return nil, fmt.Errorf("%w: the product's values are rounded for every recipient", ErrRounding)
	}
	v := s.blank()
	r := reading{s: s, from: &t.Groups[s.group], round: round}
	if s.sum {
		return v, r.sum(v)
	}
	return v, r.gather(v)
}

// nearest is the rounding of products without fingerprints; halves go up.
func (d *Descriptor) nearest(_, measure int, _ []uint32, values []int64) error {
	base := d.Measures[measure].Round
	for i, v := range values {
		values[i] = floorTo(v+base/2, base)
	}
	return nil
}

// block is how many cells are rounded in one call.
const block = 1 << 12

type reading struct {
	s     *Selection
	from  *Cells
	round Rounding
}

// rounded copies the values of cells into out and rounds them. It holds the
// rounding to its promise: the next multiple, up or down.
func (r *reading) rounded(i int, cells []uint32, out []int64) error {
	values, measure := r.from.Values[r.s.slots[i]], r.s.measures[i]
	for j, cell := range cells {
		out[j] = values[cell]
	}
	base := r.s.d.Measures[measure].Round
	if base == 1 {
		return nil
	}
	if err := r.round(r.s.group, measure, cells, out); err != nil {
		return fmt.Errorf("%w: %w", ErrRounding, err)
	}
	for j, cell := range cells {
		if r.from.Status[cell] != Released {
			out[j] = 0
			continue
		}
		if moved := out[j] - values[cell]; moved <= -base || moved >= base || out[j]%base != 0 {
			return fmt.Errorf("%w: a value is not at one of the next two multiples", ErrRounding)
		}
	}
	return nil
}

// gather takes cells as they are published.
func (r *reading) gather(v *View) error {
	cells := make([]uint32, v.Rows())
	stride := 1
	for d, k := range slices.Backward(r.s.sides) {
		for i, code := range v.Sides[d].Codes {
			cells[i] += code * uint32(stride)
		}
		stride *= len(k.labels)
	}
	for i, cell := range cells {
		v.Status[i] = r.from.Status[cell]
	}
	for i := range v.Columns {
		c := &v.Columns[i]
		for first := 0; first < len(cells); first += block {
			end := min(first+block, len(cells))
			if err := r.rounded(i, cells[first:end], c.Values[first:end]); err != nil {
				return err
			}
		}
		if c.Low != nil {
			r.intervals(i, cells, v.Status, c)
		}
	}
	return nil
}

func (r *reading) intervals(i int, cells []uint32, status []Status, c *Column) {
	slot, base := r.s.slots[i], c.Measure.Round
	values, low, high := r.from.Values[slot], r.from.Low[slot], r.from.High[slot]
	for j, cell := range cells {
		if status[j] == Released {
			c.Low[j] = c.Values[j] - ceilTo(values[cell]-low[cell], base)
			c.High[j] = c.Values[j] + ceilTo(high[cell]-values[cell], base)
		}
	}
}
