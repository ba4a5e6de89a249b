package columnar

import (
	"cmp"
	"slices"
)

// condition is a comparison in use.
type condition struct {
	op     Op
	col    int
	ints   []int64 // ascending, as all three
	floats []float64
	texts  []string
}

func newCondition(c *Comparison, col int) *condition {
	k := &condition{op: c.Op, col: col}
	for _, v := range c.Values {
		switch v.kind {
		case integer:
			k.ints = append(k.ints, v.i)
		case floating:
			k.floats = append(k.floats, v.f)
		case text:
			k.texts = append(k.texts, v.s)
		}
	}
	slices.Sort(k.ints)
	slices.Sort(k.floats)
	slices.Sort(k.texts)
	return k
}

// holds fills keep with 1 for the block's rows that satisfy all conditions, 0 for others.
func holds(conditions []*condition, columns []*column, keep []uint8) []uint8 {
	for i := range keep {
		keep[i] = 1
	}
	for _, k := range conditions {
		k.apply(keep, columns[k.col])
	}
	return keep
}

// apply makes those of keep 0 that do not satisfy the condition: 1 is a row that is kept.
func (k *condition) apply(keep []uint8, c *column) {
	switch k.op {
	case IsNull:
		next := 0
		for i := range keep {
			if next < len(c.null) && c.null[next] == int32(i) {
				next++
				continue
			}
			keep[i] = 0
		}
		return
	case NotNull:
	default:
		switch c.kind {
		case integer:
			compare(keep, c.ints, k.ints, k.op)
		case floating:
			compare(keep, c.floats, k.floats, k.op)
			for i, v := range c.floats { // a NaN is not equal to anything and yet satisfies nothing
				keep[i] &= one(v == v)
			}
		case text:
			compare(keep, c.texts, k.texts, k.op)
		}
	}
	for _, i := range c.null {
		keep[i] = 0
	}
}

// one is compiled to an instruction that sets a byte, so that no loop branches by row.
func one(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// compare has a loop per operator, so that none asks for it by row.
func compare[T cmp.Ordered](keep []uint8, values, with []T, op Op) {
	keep = keep[:len(values)]
	if op == In {
		for i, v := range values {
			_, found := slices.BinarySearch(with, v)
			keep[i] &= one(found)
		}
		return
	}
	w := with[0]
	switch op {
	case Equal:
		for i, v := range values {
			keep[i] &= one(v == w)
		}
	case NotEqual:
		for i, v := range values {
			keep[i] &= one(v != w)
		}
	case Less:
		for i, v := range values {
			keep[i] &= one(v < w)
		}
	case LessEqual:
		for i, v := range values {
			keep[i] &= one(v <= w)
		}
	case Greater:
		for i, v := range values {
			keep[i] &= one(v > w)
		}
	case GreaterEqual:
		for i, v := range values {
			keep[i] &= one(v >= w)
		}
	}
}
