package lookup

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// matrix holds the expanded polynomials of a table's seeds, as the server's
// offline part wants them.
type matrix struct {
	// a are the A_c, times N^−1, their halves swapped: see hint.
	a []*rlwe.Poly
	// w and v, each half doubled, so that a shift is an offset.
	w doubled
	v *rlwe.Poly
}

// doubled holds a polynomial's values at the slots, per prime and half, twice
// in a row.
type doubled [rlwe.Primes][2][2 * rlwe.Half]uint32

func newDoubled(p *rlwe.Poly) (d doubled) {
	for i := range p {
		for half := range 2 {
			copy(d[i][half][:], p[i][half*rlwe.Half:][:rlwe.Half])
			copy(d[i][half][rlwe.Half:], p[i][half*rlwe.Half:][:rlwe.Half])
		}
	}
	return d
}

// expandA is A_c as values at the slots.
func (s *Seeds) expandA(c int) *rlwe.Poly { return rlwe.Uniform((*[32]byte)(&s.A), "A", uint64(c)) }
func (s *Seeds) expandW() *rlwe.Poly      { return rlwe.Uniform((*[32]byte)(&s.W), "w", 0) }
func (s *Seeds) expandV() *rlwe.Poly      { return rlwe.Uniform((*[32]byte)(&s.V), "v", 0) }

func newMatrix(p Params, seeds Seeds) *matrix {
	m := &matrix{w: newDoubled(seeds.expandW()), v: seeds.expandV()}
	for c := range p.chunks() {
		a, swapped := seeds.expandA(c), new(rlwe.Poly)
		for i := range a {
			mod := rlwe.Mod(i)
			nInverse := mod.Power(rlwe.N, uint64(mod.Q())-2)
			for j, x := range a[i] {
				swapped[i][j^rlwe.Half] = mod.Mul(x, nInverse)
			}
		}
		m.a = append(m.a, swapped)
	}
	return m
}

// grid is one block's N×N values per prime: first of ã, then of the r.
type grid [rlwe.Primes][]uint32

func newGrid() *grid {
	g := new(grid)
	for i := range g {
		g[i] = make([]uint32, rlwe.N*rlwe.N)
	}
	return g
}

// row is N values: of all rows' ã at one slot.
func (g *grid) row(prime, slot int) *[rlwe.N]uint32 {
	return (*[rlwe.N]uint32)(g[prime][slot*rlwe.N:])
}

// hintRows is how many table rows are transformed together: their values at
// one slot fill a cache line of the grid.
const hintRows = 16

// hint computes N^−1·ã_k for the N rows k of a block, at every slot, and writes
// it to the grid, slot-major: ã_k(ζ^f) = Σ_c D̃_{k,c}(ζ^f)·A_c(ζ^f).
//
// D̃_{k,c} = Σ_i D'[k][cN+i]·X^−i is D'_{k,c}(X^−1), so its values are those of
// D'_{k,c} with the halves swapped. Instead of them A_c is swapped, and the
// result back when it is written.
func (m *matrix) hint(ctx context.Context, g *grid, columns []byte, rows, block, workers int, progress func(int)) error {
	type scratch struct {
		sums  [rlwe.Primes][hintRows][rlwe.N]uint64 // 64 products below 2^53 fit
		bytes [rlwe.N * hintRows]byte
	}
	pool := sync.Pool{New: func() any { return new(scratch) }}
	return parallel(ctx, workers, rlwe.N/hintRows, func(task int) error {
		first := task * hintRows
		s := pool.Get().(*scratch)
		defer pool.Put(s)
		sums, bytes := &s.sums, &s.bytes
		*sums = [rlwe.Primes][hintRows][rlwe.N]uint64{}
		for c, a := range m.a {
			for i := range rlwe.N { // hintRows bytes of each column
				copy(bytes[i*hintRows:][:hintRows], columns[(c*rlwe.N+i)*rows+block*rlwe.N+first:])
			}
			for k := range hintRows {
				for p := range sums {
					addProduct(&sums[p][k], &a[p], bytes[k:], p)
				}
			}
		}
		for p := range sums {
			mod, out := rlwe.Mod(p), g[p]
			for j := range rlwe.N {
				at := (j ^ rlwe.Half) * rlwe.N
				line := (*[hintRows]uint32)(out[at+first:])
				for k := range line {
					line[k] = mod.Reduce(sums[p][k][j])
				}
			}
		}
		progress(hintRows)
		return nil
	})
}

// addProduct adds the slotwise product of a and D' to sum, where D'+128 are
// every hintRows-th of the bytes.
func addProduct(sum *[rlwe.N]uint64, a *[rlwe.N]uint32, bytes []byte, prime int) {
	mod := rlwe.Mod(prime)
	var coefficients, values [rlwe.N]uint32
	centre := mod.Q() - 1<<(plainBits-1)
	for i := range coefficients {
		coefficients[i] = uint32(bytes[i*hintRows]) + centre // below 2q
	}
	mod.Forward(&values, &coefficients)
	for j := range sum {
		sum[j] += uint64(values[j]) * uint64(a[j])
	}
}

