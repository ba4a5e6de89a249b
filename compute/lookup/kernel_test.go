package lookup

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// forKernels runs a test once for every kernel of this program.
func forKernels(t *testing.T, f func(t *testing.T, maker kernelMaker)) {
	for _, maker := range kernels {
		t.Run(maker.name, func(t *testing.T) { f(t, maker) })
	}
}

func TestTilingIsReversible(t *testing.T) {
	r := testRand(t)
	for _, c := range []struct{ columns, rows int }{{2048, 4}, {2048, 12}, {4096, 20}, {6144, 2048}} {
		columns := randomBytes(r, c.columns*c.rows)
		tiles := tileAll(columns, c.columns, c.rows)
		// The layout's own words: [tile][group][column / 32][4 rows][32 bytes].
		for range 1000 {
			j, k := r.IntN(c.columns), r.IntN(c.rows)
			at := j/2048*2048*c.rows + k/4*4*2048 + j%2048/32*128 + k%4*32 + j%32
			if tiles[at] != columns[j*c.rows+k] {
				t.Fatalf("%d × %d: row %d of column %d is not at %d", c.columns, c.rows, k, j, at)
			}
		}
		back := make([]byte, pieceColumns*c.rows)
		for first := 0; first < c.columns; first += pieceColumns {
			untileColumns(back, tiles, c.rows, first)
			if string(back) != string(columns[first*c.rows:][:len(back)]) {
				t.Fatalf("%d × %d: columns from %d are not restored", c.columns, c.rows, first)
			}
		}
	}
}

// tileAll tiles a table, its rows in uneven portions.
func tileAll(columns []byte, m, rows int) []byte {
	tiles := make([]byte, m*rows)
	for tile := range m / tileColumns {
		for from := 0; from < rows; {
			to := min(rows, from+groupRows*(1+from/groupRows%5))
			tileRows(tiles[(tile*rows+from)*tileColumns:][:(to-from)*tileColumns], columns, rows, tile, from, to)
			from = to
		}
	}
	return tiles
}

// Shapes here need not be ones that are served: any number of groups.
func TestPassAgainstNaive(t *testing.T) {
	forKernels(t, func(t *testing.T, maker kernelMaker) {
		r := testRand(t)
		for _, c := range []struct{ chunks, groups, from, to, jobs int }{
			{1, 1, 0, 1, 1}, {1, 3, 0, 3, 1}, {2, 5, 1, 4, 2}, {3, 7, 6, 7, 3}, {1, 67, 0, 67, 5}, {2, 33, 0, 33, 17}, {2, 40, 3, 36, 2},
		} {
			for _, fill := range []string{"random", "least", "most", "mixed"} {
				p := Params{ID: ParamsID, Columns: c.chunks * tileColumns, Rows: c.groups * groupRows}
				columns := randomBytes(r, p.Columns*p.Rows)
				jobs := make([]*job, c.jobs)
				for i := range jobs {
					jobs[i] = &job{b: make([]int32, p.Columns), sums: make([]int64, p.Rows+1)}
					for k := range jobs[i].b {
						jobs[i].b[k] = int32(r.IntN(2*maxQueryValue+1) - maxQueryValue)
						switch fill {
						case "least":
							jobs[i].b[k] = -1 << (queryBits - 1) // more than the wire lets in
						case "most":
							jobs[i].b[k] = 1<<(queryBits-1) - 1
						case "mixed":
							jobs[i].b[k] = []int32{maxQueryValue, -maxQueryValue}[k%2]
						}
					}
					jobs[i].sums[p.Rows] = 0x5afe
				}
				if fill != "random" {
					for i := range columns {
						columns[i] = 255
					}
				}
				k := maker.bind(&tableView{Params: p, tiles: tileAll(columns, p.Columns, p.Rows)}, 2)
				for _, j := range jobs {
					k.load(j)
				}
				k.pass(jobs, c.from, c.to)
				for i, j := range jobs {
					for row := 0; row <= p.Rows; row++ {
						want := new(big.Int)
						switch {
						case row == p.Rows:
							want.SetInt64(0x5afe) // a guard behind the last row
						case row < c.from*groupRows || row >= c.to*groupRows:
						case row%5 == i%5 || p.Rows < 40:
							want = naivePass(columns, p.Rows, j.b, row)
						default:
							continue
						}
						if want.Cmp(big.NewInt(j.sums[row])) != 0 {
							t.Fatalf("%+v, %s: job %d, row %d: %d, expected %d", c, fill, i, row, j.sums[row], want)
						}
					}
				}
			}
		}
	})
}

