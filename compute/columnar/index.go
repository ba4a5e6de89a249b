package columnar

import "slices"

// missed marks, in a row's cell index, that dimension d has no code for it: bit
// 24 + d, above every cell.
const (
	cellBits = 24
	cellMask = 1<<cellBits - 1
)

func missed(d int) uint32 { return 1 << (cellBits + d) }

// maxTable bounds the span of integers which a dimension looks up in a table rather
// than by search.
const maxTable = 1 << 14

// axis is a dimension in use: every code is multiplied by the stride, and a row's cell
// is their sum.
type axis struct {
	spec   *Dimension
	col    int // -1 with conditions
	stride uint32
	codes  []Code // of the cells, in order

	other, null uint32 // what a row gets without a code

	// By kind of column. Integers: table[1+v-base] with table[0] for other, or else a
	// search in ints. A search gives how many of the ascending bounds are at or below
	// the value, and found the cell's part for it.
	table  []uint32
	base   int64
	ints   []int64
	floats []float64
	exact  bool // codes, and not bins: the bound below has to equal the value
	found  []uint32
	texts  *texts

	conditions []*condition
}

// Kind of a code.
type CodeKind uint8

const (
	CodeValue CodeKind = iota // Low is the code
	CodeBin                   // [Low, High)
	CodeOther                 // all values that are none of the others
	CodeNull
	CodeFails // not all of the conditions hold
	CodeHolds // all of them do
)

// Code is one position on a dimension.
type Code struct {
	Kind      CodeKind
	Low, High Value
}

// fix fixes the codes of what is dimension d; learned are those that occur, in order.
func (a *axis) fix(d int, learned []Value) {
	spec := a.spec
	a.other, a.null = missed(d), missed(d)
	if len(a.conditions) > 0 {
		a.codes = []Code{{Kind: CodeFails}, {Kind: CodeHolds}}
		return
	}
	codes := spec.Codes
	if spec.Learn > 0 {
		codes = learned
	}
	for _, v := range codes {
		a.codes = append(a.codes, Code{Kind: CodeValue, Low: v})
	}
	for i := 1; i < len(spec.Edges); i++ {
		a.codes = append(a.codes, Code{Kind: CodeBin, Low: spec.Edges[i-1], High: spec.Edges[i]})
	}
	if spec.Other == Keep {
		a.other = uint32(len(a.codes))
		a.codes = append(a.codes, Code{Kind: CodeOther})
	}
	if spec.Null == Keep {
		a.null = uint32(len(a.codes))
		a.codes = append(a.codes, Code{Kind: CodeNull})
	}
}

// place fixes the stride and makes the tables.
func (a *axis) place(stride uint32) {
	a.stride = stride
	if a.other <= cellMask {
		a.other *= stride
	}
	if a.null <= cellMask {
		a.null *= stride
	}
	switch {
	case len(a.conditions) > 0:
		return
	case len(a.spec.Edges) > 0:
		a.placeBins()
		return
	}
	part := make(map[Value]uint32)
	named := make(map[string]uint32)
	a.exact = true
	for i, c := range a.codes {
		if c.Kind == CodeValue {
			part[c.Low] = uint32(i) * stride
			if c.Low.kind == text {
				named[c.Low.s] = uint32(i) * stride
			} else {
				a.ints = append(a.ints, c.Low.i)
			}
		}
	}
	a.texts = newTexts(named)
	slices.Sort(a.ints)
	a.found = []uint32{a.other}
	for _, v := range a.ints {
		a.found = append(a.found, part[Int(v)])
	}
	a.tabulate()
}

func (a *axis) placeBins() {
	a.found = []uint32{a.other}
	for i, e := range a.spec.Edges {
		if e.kind == integer {
			a.ints = append(a.ints, e.i)
		} else {
			a.floats = append(a.floats, e.f)
		}
		a.found = append(a.found, uint32(i)*a.stride)
	}
	a.found[len(a.spec.Edges)] = a.other
	a.tabulate()
}

// tabulate makes the table where the integers span little.
func (a *axis) tabulate() {
	if len(a.ints) == 0 {
		return
	}
	low, high := a.ints[0], a.ints[len(a.ints)-1]
	if span := uint64(high) - uint64(low); span >= maxTable {
		return
	}
	a.base = low
	a.table = []uint32{a.other}
	for v := low; ; v++ {
		a.table = append(a.table, a.search(v))
		if v == high {
			return
		}
	}
}

func (a *axis) search(v int64) uint32 {
	n := atOrBelow(a.ints, v)
	if a.exact && (n == 0 || a.ints[n-1] != v) {
		return a.other
	}
	return a.found[n]
}

// atOrBelow counts the ascending bounds that are at or below v; all of them are
// below a NaN in this order, which callers exclude.
func atOrBelow[T int64 | float64](bounds []T, v T) int {
	n, base := len(bounds), 0
	for n > 0 {
		half := (n + 1) / 2
		if bounds[base+half-1] <= v {
			base += half
			n -= half
		} else {
			n = half - 1
		}
	}
	return base
}

// axisReader is one worker's state for an axis.
type axisReader struct {
	*axis
	buf  []uint32
	keep []uint8
	dict []uint32 // a table by dictionary index, as axis.table, for the record at hand
}

// bind prepares for the next record.
func (a *axisReader) bind(c *column) {
	a.dict = append(a.dict[:0], a.other)
	for _, s := range c.dict {
		a.dict = append(a.dict, a.text(s))
	}
}

// add adds the block's part to the cells and gives the OR of all parts. The first
// dimension writes them.
func (a *axisReader) add(cells []uint32, columns []*column, first bool) uint32 {
	if len(a.conditions) > 0 {
		a.addHolds(cells, columns, first)
		return 0 // every row has a code
	}
	c := columns[a.col]
	if len(c.null) == 0 && a.tabled(c) {
		return a.lookUp(cells, c, first)
	}
	part := cells
	if !first {
		part = sized(&a.buf, len(cells))
	}
	or := a.parts(part, c)
	for _, i := range c.null {
		part[i] = a.null
		or |= a.null
	}
	if !first {
		for i, p := range part {
			cells[i] += p
		}
	}
	return or
}

func (a *axisReader) addHolds(cells []uint32, columns []*column, first bool) {
	if first {
		clear(cells)
	}
	for i, k := range holds(a.conditions, columns, sized(&a.keep, len(cells))) {
		cells[i] += uint32(k) * a.stride
	}
}

func (a *axisReader) parts(part []uint32, c *column) (or uint32) {
	switch {
	case a.tabled(c):
		return a.lookUp(part, c, true)
	case c.kind == text:
		for i, s := range c.texts {
			part[i] = a.text(s)
			or |= part[i]
		}
	case c.kind == floating:
		for i, v := range c.floats {
			part[i] = a.other
			if v == v {
				part[i] = a.found[atOrBelow(a.floats, v)]
			}
			or |= part[i]
		}
	default:
		for i, v := range c.ints {
			part[i] = a.search(v)
			or |= part[i]
		}
	}
	return or
}

// text gives a text's part.
func (a *axis) text(s string) uint32 {
	if p, ok := a.texts.find(prefix(s, a.spec.Prefix)); ok {
		return p
	}
	return a.other
}

// prefix gives the first n characters; a byte that is not UTF-8 counts as one.
func prefix(s string, n int) string {
	if n == 0 || len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
