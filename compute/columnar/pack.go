package columnar

import (
	"math"
	"math/bits"
)

// packWidth is how many measures share a pack: with the count of rows, a cell's slots fill
// half a cache line, and one pass over the block adds to all of them.
const packWidth = 3

// pack has, by cell, 64-bit sums of up to three measures beside each other: slot 0
// counts rows, slot 1+i is of the pack's gauge i. A gauge says how much more its slot has room
// for and flushes it to 128 bits before it could wrap.
type pack struct {
	slots  [][1 + packWidth]int64 // by cell, and the spare one
	gauges []*gaugeReader
}

// newPacks shares the gauges that sum out; there is one pack at least, for the rows.
func newPacks(gauges []*gaugeReader, cells int) []*pack {
	packs := []*pack{{slots: make([][1 + packWidth]int64, cells+1)}}
	for _, g := range gauges {
		if g.sums == nil {
			continue
		}
		p := packs[len(packs)-1]
		if len(p.gauges) == packWidth {
			p = &pack{slots: make([][1 + packWidth]int64, cells+1)}
			packs = append(packs, p)
		}
		p.gauges = append(p.gauges, g)
		g.pack, g.slot = p, len(p.gauges)
	}
	return packs
}

// accumulate adds the block's rows, and the values that the gauges have taken. Gauges
// whose values go to the same cells as the rows, and are small, are added in one pass.
func (p *pack) accumulate(cells []uint32) {
	var or [packWidth]int64
	together := len(p.gauges) > 0
	for _, g := range p.gauges {
		together = together && !g.wide && len(g.cells) > 0 && &g.cells[0] == &cells[0]
	}
	if !together {
		addRows(p.slots, cells)
		for _, g := range p.gauges {
			g.accumulateSums()
		}
		return
	}
	switch g := p.gauges; len(g) {
	case 1:
		or[0] = addOne(p.slots, cells, g[0].values)
	case 2:
		or[0], or[1] = addTwo(p.slots, cells, g[0].values, g[1].values)
	case 3:
		or[0], or[1], or[2] = addThree(p.slots, cells, g[0].values, g[1].values, g[2].values)
	}
	for i, g := range p.gauges {
		g.settle(above(or[i]))
	}
}

func addRows(slots [][1 + packWidth]int64, cells []uint32) {
	for _, c := range cells {
		slots[c][0]++
	}
}

// addOne gives the OR of v ^ v>>63, which bounds the magnitudes, as do the others.
func addOne(slots [][1 + packWidth]int64, cells []uint32, u []int64) (a int64) {
	u = u[:len(cells)]
	for i, c := range cells {
		s, x := &slots[c], u[i]
		s[0]++
		s[1] += x
		a |= x ^ x>>63
	}
	return a
}

func addTwo(slots [][1 + packWidth]int64, cells []uint32, u, v []int64) (a, b int64) {
	u, v = u[:len(cells)], v[:len(cells)]
	for i, c := range cells {
		s, x, y := &slots[c], u[i], v[i]
		s[0]++
		s[1] += x
		s[2] += y
		a |= x ^ x>>63
		b |= y ^ y>>63
	}
	return a, b
}

func addThree(slots [][1 + packWidth]int64, cells []uint32, u, v, w []int64) (a, b, c int64) {
	u, v, w = u[:len(cells)], v[:len(cells)], w[:len(cells)]
	for i, cell := range cells {
		s, x, y, z := &slots[cell], u[i], v[i], w[i]
		s[0]++
		s[1] += x
		s[2] += y
		s[3] += z
		a |= x ^ x>>63
		b |= y ^ y>>63
		c |= z ^ z>>63
	}
	return a, b, c
}

// add adds one gauge's values to its slot, subtract takes them out again.
func (p *pack) add(slot int, cells []uint32, values []int64) (or int64) {
	cells = cells[:len(values)]
	for i, v := range values {
		p.slots[cells[i]][slot&packWidth] += v
		or |= v ^ v>>63
	}
	return or
}

func (p *pack) subtract(slot int, cells []uint32, values []int64) {
	cells = cells[:len(values)]
	for i, v := range values {
		p.slots[cells[i]][slot&packWidth] -= v
	}
}

// accumulateSums adds the gauge's block alone. A block of large values goes to the wide sums,
// and so do the next, until one is small again.
func (r *gaugeReader) accumulateSums() {
	if !r.wide {
		r.settle(above(r.pack.add(r.slot, r.cells, r.values)))
		return
	}
	most := magnitude(r.values)
	_, fits := r.total(most)
	addWide(r.sums, r.cells, r.values)
	r.wide = !fits
	r.accumulateSquares(most)
}

// settle is after the block was added to the slot, with values of at most that
// magnitude, before it was known to have the room: it takes them out again where it does not.
// Both are exact modulo 2^64.
func (r *gaugeReader) settle(most uint64) {
	total, fits := r.total(most)
	if !fits || total > r.room {
		r.pack.subtract(r.slot, r.cells, r.values)
		r.flush()
		if fits {
			r.pack.add(r.slot, r.cells, r.values)
		} else {
			addWide(r.sums, r.cells, r.values)
		}
	}
	if fits {
		r.room -= total
	}
	r.wide = !fits
	r.accumulateSquares(most)
}

// total bounds what the block adds to a cell, and says whether that is worth a slot.
func (r *gaugeReader) total(most uint64) (uint64, bool) {
	over, total := bits.Mul64(most, uint64(len(r.values)))
	return total, over == 0 && total < 1<<58
}

// flush moves the slot's sums to the wide ones.
func (r *gaugeReader) flush() {
	if r.pack == nil {
		return
	}
	for i := range r.pack.slots {
		v := &r.pack.slots[i][r.slot]
		r.sums[i].add(*v)
		*v = 0
	}
	r.room = math.MaxInt64
}
