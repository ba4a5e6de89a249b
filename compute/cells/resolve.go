package cells

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Selection is a query that was found to be answerable: which cells it means, of
// which grouping. It is made by Resolve and immutable.
type Selection struct {
	d        *Descriptor
	group    int // published grouping that is read
	sum      bool
	sides    []kept // of the answer, in the order of axes
	codes    [][]bool
	measures []int // indices into the descriptor's measures
	slots    []int // the same, as indices into the group's
	total    int
	first    int
	count    int
}

// kept is a side of the answer: the codes that are left of it, ascending.
type kept struct {
	side
	codes []int
}

// Resolve says what a query means. It needs no data, so that what is metered is
// known beforehand. The descriptor is valid, and is not changed afterwards.
func (d *Descriptor) Resolve(q Query) (*Selection, error) {
	if err := q.validate(); err != nil {
		return nil, err
	}
	grid, err := d.grid(q.By)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(grid, func(a, b side) int { return a.axis - b.axis })
	s := &Selection{d: d, first: q.First}
	if s.codes, err = d.filter(q); err != nil {
		return nil, err
	}
	if err := s.keep(grid); err != nil {
		return nil, err
	}
	if err := s.from(q, grid); err != nil {
		return nil, err
	}
	if err := s.take(q.Measures); err != nil {
		return nil, err
	}
	return s, s.page(q)
}

// filter gives for every axis which of its finest codes the conditions keep; nil
// for an axis without.
func (d *Descriptor) filter(q Query) ([][]bool, error) {
	keep := make([][]bool, len(d.Axes))
	for _, name := range q.conditions() {
		s, ok := d.side(name)
		if !ok {
			return nil, &QueryError{Problem: UnknownName, Field: "where", Name: name, Published: listed(d.names())}
		}
		wanted, err := s.pick(q.Where[name])
		if err != nil {
			return nil, err
		}
		axis := &d.Axes[s.axis]
		if keep[s.axis] == nil {
			keep[s.axis] = slices.Repeat([]bool{true}, len(axis.Codes))
		}
		for code := range axis.Codes {
			at := code
			if s.level >= 0 {
				at = axis.Levels[s.level].Of[code]
			}
			keep[s.axis][code] = keep[s.axis][code] && wanted[at]
		}
	}
	return keep, nil
}

// pick marks the labels named.
func (s *side) pick(labels []string) ([]bool, error) {
	index := make(map[string]int, len(s.labels))
	for i, l := range s.labels {
		index[l] = i
	}
	wanted := make([]bool, len(s.labels))
	for _, l := range labels {
		i, ok := index[l]
		if !ok {
			return nil, &QueryError{Problem: UnknownCode, Field: "where." + s.name, Name: l, Published: listed(s.labels)}
		}
		if wanted[i] {
			return nil, &QueryError{Problem: Twice, Field: "where." + s.name, Name: l}
		}
		wanted[i] = true
	}
	return wanted, nil
}

// of gives the index on this side of a finest code of its axis.
func (s *side) of(d *Descriptor, code int) int {
	if s.level < 0 {
		return code
	}
	return d.Axes[s.axis].Levels[s.level].Of[code]
}

// keep finds the codes of every side that a kept finest code belongs to.
func (s *Selection) keep(grid []side) error {
	for axis, codes := range s.codes {
		if codes != nil && !slices.Contains(codes, true) {
			return &QueryError{Problem: NoCodes, Field: "where", Name: s.d.Axes[axis].Name}
		}
	}
	n := uint64(1)
	for _, side := range grid {
		k := kept{side: side}
		present := make([]bool, len(side.labels))
		for code := range s.d.Axes[side.axis].Codes {
			if s.codes[side.axis] == nil || s.codes[side.axis][code] {
				present[side.of(s.d, code)] = true
			}
		}
		for i, p := range present {
			if p {
				k.codes = append(k.codes, i)
			}
		}
		s.sides = append(s.sides, k)
		_, n = bits.Mul64(n, uint64(len(k.codes))) // at most a finest cell each
	}
	s.total = int(n)
	return nil
}

// from decides what is read: the published grouping of that name if the
// conditions cut it along its cells, else, under privacy, the finest.
func (s *Selection) from(q Query, grid []side) error {
	by := make([]string, len(grid))
	for i, side := range grid {
		by[i] = side.name
	}
	s.group = slices.IndexFunc(s.d.Groups, func(g Group) bool { return slices.Equal(g.By, by) })
	s.sum = s.group < 0 || !s.cuts(q)
	if !s.sum {
		return nil
	}
	s.group = 0
	if s.d.Regime == RegimePrivacy {
		return nil
	}
	var published []string
	for _, g := range s.d.Groups {
		published = append(published, "["+strings.Join(g.By, ", ")+"]")
	}
	asked := "[" + strings.Join(by, ", ") + "]"
	for _, name := range q.conditions() {
		asked += " where " + name
	}
	return &QueryError{Problem: NotPublished, Field: "by", Name: asked, Published: listed(published)}
}

