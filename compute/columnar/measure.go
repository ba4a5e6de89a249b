package columnar

import (
	"math"
	"math/bits"
)

// gauge is a measure in use: its bounds and, for floating-point numbers, the scale by
// which they become integers.
type gauge struct {
	spec                *Measure
	col                 int
	kind                kind
	clamp               bool
	intLow, intHigh     int64
	floatLow, floatHigh float64
	intEdges            []int64
	floatEdges          []float64
	scale               float64 // 1 / unit
}

func newGauge(m *Measure, col int, k kind) *gauge {
	g := &gauge{spec: m, col: col, kind: k, scale: 1}
	if m.Bounds != nil {
		g.clamp = true
		g.intLow, g.intHigh = m.Bounds[0].i, m.Bounds[1].i
		g.floatLow, g.floatHigh = m.Bounds[0].f, m.Bounds[1].f
		g.quantum(max(math.Abs(g.floatLow), math.Abs(g.floatHigh)))
	}
	for _, e := range m.Edges {
		g.intEdges = append(g.intEdges, e.i)
		g.floatEdges = append(g.floatEdges, e.f)
	}
	return g
}

// quantum sets the scale for values of at most that magnitude: the largest power of
// two that keeps them at or below 2^62 as integers. It is at most 2^1022, so that it and
// its inverse are normal numbers: scaling is exact, and values below 2^-960 have a
// coarser quantum than their size would allow, of 2^-1022.
func (g *gauge) quantum(largest float64) {
	if g.kind != floating {
		return
	}
	_, exp := math.Frexp(largest) // largest < 2^exp
	if largest == 0 {
		exp = 0
	}
	g.scale = math.Ldexp(1, min(62-exp, 1022))
}

// gaugeReader is one worker's accumulators for a measure. Each has an element per cell
// and one more, the last, where rows go that do not count.
type gaugeReader struct {
	*gauge
	nulls   []int64 // rows without a value
	sums    []Int128
	squares []uint192
	// Sums of small values gather in 64 bits, room says for how much more.
	pack         *pack // nil where nothing is accumulated
	slot         int
	room         uint64
	wide         bool // the last block's values were large
	narrowSquare []uint64
	roomSquare   uint64

	intMin, intMax     []int64
	floatMin, floatMax []float64
	buckets            []int64

	clamped, unreal int64

	// Of the block: its values as integers, and the cells they go to.
	values []int64
	floats []float64
	cells  []uint32

	valueBuf []int64
	floatBuf []float64
	cellBuf  []uint32
}

func newGaugeReader(g *gauge, cells int) *gaugeReader {
	r := &gaugeReader{gauge: g, nulls: make([]int64, cells+1)}
	want := g.spec.Want
	if want&(Sum|Squares) != 0 {
		r.sums, r.room = make([]Int128, cells+1), math.MaxInt64
	}
	if want&Squares != 0 {
		r.squares, r.narrowSquare, r.roomSquare = make([]uint192, cells+1), make([]uint64, cells+1), math.MaxUint64
	}
	if want&Extremes != 0 && g.kind == integer {
		r.intMin, r.intMax = filled(cells+1, int64(math.MaxInt64)), filled(cells+1, int64(math.MinInt64))
	}
	if want&Extremes != 0 && g.kind == floating {
		r.floatMin, r.floatMax = filled(cells+1, math.Inf(1)), filled(cells+1, math.Inf(-1))
	}
	if len(g.spec.Edges) > 0 {
		r.buckets = make([]int64, (cells+1)*(len(g.spec.Edges)+1))
	}
	return r
}

func filled[T any](n int, v T) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// take reads the block: it clamps, rounds to the quantum, and sends nulls and what is
// not finite to the spare cell.
func (r *gaugeReader) take(cells []uint32, c *column) {
	spare := uint32(len(r.nulls) - 1)
	r.cells = cells
	if len(c.null) > 0 {
		r.ownCells()
		for _, i := range c.null {
			r.nulls[cells[i]]++
			r.cells[i] = spare
		}
	}
	if r.kind == integer {
		r.values = c.ints
		if r.clamp {
			r.values = sized(&r.valueBuf, len(c.ints))
			if clampInts(r.values, c.ints, r.intLow, r.intHigh) {
				for i, v := range c.ints {
					r.clamped += int64(one(v != r.values[i]) & one(r.cells[i] != spare))
				}
			}
		}
		return
	}
	r.floats = sized(&r.floatBuf, len(c.floats))
	r.values = sized(&r.valueBuf, len(c.floats))
	for i, v := range c.floats {
		if v-v != 0 {
			r.reject(i, cells)
			v = 0
		}
		if r.clamp {
			w := min(max(v, r.floatLow), r.floatHigh)
			r.clamped += int64(one(v != w) & one(r.cells[i] != spare))
			v = w
		}
		if v == 0 {
			v = 0 // a negative zero is zero
		}
		r.floats[i] = v
		r.values[i] = int64(math.RoundToEven(v * r.scale))
	}
}

