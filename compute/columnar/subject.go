package columnar

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
)

// hashIndex numbers distinct keys in the order in which they come. Nothing that leaves
// the package depends on that order or on the seed.
type hashIndex struct {
	seed  uint64
	keys  []uint64
	slots []uint32 // 1 + the number of the key; 0 is free
	hints []uint32
}

// numbers gives the numbers of many keys. The slots are read ahead in a loop of their own,
// whose cache misses overlap; a hint that is out of date is looked up again.
func (h *hashIndex) numbers(out []uint32, keys []uint64) {
	hints := sized(&h.hints, len(keys))
	for i, key := range keys {
		hints[i] = h.slots[h.slot(key)]
	}
	for i, key := range keys {
		if n := hints[i]; n != 0 && h.keys[n-1] == key {
			out[i] = n - 1
		} else {
			out[i] = h.number(key)
		}
	}
}

func newHashIndex() *hashIndex {
	return &hashIndex{seed: rand.Uint64() | 1, slots: make([]uint32, 1<<10)}
}

func (h *hashIndex) slot(key uint64) uint64 {
	high, low := bits.Mul64(key^h.seed, 0x9e3779b97f4a7c15)
	return (high ^ low) & uint64(len(h.slots)-1)
}

// number gives the key's number, a new one where it is new.
func (h *hashIndex) number(key uint64) uint32 {
	s := h.slot(key)
	for ; h.slots[s] != 0; s = (s + 1) & uint64(len(h.slots)-1) {
		if n := h.slots[s] - 1; h.keys[n] == key {
			return n
		}
	}
	h.keys = append(h.keys, key)
	h.slots[s] = uint32(len(h.keys))
	if 2*len(h.keys) > len(h.slots) {
		h.grow()
	}
	return uint32(len(h.keys) - 1)
}

func (h *hashIndex) grow() {
	h.slots = make([]uint32, 2*len(h.slots))
	for n, key := range h.keys {
		s := h.slot(key)
		for h.slots[s] != 0 {
			s = (s + 1) & uint64(len(h.slots)-1)
		}
		h.slots[s] = uint32(n + 1)
	}
}

// subjects numbers the subjects of an integer or text column.
type subjects struct {
	ints  *hashIndex
	texts map[string]uint32
	names []string

	once  sync.Once
	place []uint32 // see places
}

func newSubjects() *subjects {
	return &subjects{ints: newHashIndex(), texts: make(map[string]uint32)}
}

func (s *subjects) number(c *column, i int) uint32 {
	if c.kind == integer {
		return s.ints.number(uint64(c.ints[i]))
	}
	return s.text(c.texts[i])
}

func (s *subjects) text(name string) uint32 {
	n, ok := s.texts[name]
	if !ok {
		n = uint32(len(s.names))
		name = string([]byte(name)) // the record's memory is not kept
		s.texts[name] = n
		s.names = append(s.names, name)
	}
	return n
}

// merge takes another's subjects and gives their numbers here.
func (s *subjects) merge(o *subjects) []uint32 {
	var to []uint32
	for _, k := range o.ints.keys {
		to = append(to, s.ints.number(k))
	}
	for _, n := range o.names {
		to = append(to, s.text(n))
	}
	return to
}

// pairs has an entry per cell and subject that occur together. Entry 0 is spare: it
// takes what does not count.
type pairs struct {
	index *hashIndex // of cell ‖ subject
	rows  []int64
	sums  []Int128 // by entry, then by measure that is summed
	width int
	order []uint32 // entries by cell, and where each cell's begin: see sort
	first []uint32
}

const sparePair = ^uint64(0)

func newPairs(width int) *pairs {
	p := &pairs{index: newHashIndex(), width: width}
	p.entry(sparePair)
	return p
}

func (p *pairs) entry(key uint64) uint32 {
	e := p.index.number(key)
	p.extend()
	return e
}

// extend gives new keys their entries.
func (p *pairs) extend() {
	n := len(p.index.keys)
	p.rows = append(p.rows, make([]int64, n-len(p.rows))...)
	p.sums = append(p.sums, make([]Int128, n*p.width-len(p.sums))...)
}

func pairKey(cell, subject uint32) uint64 { return uint64(cell)<<32 | uint64(subject) }

// add adds measure j of a block whose rows belong to these entries.
func (p *pairs) add(entries, cells []uint32, values []int64, j int, spare uint32) {
	for i, e := range entries {
		if cells[i] == spare {
			e = 0
		}
		p.sums[int(e)*p.width+j].add(values[i])
	}
}

// merge adds other entries under other numbers of cells and, unless nil, subjects.
func (p *pairs) merge(o *pairs, cells, subjects []uint32) {
	for n, key := range o.index.keys {
		if key == sparePair {
			continue
		}
		subject := uint32(key)
		if subjects != nil {
			subject = subjects[subject]
		}
		e := int(p.entry(pairKey(cells[key>>32], subject)))
		p.rows[e] += o.rows[n]
		for j := range p.width {
			p.sums[e*p.width+j].merge(o.sums[n*p.width+j])
		}
	}
}

// sort brings the entries in the order of their cells, by counting.
func (p *pairs) sort(cells int) {
	p.first = make([]uint32, cells+1)
	for _, key := range p.index.keys {
		if key != sparePair {
			p.first[key>>32+1]++
		}
	}
	for c := range cells {
		p.first[c+1] += p.first[c]
	}
	next := slices.Clone(p.first)
	p.order = make([]uint32, p.first[cells])
	for n, key := range p.index.keys {
		if key != sparePair {
			p.order[next[key>>32]] = uint32(n)
			next[key>>32]++
		}
	}
}

func (p *pairs) of(cell int) []uint32 { return p.order[p.first[cell]:p.first[cell+1]] }

// Contributions tells how a cell's total is shared out among its subjects. A subject's
// contribution is the magnitude of the sum of its own rows, in the measure's Unit.
type Contributions struct {
	Largest []Int128 // descending, at most Spec.Largest
	Total   Int128   // of all subjects
}

// contributions of a cell: of measure j, or of rows where j is negative.
func (p *pairs) contributions(cell, j, largest int) Contributions {
	var out Contributions
	for _, e := range p.of(cell) {
		v := Int128{Lo: uint64(p.rows[e])}
		if j >= 0 {
			v = p.sums[int(e)*p.width+j].abs()
		}
		out.Total.merge(v)
		at := len(out.Largest)
		for at > 0 && out.Largest[at-1].less(v) {
			at--
		}
		if at < largest {
			if len(out.Largest) == largest {
				out.Largest = out.Largest[:largest-1]
			}
			out.Largest = slices.Insert(out.Largest, at, v)
		}
	}
	return out
}