// digitsOf lays out a block's digits, given as values at the slots: t[i],
// i ≥ 1, then bar[i], then h.
func digitsOf(t, bar []*rlwe.Poly, h *rlwe.Poly) []uint32 {
	digits := make([]byte, blockBytes)
	for i := 1; i < rlwe.Half; i++ {
		if t[i] != nil {
			writeDigit(digits, t[i], i-1)
		}
		if bar[i] != nil {
			writeDigit(digits, bar[i], chainHalf+i-1)
		}
	}
	writeDigit(digits, h, positionOfH)
	return copyUint32(digits)
}

func packed(maker kernelMaker, digits []uint32, ys, zs []*rlwe.Poly) []*job {
	blocks := len(digits) / blockWords
	k := maker.bind(&tableView{Params: Params{ID: ParamsID, Rows: blocks * rlwe.N}, digits: digits}, 1)
	jobs := make([]*job, len(ys))
	for i := range jobs {
		jobs[i] = &job{y: *ys[i], z: *zs[i], packed: make([]rlwe.Poly, blocks)}
		k.load(jobs[i])
	}
	for block := range blocks {
		for p := range rlwe.Primes {
			k.pack(jobs, block, p)
		}
	}
	return jobs
}

// Slot by slot: Σ t_i(ζ^f)·y(ζ^(f·5^(i−1))) + Σ t̄_i(ζ^f)·y(ζ^(−f·5^(i−1))) +
// t_h(ζ^f)·z(ζ^f). The last case is all of q−1, the largest a chain can get.
func TestPackAgainstNaive(t *testing.T) {
	forKernels(t, func(t *testing.T, maker kernelMaker) {
		r := testRand(t)
		for _, c := range []struct {
			blocks, jobs int
			full         bool
		}{{1, 1, false}, {2, 3, false}, {1, 1, true}} {
			t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
				digits := make([]uint32, c.blocks*blockWords)
				for i := range digits {
					q := naiveQ[i%blockWords/primeWords]
					digits[i] = uint32(r.Uint64N(q))
					if c.full {
						digits[i] = uint32(q - 1)
					}
					if i/tileSlots%chainLength == positionPad {
						digits[i] = 0
					}
				}
				var ys, zs []*rlwe.Poly
				for range c.jobs {
					y, z := randomSlots(r), randomSlots(r)
					if c.full {
						for i, q := range naiveQ {
							for j := range y[i] {
								y[i][j], z[i][j] = uint32(q-1), uint32(q-1)
							}
						}
					}
					ys, zs = append(ys, y), append(zs, z)
				}
				for n, j := range packed(maker, digits, ys, zs) {
					for block := range c.blocks {
						for i, q := range naiveQ {
							for _, slot := range []int{0, 1, 15, 16, 511, 1007, 1008, 1023, 1024, 1025, 1039, 1500, 2047} {
								digit := func(position int) uint64 {
									tile := (i*slotTiles + slot/tileSlots) * chainLength
									return uint64(digits[block*blockWords+(tile+position)*tileSlots+slot%tileSlots])
								}
								f := exponent(slot)
								want := digit(1023) * uint64(zs[n][i][slot]) % q
								for k := 1; k < rlwe.Half; k++ {
									plus := uint64(ys[n][i][slotOf[f*galoisElement(k-1, 0)%4096]])
									minus := uint64(ys[n][i][slotOf[f*galoisElement(k-1, 1)%4096]])
									want += digit(k-1) * plus % q
									want += digit(1024+k-1) * minus % q
								}
								if got := uint64(j.packed[block][i][slot]); got != want%q {
									t.Fatalf("job %d, block %d, prime %d, slot %d: %d, expected %d", n, block, i, slot, got, want%q)
								}
							}
						}
					}
				}
			})
		}
	})
}

// In coefficients: a few digits are not zero, and the sum is Σ t_i·τ_{5^(i−1)}(y)
// + Σ t̄_i·τ_{−5^(i−1)}(y) + t_h·z by the schoolbook.
func TestPackAgainstSchoolbook(t *testing.T) {
	forKernels(t, func(t *testing.T, maker kernelMaker) {
		r := testRand(t)
		y, z, h := randomSlots(r), randomSlots(r), randomSlots(r)
		ts, bars := make([]*rlwe.Poly, rlwe.Half), make([]*rlwe.Poly, rlwe.Half)
		want := new(rlwe.Poly)
		for _, i := range []int{1, 514, 1023} {
			ts[i], bars[i] = randomSlots(r), randomSlots(r)
			naiveMulAdd(want, coefficients(ts[i]), naiveTau(coefficients(y), galoisElement(i-1, 0)))
			naiveMulAdd(want, coefficients(bars[i]), naiveTau(coefficients(y), galoisElement(i-1, 1)))
		}
		naiveMulAdd(want, coefficients(h), coefficients(z))
		j := packed(maker, digitsOf(ts, bars, h), []*rlwe.Poly{y}, []*rlwe.Poly{z})[0]
		if *coefficients(&j.packed[0]) != *want {
			t.Error("the packed block is not the schoolbook's")
		}
	})
}