// cuts says whether every cell of the grouping is kept whole or not at all.
func (s *Selection) cuts(q Query) bool {
	for _, name := range q.conditions() {
		condition, _ := s.d.side(name)
		i := slices.IndexFunc(s.sides, func(k kept) bool { return k.axis == condition.axis })
		if i < 0 {
			return false
		}
		whole := &s.sides[i]
		for code, keep := range s.codes[condition.axis] {
			if _, present := slices.BinarySearch(whole.codes, whole.of(s.d, code)); present && !keep {
				return false
			}
		}
	}
	return true
}

// take finds the measures.
func (s *Selection) take(names []string) error {
	group := &s.d.Groups[s.group]
	for _, name := range names {
		known := slices.ContainsFunc(s.d.Measures, func(m Measure) bool { return m.Name == name })
		if !known {
			return &QueryError{Problem: UnknownName, Field: "measures", Name: name, Published: listed(s.d.measureNames(nil))}
		}
		if !slices.ContainsFunc(group.Measures, func(m int) bool { return s.d.Measures[m].Name == name }) {
			return &QueryError{Problem: NotInGrouping, Field: "measures", Name: name, Published: listed(s.d.measureNames(group.Measures))}
		}
	}
	for slot, m := range group.Measures {
		measure := &s.d.Measures[m]
		if len(names) > 0 && !slices.Contains(names, measure.Name) {
			continue
		}
		if s.sum && !(measure.addsUp() && group.HalfWidths[slot] > 0) {
			return &QueryError{Problem: DoesNotAddUp, Field: "measures", Name: measure.Name}
		}
		s.measures, s.slots = append(s.measures, m), append(s.slots, slot)
	}
	return nil
}

// addsUp says whether the measure of a union of cells is the sum over them.
func (m *Measure) addsUp() bool { return m.Is == IsCount || m.Is == IsSum || m.Is == IsHistogram }

// measureNames of the indices, or of all.
func (d *Descriptor) measureNames(of []int) (out []string) {
	for i, m := range d.Measures {
		if (of == nil || slices.Contains(of, i)) && !slices.Contains(out, m.Name) {
			out = append(out, m.Name)
		}
	}
	return out
}

func (s *Selection) page(q Query) error {
	if q.First >= s.total {
		return &QueryError{Problem: BeyondEnd, Field: "first", Name: fmt.Sprint(q.First)}
	}
	s.count = s.total - q.First
	if q.Count > 0 {
		s.count = min(s.count, q.Count)
	}
	return nil
}

// Cells is how many cells the answer has, whatever their status: what is metered.
func (s *Selection) Cells() int { return s.count }

// Total is how many there are over all pages.
func (s *Selection) Total() int { return s.total }

// Next is the first cell of the page behind this one; false at the end.
func (s *Selection) Next() (first int, more bool) {
	end := s.first + s.count
	return end, end < s.total
}

// IsSum says that cells of the finest grouping are added up: no published
// grouping has this answer.
func (s *Selection) IsSum() bool { return s.sum }

// Within says whether every cell selected lies within codes of an axis or level:
// an entitlement (授权范围). A grouping that does not tell them apart is within
// only if all codes are. The first code outside is named, else empty.
func (s *Selection) Within(dimension string, codes []string) (outside string, ok bool, err error) {
	limit, found := s.d.side(dimension)
	if !found {
		return "", false, &QueryError{Problem: UnknownName, Field: "where", Name: dimension, Published: listed(s.d.names())}
	}
	allowed, err := limit.pick(codes)
	if err != nil {
		return "", false, err
	}
	for code := range s.d.Axes[limit.axis].Codes {
		if at := limit.of(s.d, code); !allowed[at] && s.touches(limit.axis, code) {
			return limit.labels[at], false, nil
		}
	}
	return "", true, nil
}

// touches says whether a row with that finest code may be in a selected cell.
func (s *Selection) touches(axis, code int) bool {
	if s.sum && s.codes[axis] != nil && !s.codes[axis][code] {
		return false
	}
	for i := range s.sides {
		if side := &s.sides[i]; side.axis == axis {
			_, present := slices.BinarySearch(side.codes, side.of(s.d, code))
			return present
		}
	}
	return true
}
