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

// apply takes the rows out of keep that do not satisfy the condition.
func (k *condition) apply(keep []bool, c *column) {
	switch k.op {
	case IsNull:
		next := 0
		for i := range keep {
			if next < len(c.null) && c.null[next] == int32(i) {
				next++
				continue
			}
			keep[i] = false
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
				keep[i] = keep[i] && v == v
			}
		case text:
			compare(keep, c.texts, k.texts, k.op)
		}
	}
	for _, i := range c.null {
		keep[i] = false
	}
}

// compare has a loop per operator, so that none asks for it by row.
func compare[T cmp.Ordered](keep []bool, values, with []T, op Op) {
	keep = keep[:len(values)]
	if op == In {
		for i, v := range values {
			if keep[i] {
				_, keep[i] = slices.BinarySearch(with, v)
			}
		}
		return
	}
	w := with[0]
	switch op {
	case Equal:
		for i, v := range values {
			keep[i] = keep[i] && v == w
		}
	case NotEqual:
		for i, v := range values {
			keep[i] = keep[i] && v != w
		}
	case Less:
		for i, v := range values {
			keep[i] = keep[i] && v < w
		}
	case LessEqual:
		for i, v := range values {
			keep[i] = keep[i] && v <= w
		}
	case Greater:
		for i, v := range values {
			keep[i] = keep[i] && v > w
		}
	case GreaterEqual:
		for i, v := range values {
			keep[i] = keep[i] && v >= w
		}
	}
}
