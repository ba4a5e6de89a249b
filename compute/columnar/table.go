package columnar

import "github.com/apache/arrow/go/v17/arrow/array"

// onlyKeys says that column i is nothing but axes which look up what is stored.
func (p *plan) onlyKeys(i int) bool {
	keys := i != p.subject
	for _, g := range p.gauges {
		keys = keys && g.col != i
	}
	for _, k := range p.conditions {
		keys = keys && k.col != i
	}
	for _, a := range p.axes {
		for _, k := range a.conditions {
			keys = keys && k.col != i
		}
		if a.col == i && p.kinds[i] != text {
			keys = keys && a.table != nil
		}
	}
	return keys
}

// tabled says that parts are found in a table, by integers or by dictionary indices.
func (a *axisReader) tabled(c *column) bool {
	return a.table != nil || c.dict != nil
}

// lookUp writes or adds the parts of the block's rows, out of a table, by what is stored: no
// integer is widened and no text made. Where nulls are, what they stand for is undefined.
func (a *axisReader) lookUp(cells []uint32, c *column, first bool) uint32 {
	table, base, arr := a.table, a.base, c.arr
	if d, ok := arr.(*array.Dictionary); ok {
		table, base, arr = a.dict, 0, d.Indices()
	}
	from, to := c.from, c.from+len(cells)
	switch k := arr.(type) {
	case *array.Int64:
		return look(cells, k.Int64Values()[from:to], table, base, first)
	case *array.Int32:
		return look(cells, k.Int32Values()[from:to], table, base, first)
	case *array.Int16:
		return look(cells, k.Int16Values()[from:to], table, base, first)
	case *array.Int8:
		return look(cells, k.Int8Values()[from:to], table, base, first)
	case *array.Uint64: // of a dictionary
		return look(cells, k.Uint64Values()[from:to], table, base, first)
	case *array.Uint32:
		return look(cells, k.Uint32Values()[from:to], table, base, first)
	case *array.Uint16:
		return look(cells, k.Uint16Values()[from:to], table, base, first)
	case *array.Uint8:
		return look(cells, k.Uint8Values()[from:to], table, base, first)
	case *array.Date32:
		return look(cells, k.Date32Values()[from:to], table, base, first)
	}
	c.loadInts(from, to) // of a column; those of a dictionary are above
	return look(cells, c.ints, table, base, first)
}

// look has a loop of its own for each width. table[0] is for what is outside, table[1+i]
// for base + i.
func look[T ~int64 | ~int32 | ~int16 | ~int8 | ~uint64 | ~uint32 | ~uint16 | ~uint8](cells []uint32, keys []T, table []uint32, base int64, first bool) (or uint32) {
	keys = keys[:len(cells)]
	if first {
		for i, v := range keys {
			x := uint64(v) - uint64(base) + 1
			if x >= uint64(len(table)) {
				x = 0
			}
			p := table[x]
			cells[i] = p
			or |= p
		}
		return or
	}
	for i, v := range keys {
		x := uint64(v) - uint64(base) + 1
		if x >= uint64(len(table)) {
			x = 0
		}
		p := table[x]
		cells[i] += p
		or |= p
	}
	return or
}
