package cells

import (
	"math/big"
	"slices"

	"github.com/yingbi/yingbi/compute/noise"
)

// publish makes the table of what was noised. Everything here is post-processing: it
// reads noised figures and what is public. held are the figures that the threshold is
// held against; they are the noised ones.
func (p *privatiser) publish(noised, held [][]int64) *Table {
	corrected := make([][]int64, len(noised))
	for i, v := range p.vectors {
		corrected[i] = slices.Clone(noised[i])
		if p.plan.Privacy.NonNegative && (v.kind != sums || v.field.low >= 0) {
			noise.NonNegative(corrected[i])
		}
	}
	t := p.table(true)
	for g := range p.groups {
		w := &groupWriter{privatiser: p, g: g, parts: make([]int, p.cells[g]),
			values: p.total(g, corrected), centres: p.total(g, noised)}
		for _, to := range p.to[g] {
			w.parts[to]++
		}
		below := make([]bool, p.cells[g])
		if n := p.plan.Privacy.Threshold; n > 0 {
			for cell, v := range p.total(g, held)[p.rows] {
				below[cell] = v < n
			}
		}
		w.write(&t.Groups[g], below)
	}
	return t
}

// total sums vectors over the cells of a grouping.
func (p *privatiser) total(g int, figures [][]int64) [][]int64 {
	out := make([][]int64, len(figures))
	for i, v := range p.vectors {
		width := v.width()
		out[i] = make([]int64, p.cells[g]*width)
		for j, x := range figures[i] {
			at := &out[i][p.to[g][j/width]*width+j%width]
			*at = bounded(*at + bounded(x))
		}
	}
	return out
}

// groupWriter writes the figures of one grouping.
type groupWriter struct {
	*privatiser
	g       int
	parts   []int     // finest cells in each cell
	values  [][]int64 // corrected, by vector
	centres [][]int64 // noised, by vector
	widths  map[widthOfPart]int64
}

type widthOfPart struct {
	vector, parts int
	probability   float64
}

func (w *groupWriter) write(c *Cells, below []bool) {
	w.widths = make(map[widthOfPart]int64)
	for cell := range c.Status {
		if below[cell] {
			c.Status[cell] = Below
			continue
		}
		c.Status[cell] = Released
		for i := range w.measures {
			value, low, high := w.figure(i, cell)
			if w.g == 0 {
				least, most := published(&w.measures[i])
				value = min(max(value, least), most)
			}
			c.Values[i][cell], c.Low[i][cell], c.High[i][cell] = value, low, high
		}
	}
}

// figure is a measure of a cell and the ends of its interval, in the measure's units.
func (w *groupWriter) figure(i, cell int) (value, low, high int64) {
	m := &w.measures[i]
	parts := w.privatiser.parts[w.of[i]]
	switch m.Is {
	case IsMean:
		return w.mean(m, &w.plan.Measures[w.of[i]], parts, cell)
	case IsVariance:
		return w.variance(m, &w.plan.Measures[w.of[i]], parts, cell)
	}
	v := w.vectors[parts[0]]
	at := cell*v.width() + w.bin(i)
	half := outward(w.half(parts[0], cell, 0.95), v.decimals(), m.Decimals)
	half = min(half, MaxValue/2)
	centre := within(rescale(big.NewInt(w.centres[parts[0]][at]), v.decimals(), m.Decimals), MaxValue-half)
	return within(rescale(big.NewInt(w.values[parts[0]][at]), v.decimals(), m.Decimals), MaxValue), centre - half, centre + half
}

// half is the half width of a vector's figure in a cell of the grouping.
func (w *groupWriter) half(vector, cell int, probability float64) int64 {
	k := widthOfPart{vector, w.parts[cell], probability}
	h, ok := w.widths[k]
	if !ok {
		h = widened(w.vectors[vector].halfWidth(w.plan.Privacy.Mechanism, probability), k.parts)
		w.widths[k] = h
	}
	return h
}

// span is an interval of rationals.
type span struct{ low, high *big.Rat }

// part is a vector's noised figure in a cell, in its units, within its half width.
func (w *groupWriter) part(vector, cell int, probability float64) span {
	c, h := w.centres[vector][cell], w.half(vector, cell, probability)
	return span{rat(c - h), rat(c + h)}
}

func rat(v int64) *big.Rat { return new(big.Rat).SetInt64(v) }

// over divides an interval by one of positive numbers.
func (s span) over(n span) span {
	low, high := n.high, n.low
	if s.low.Sign() < 0 {
		low = n.low
	}
	if s.high.Sign() < 0 {
		high = n.high
	}
	return span{new(big.Rat).Quo(s.low, low), new(big.Rat).Quo(s.high, high)}
}

