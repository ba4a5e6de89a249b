package columnar

import (
	"cmp"
	"slices"
)

// Share is what one subject has in a cell.
type Share struct {
	// Subject numbers the cube's subjects in ascending order of what they are called, so
	// that it does not depend on the order of the rows. It is the same in all cells.
	Subject uint64
	Rows    int64
	Sums    []Int128 // by measure that wants Sum, in its Unit; empty without Spec.Largest
}

// Shares lists the cell's subjects, ascending; none without a subject.
func (c *Cube) Shares(cell int) []Share {
	if c.pairs == nil {
		return nil
	}
	place := c.subjects.places()
	var out []Share
	for _, e := range c.pairs.of(cell) {
		w := c.pairs.width
		out = append(out, Share{Subject: uint64(place[uint32(c.pairs.index.keys[e])]), Rows: c.pairs.rows[e],
			Sums: c.pairs.sums[int(e)*w : int(e)*w+w]})
	}
	slices.SortFunc(out, func(a, b Share) int { return cmp.Compare(a.Subject, b.Subject) })
	return out
}

// places gives each subject's place in ascending order. The column is of one kind, so
// that either numbers or names are none.
func (s *subjects) places() []uint32 {
	s.once.Do(func() {
		order := identity(len(s.ints.keys) + len(s.names))
		slices.SortFunc(order, func(a, b uint32) int {
			if len(s.names) > 0 {
				return cmp.Compare(s.names[a], s.names[b])
			}
			return cmp.Compare(int64(s.ints.keys[a]), int64(s.ints.keys[b]))
		})
		s.place = make([]uint32, len(order))
		for i, n := range order {
			s.place[n] = uint32(i)
		}
	})
	return s.place
}