// spread turns the grid from ã_k at each slot f into r at each: row f is
// replaced by its transform over k, so that r_σ(ζ^e) is entry e of row eσ.
func (g *grid) spread(ctx context.Context, workers int) error {
	return parallel(ctx, workers, rlwe.N, func(slot int) error {
		var values [rlwe.N]uint32
		for p := range g {
			row := g.row(p, slot)
			rlwe.Mod(p).Forward(&values, row)
			*row = values
		}
		return nil
	})
}

// gatherSteps is how many r are read off the grid together: they share cache
// lines.
const gatherSteps = 16

// gather reads r_σ for the gatherSteps values i = first, …, σ = 5^i (sign 0) or
// −5^i (sign 1). With e = ±5^j, eσ = ±5^(i+j), the halves swapped if σ has the
// other sign.
func (g *grid) gather(dst *[gatherSteps]rlwe.Poly, first, sign int) {
	const mask = rlwe.Half - 1
	for p := range g {
		for half := range 2 {
			source := (half ^ sign) * rlwe.Half
			for j := 0; j < rlwe.Half; j += gatherSteps {
				for a := range 2*gatherSteps - 1 { // i + j = first + j + a
					row := g.row(p, source+(first+j+a)&mask)
					line := (*[gatherSteps]uint32)(row[half*rlwe.Half+j:])
					for x := max(0, a-gatherSteps+1); x <= min(a, gatherSteps-1); x++ {
						dst[a-x][p][half*rlwe.Half+j+x] = line[x]
					}
				}
			}
		}
	}
}

// chain collapses one half of the Galois group, sign 0 for 5^i and 1 for −5^i:
// from i = N/2−1 down to 1, t_i = round(centred(r_i)/2^drop), r_(i−1) +=
// t_i·τ(w) with τ of ±5^(i−1). The t go to digits, transformed; r_0 is
// returned, at the slots.
func (m *matrix) chain(ctx context.Context, g *grid, digits []byte, sign int, progress func(int)) (*rlwe.Poly, error) {
	var r [gatherSteps]rlwe.Poly
	t, carry := new(rlwe.Poly), new(rlwe.Poly)
	for i := rlwe.Half - 1; i >= 0; i-- {
		step := i % gatherSteps
		if step == gatherSteps-1 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			g.gather(&r, i-step, sign)
		}
		for p := range carry {
			q := rlwe.Mod(p).Q()
			for j := range carry[p] {
				r[step][p][j] = rlwe.Once(r[step][p][j]+carry[p][j], q)
			}
		}
		if i == 0 {
			break
		}
		digit(t, &r[step])
		writeDigit(digits, t, sign*chainHalf+i-1)
		for p := range carry {
			mod := rlwe.Mod(p)
			for half := range 2 {
				key := m.w[p][half^sign][i-1:][:rlwe.Half]
				out, factor := carry[p][half*rlwe.Half:][:rlwe.Half], t[p][half*rlwe.Half:][:rlwe.Half]
				for j := range out {
					out[j] = mod.Mul(factor[j], key[j])
				}
			}
		}
		progress(1)
	}
	return &r[0], nil
}

// collapse computes a block's digits and the a part of its answer, as
// coefficients. Digits is one block.
func (m *matrix) collapse(ctx context.Context, g *grid, digits []byte, workers int, progress func(int)) (*rlwe.Poly, error) {
	var r [2]*rlwe.Poly
	err := parallel(ctx, workers, 2, func(sign int) (err error) {
		r[sign], err = m.chain(ctx, g, digits, sign, progress)
		return err
	})
	if err != nil {
		return nil, err
	}
	t, a := new(rlwe.Poly), new(rlwe.Poly)
	digit(t, r[1])
	writeDigit(digits, t, positionOfH)
	writeDigit(digits, new(rlwe.Poly), positionPad)
	for p := range a {
		mod := rlwe.Mod(p)
		for j := range t[p] {
			t[p][j] = mod.Reduce(uint64(t[p][j])*uint64(m.v[p][j]) + uint64(r[0][p][j]))
		}
		mod.Inverse(&a[p], &t[p])
	}
	progress(2) // with the chains' 2·(N/2−1) one for each row of the block
	return a, nil
}

// digit writes round(centred(r)/2^drop) to t; both are values at the slots.
func digit(t, r *rlwe.Poly) {
	var c rlwe.Poly
	for p := range c {
		rlwe.Mod(p).Inverse(&c[p], &r[p])
	}
	for j := range rlwe.N {
		d := rlwe.Round(rlwe.Centre(rlwe.Combine(c[0][j], c[1][j])), dropBits) // |d| ≤ 2^23 < q
		c[0][j], c[1][j] = uint32(d+rlwe.Q1), uint32(d+rlwe.Q2)                // below 2q
	}
	for p := range c {
		rlwe.Mod(p).Forward(&t[p], &c[p])
	}
}

// writeDigit stores a digit at its position of every tile of a block.
func writeDigit(digits []byte, t *rlwe.Poly, position int) {
	for p := range t {
		for tile := range slotTiles {
			line := (*[4 * tileSlots]byte)(digits[digitOffset(p, tile, position):])
			slots := (*[tileSlots]uint32)(t[p][tile*tileSlots:])
			for s, x := range slots {
				binary.LittleEndian.PutUint32(line[4*s:], x)
			}
		}
	}
}