// mean is sum / count, where a count below one is taken for one, and within the declared
// bounds. Its interval is of both parts at once: each with 97.5% (Bonferroni).
func (w *groupWriter) mean(m *Measure, declared *PlanMeasure, parts []int, cell int) (value, low, high int64) {
	count, sum := parts[0], parts[1]
	unit := w.vectors[sum].decimals()
	least, most := declared.Bounds[0], declared.Bounds[1]
	fit := func(v int64) int64 { return min(max(v, least), most) }
	q := new(big.Rat).SetFrac64(w.values[sum][cell], max(1, w.values[count][cell]))
	value = fit(nearest(q, unit, m.Decimals))
	n := w.part(count, cell, 0.975)
	if n.low.Cmp(rat(1)) < 0 {
		return value, least, most
	}
	s := w.part(sum, cell, 0.975).over(n)
	return value, fit(floor(s.low, unit, m.Decimals)), fit(ceiling(s.high, unit, m.Decimals))
}

// variance is the mean of the squares less the square of the mean, within what the
// declared bounds allow. Its interval is of all three parts at once.
func (w *groupWriter) variance(m *Measure, declared *PlanMeasure, parts []int, cell int) (value, low, high int64) {
	count, sum, square := parts[0], parts[1], parts[2]
	unit, shift := w.vectors[square].decimals(), w.vectors[square].field.shift
	large := new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), shift))
	// At most ((high − low) / 2)², by Popoviciu.
	width := big.NewInt(declared.Bounds[1] - declared.Bounds[0])
	most := ceiling(new(big.Rat).SetFrac(width.Mul(width, width), big.NewInt(4)), 2*m.Decimals, m.Decimals)
	fit := func(v int64) int64 { return min(max(v, 0), most) }
	n := rat(max(1, w.values[count][cell]))
	mean := new(big.Rat).Quo(rat(w.values[sum][cell]), n)
	q := new(big.Rat).Quo(new(big.Rat).Mul(rat(w.values[square][cell]), large), n)
	value = fit(nearest(q.Sub(q, mean.Mul(mean, mean)), unit, m.Decimals))
	const each = 1 - 0.05/3
	ns := w.part(count, cell, each)
	if ns.low.Cmp(rat(1)) < 0 {
		return value, 0, most
	}
	ms, qs := w.part(sum, cell, each).over(ns), w.part(square, cell, each)
	qs.high.Add(qs.high, ns.high) // every square was rounded down
	qs.low.Mul(qs.low, large)
	qs.high.Mul(qs.high, large)
	qs = qs.over(ns)
	a, b := new(big.Rat).Mul(ms.low, ms.low), new(big.Rat).Mul(ms.high, ms.high)
	if a.Cmp(b) > 0 {
		a, b = b, a
	}
	if ms.low.Sign() < 0 && ms.high.Sign() > 0 {
		a = rat(0)
	}
	return value, fit(floor(qs.low.Sub(qs.low, b), unit, m.Decimals)), fit(ceiling(qs.high.Sub(qs.high, a), unit, m.Decimals))
}

// scaled takes a rational from units of 10^-from to 10^-to.
func scaled(q *big.Rat, from, to int) *big.Rat {
	by := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(to-from, from-to))), nil)
	if to >= from {
		return new(big.Rat).Mul(q, new(big.Rat).SetInt(by))
	}
	return new(big.Rat).Quo(q, new(big.Rat).SetInt(by))
}

// rounded is the nearest integer, halves away from zero; nearest is within 53 bits too.
func rounded(q *big.Rat, from, to int) *big.Int {
	q = scaled(q, from, to)
	return quotient(q.Num(), q.Denom())
}

func nearest(q *big.Rat, from, to int) int64 { return within(rounded(q, from, to), MaxValue) }

func floor(q *big.Rat, from, to int) int64 {
	q = scaled(q, from, to)
	return within(new(big.Int).Div(q.Num(), q.Denom()), MaxValue)
}

func ceiling(q *big.Rat, from, to int) int64 { return -floor(new(big.Rat).Neg(q), from, to) }

// outward takes a half width from units of 10^-from to 10^-to, with what rounding the
// figure adds.
func outward(half int64, from, to int) int64 {
	if to >= from {
		return within(rescale(big.NewInt(half), from, to), farthest)
	}
	return ceiling(rat(half), from, to) + 1
}

// within clamps to ±limit.
func within(v *big.Int, limit int64) int64 {
	if v.CmpAbs(big.NewInt(limit)) <= 0 {
		return v.Int64()
	}
	if v.Sign() < 0 {
		return -limit
	}
	return limit
}