// clampInts says whether any value changed.
func clampInts(out, values []int64, low, high int64) bool {
	var changed int64
	out = out[:len(values)]
	for i, v := range values {
		w := min(max(v, low), high)
		changed |= v ^ w
		out[i] = w
	}
	return changed != 0
}

func (r *gaugeReader) ownCells() {
	r.cells = append(r.cellBuf[:0], r.cells...)
	r.cellBuf = r.cells
}

// reject makes a NaN or an infinity a null.
func (r *gaugeReader) reject(i int, cells []uint32) {
	spare := uint32(len(r.nulls) - 1)
	if r.cells[i] == spare {
		return
	}
	if &r.cells[0] == &cells[0] {
		r.ownCells()
	}
	r.unreal++
	r.nulls[cells[i]]++
	r.cells[i] = spare
}

// accumulate adds the block that was taken, sums apart, which are the pack's.
func (r *gaugeReader) accumulate() {
	if r.intMin != nil {
		extremes(r.intMin, r.intMax, r.cells, r.values)
	}
	if r.floatMin != nil {
		extremes(r.floatMin, r.floatMax, r.cells, r.floats)
	}
	if r.buckets != nil && r.kind == integer {
		histogram(r.buckets, r.cells, r.values, r.intEdges)
	}
	if r.buckets != nil && r.kind == floating {
		histogram(r.buckets, r.cells, r.floats, r.floatEdges)
	}
}

func (r *gaugeReader) accumulateSquares(most uint64) {
	if r.squares == nil {
		return
	}
	over, square := bits.Mul64(most, most)
	more, total := bits.Mul64(square, uint64(len(r.values)))
	if over|more != 0 || total >= 1<<58 {
		addWideSquares(r.squares, r.cells, r.values)
		return
	}
	if total > r.roomSquare {
		r.flushSquares()
	}
	r.roomSquare -= total
	addNarrowSquares(r.narrowSquare, r.cells, r.values)
}

// magnitude bounds |v| from above, within a factor of two, by the OR of the values' bits.
func magnitude(values []int64) uint64 {
	var or int64
	for _, v := range values {
		or |= v ^ v>>63
	}
	return above(or)
}

// above gives a power of two: at most 2^63, which only the smallest integer reaches.
func above(or int64) uint64 { return 1 << bits.Len64(uint64(or)) }

func addWide(sums []Int128, cells []uint32, values []int64) {
	cells = cells[:len(values)]
	for i, v := range values {
		sums[cells[i]].add(v)
	}
}

func addNarrowSquares(sums []uint64, cells []uint32, values []int64) {
	cells = cells[:len(values)]
	for i, v := range values {
		sums[cells[i]] += uint64(v * v)
	}
}

func addWideSquares(sums []uint192, cells []uint32, values []int64) {
	cells = cells[:len(values)]
	for i, v := range values {
		sums[cells[i]].addSquare(v)
	}
}

func extremes[T int64 | float64](low, high []T, cells []uint32, values []T) {
	cells = cells[:len(values)]
	for i, v := range values {
		c := cells[i]
		low[c], high[c] = min(low[c], v), max(high[c], v)
	}
}

func histogram[T int64 | float64](buckets []int64, cells []uint32, values []T, edges []T) {
	cells = cells[:len(values)]
	for i, v := range values {
		buckets[int(cells[i])*(len(edges)+1)+atOrBelow(edges, v)]++
	}
}

func (r *gaugeReader) flushSquares() {
	for i, v := range r.narrowSquare {
		r.squares[i].merge(uint192{lo: v})
	}
	clear(r.narrowSquare)
	r.roomSquare = math.MaxUint64
}

// merge adds other accumulators, whose cell i goes to cell to[i].
func (r *gaugeReader) merge(o *gaugeReader, to []uint32) {
	for i, v := range o.nulls {
		r.nulls[to[i]] += v
	}
	for i, v := range o.sums {
		r.sums[to[i]].merge(v)
	}
	for i, v := range o.squares {
		r.squares[to[i]].merge(v)
	}
	for i, v := range o.intMin {
		t := to[i]
		r.intMin[t], r.intMax[t] = min(r.intMin[t], v), max(r.intMax[t], o.intMax[i])
	}
	for i, v := range o.floatMin {
		t := to[i]
		r.floatMin[t], r.floatMax[t] = min(r.floatMin[t], v), max(r.floatMax[t], o.floatMax[i])
	}
	n := len(r.spec.Edges) + 1
	for i, v := range o.buckets {
		r.buckets[int(to[i/n])*n+i%n] += v
	}
	r.clamped += o.clamped
	r.unreal += o.unreal
}

// finish flushes what is narrow. Nothing is accumulated after it.
func (r *gaugeReader) finish() {
	r.flush()
	r.flushSquares()
	r.pack, r.narrowSquare = nil, nil
}
