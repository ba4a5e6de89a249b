package dot

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// Every kernel against the definition, for each number of blocks of a group,
// over several tiles, onto sums that are there; nothing beside them is touched.
func TestKernels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range kernels {
		for blocks := 1; blocks <= groupBlocks; blocks++ {
			for _, tiles := range []int{0, 1, 2, spanTiles} {
				for _, most := range []uint32{1<<27 - 1, 0} { // all random, all maximal
					next := func() uint32 { return 1<<27 - 1 - r.Uint32N(most+1) }
					cells, query := fill(tiles*blocks*8, func(int) uint32 { return next() }), fill(tiles*blocks*16, func(int) uint32 { return next() })
					sums := make([]uint64, tiles*16+16)
					for i := range sums {
						sums[i] = r.Uint64N(1 << 62)
					}
					before := append([]uint64(nil), sums...)
					k.accumulate(sums[8:][:tiles*16], cells, query, blocks)
					for i := range before {
						want := new(big.Int).SetUint64(before[i])
						if at := i - 8; at >= 0 && at < tiles*16 {
							tile, part, slot := at/16, at/8%2, at%8
							for b := range blocks {
								v, w := cells[(tile*blocks+b)*8+slot], query[((tile*blocks+b)*2+part)*8+slot]
								want.Add(want, new(big.Int).Mul(big.NewInt(int64(v)), big.NewInt(int64(w))))
							}
						}
						if !want.IsUint64() || want.Uint64() != sums[i] {
							t.Fatalf("%s, %d blocks, %d tiles: sum %d is %d, expected %d", k.name, blocks, tiles, i, sums[i], want)
						}
					}
				}
			}
		}
	}
}

// Dividing by the dropped primes rounds each coefficient to within the bound
// that the noise counts: half a unit at each prime.
func TestSwitchDown(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, s := range sets {
		modulus, n := s.modulus(), 64
		o := &Operand{set: s, public: Public{Params: Params{Set: s.name, Cells: 1, Measures: 1, MaxCell: 1, Norm1: 1, Norm2Squared: 1, MaxSum: 1}}}
		o.constants()
		values, c := make([]*big.Int, n), make([]uint32, n*len(s.primes))
		for j := range values {
			x := new(big.Int)
			for range 3 {
				x.Lsh(x, 62).Add(x, big.NewInt(r.Int64N(1<<62)))
			}
			values[j] = x.Mod(x, modulus)
			if j < 2 {
				values[j] = new(big.Int).Sub(big.NewInt(int64(j)), big.NewInt(1)) // −1 and 0
				values[j].Mod(values[j], modulus)
			}
			for i, residue := range s.residues(values[j]) {
				c[i*n+j] = residue
			}
		}
		s.switchDown(c, n, o.drop)
		small, dropped := s.product(0, kept), s.product(kept, len(s.primes))
		bound := new(big.Int)
		for i := kept; i < len(s.primes); i++ {
			bound.Add(bound, s.product(i, len(s.primes)))
		}
		for j, x := range values {
			got := new(big.Int)
			for i := range kept {
				q := big.NewInt(int64(s.primes[i]))
				others := new(big.Int).Quo(small, q)
				got.Add(got, new(big.Int).Mul(new(big.Int).Mul(others, new(big.Int).ModInverse(others, q)), big.NewInt(int64(c[i*n+j]))))
				if c[i*n+j] >= s.primes[i] {
					t.Fatalf("%s: %d is not canonical", s.name, c[i*n+j])
				}
			}
			got.Mod(got, small).Mul(got, dropped).Sub(got, x).Mod(got, modulus)
			if got.Cmp(new(big.Int).Rsh(modulus, 1)) > 0 {
				got.Sub(got, modulus)
			}
			if got.Lsh(got, 1).CmpAbs(bound) > 0 {
				t.Fatalf("%s, coefficient %d: off by %s halves, at most %s", s.name, j, got, bound)
			}
		}
	}
}
