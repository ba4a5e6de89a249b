package cells

import "math/big"

// pieces are the finest cells that a sum's page is made of, ascending: cell
// cells[i] belongs to row to[i].
type pieces struct{ cells, to []uint32 }

func (s *Selection) pieces() pieces {
	p := pieces{cells: []uint32{0}, to: []uint32{0}}
	for axis := range s.d.Axes {
		routes := s.routes(axis)
		var next pieces
		for i, cell := range p.cells {
			for code, route := range routes {
				if route >= 0 {
					next.cells = append(next.cells, cell*uint32(len(routes))+uint32(code))
					next.to = append(next.to, p.to[i]+uint32(route))
				}
			}
		}
		p = next
	}
	n := 0
	for i, to := range p.to {
		if row := int(to) - s.first; row >= 0 && row < s.count {
			p.cells[n], p.to[n] = p.cells[i], uint32(row)
			n++
		}
	}
	return pieces{p.cells[:n], p.to[:n]}
}

// routes gives for every finest code of an axis how far it moves a cell in the
// answer, −1 for a code that is left out.
func (s *Selection) routes(axis int) []int {
	routes := make([]int, len(s.d.Axes[axis].Codes))
	stride, at := 1, -1
	for i := len(s.sides) - 1; i >= 0; i-- {
		if s.sides[i].axis == axis {
			at = i
			break
		}
		stride *= len(s.sides[i].codes)
	}
	place := map[int]int{}
	if at >= 0 {
		for i, code := range s.sides[at].codes {
			place[code] = i
		}
	}
	for code := range routes {
		switch {
		case s.codes[axis] != nil && !s.codes[axis][code]:
			routes[code] = -1
		case at >= 0:
			routes[code] = stride * place[s.sides[at].of(s.d, code)]
		}
	}
	return routes
}

// sum adds up cells of the finest grouping. A sum with a cell that is not released
// is Below itself.
func (r *reading) sum(v *View) error {
	p := r.s.pieces()
	parts := make([]int64, v.Rows()) // cells in each sum
	for i := range v.Status {
		v.Status[i] = Released
	}
	for i, cell := range p.cells {
		parts[p.to[i]]++
		if r.from.Status[cell] != Released {
			v.Status[p.to[i]] = Below
		}
	}
	for i := range v.Columns {
		if err := r.sumColumn(i, &v.Columns[i], p, parts, v.Status); err != nil {
			return err
		}
	}
	return nil
}

// sumColumn adds up a measure: delivered values, and for the interval published
// and noised ones. Independent noise of the same size with half width h in each of
// n cells has ⌈√n·h⌉ in the sum: exact for a Gaussian, and on the safe side for
// Laplace noise, whose quantiles come down to a Gaussian's of the same variance.
func (r *reading) sumColumn(i int, c *Column, p pieces, parts []int64, status []Status) error {
	slot := r.s.slots[i]
	published, low, high := r.from.Values[slot], r.from.Low[slot], r.from.High[slot]
	before := make([]int64, len(parts))
	ends := make([]int64, len(parts)) // low + high: twice what was noised
	part := make([]int64, block)
	for first := 0; first < len(p.cells); first += block {
		cells := p.cells[first:min(first+block, len(p.cells))]
		if err := r.rounded(i, cells, part[:len(cells)]); err != nil {
			return err
		}
		for j, cell := range cells {
			to := p.to[first+j]
			if !add(&c.Values[to], part[j]) || !add(&before[to], published[cell]) || !add(&ends[to], low[cell]+high[cell]) {
				return ErrOverflow
			}
		}
	}
	widths := map[int64]int64{}
	for row, n := range parts {
		if status[row] != Released {
			c.Values[row] = 0
			continue
		}
		half, known := widths[n]
		if !known {
			width := widthOf(big.NewInt(n), r.s.d.Groups[0].HalfWidths[slot])
			if !width.IsInt64() || !inRange(width.Int64()) {
				return ErrOverflow
			}
			half = width.Int64()
			widths[n] = half
		}
		base := c.Measure.Round
		c.Low[row] = c.Values[row] - ceilTo(before[row]-(ends[row]/2-half), base)
		c.High[row] = c.Values[row] + ceilTo(ends[row]/2+half-before[row], base)
		if !inRange(c.Values[row]) || !inRange(c.Low[row]) || !inRange(c.High[row]) {
			return ErrOverflow
		}
	}
	return nil
}

// add adds v, |v| ≤ 2·MaxValue, unless the sum comes near to 64 bits.
func add(sum *int64, v int64) bool {
	*sum += v
	return *sum < 1<<61 && *sum > -1<<61
}

// widthOf is ⌈√(squares · half²)⌉.
func widthOf(squares *big.Int, half int64) *big.Int {
	h := big.NewInt(half)
	square := new(big.Int).Mul(squares, h.Mul(h, h))
	root := new(big.Int).Sqrt(square)
	if new(big.Int).Mul(root, root).Cmp(square) < 0 {
		root.Add(root, big.NewInt(1))
	}
	return root
}
