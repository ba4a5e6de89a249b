package rlwe

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tuneinsight/lattigo/v5/ring"
)

// The largest primes that a Ring takes, at the degrees in use and at both
// parities of their logarithm.
var ringCases = []struct {
	n int
	q uint32
}{{16, 97}, {32, 193}, {4096, 94904321}, {8192, 133857281}}

// The product of two polynomials through the slots is lattigo's; for random,
// maximal and lazy inputs.
func TestRingProductAgainstLattigo(t *testing.T) {
	for _, c := range ringCases {
		t.Run(fmt.Sprintf("%d/%d", c.n, c.q), func(t *testing.T) {
			r, src := NewRing(c.n, c.q), testRand(t)
			oracle, err := ring.NewRing(c.n, []uint64{uint64(c.q)})
			if err != nil {
				t.Fatal(err)
			}
			for _, fill := range []func() uint32{
				func() uint32 { return src.Uint32N(c.q) },
				func() uint32 { return c.q - 1 },
				func() uint32 { return 2*c.q - 1 },
				func() uint32 { return src.Uint32N(2 * c.q) },
			} {
				a, b := make([]uint32, c.n), make([]uint32, c.n)
				la, lb := oracle.NewPoly(), oracle.NewPoly()
				for j := range a {
					a[j], b[j] = fill(), fill()
					la.Coeffs[0][j], lb.Coeffs[0][j] = uint64(a[j]%c.q), uint64(b[j]%c.q)
				}
				r.Forward(a)
				r.Forward(b)
				for j := range a {
					if a[j] >= c.q {
						t.Fatalf("slot %d: %d is not canonical", j, a[j])
					}
					a[j] = r.Mul(a[j], b[j])
				}
				r.Inverse(a)
				oracle.NTT(la, la)
				oracle.NTT(lb, lb)
				oracle.MulCoeffsBarrett(la, lb, la)
				oracle.INTT(la, la)
				for j := range a {
					if uint64(a[j]) != la.Coeffs[0][j] {
						t.Fatalf("coefficient %d: %d, lattigo has %d", j, a[j], la.Coeffs[0][j])
					}
				}
			}
		})
	}
}

// Position p holds the value at ζ^(2·rev(p)+1): the value of X there is ζ's
// power itself.
func TestRingSlots(t *testing.T) {
	r := NewRing(16, 97)
	a := make([]uint32, 16)
	a[1] = 1
	r.Forward(a)
	zeta := uint32(0)
	for x := uint32(2); zeta == 0; x++ {
		if z := r.Power(x, 96/32); r.Power(z, 16) == 96 {
			zeta = z
		}
	}
	for p, reversed := range []uint64{0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15} {
		if want := r.Power(zeta, 2*reversed+1); a[p] != want {
			t.Errorf("position %d: %d, expected %d", p, a[p], want)
		}
	}
}

func TestNewRingRefuses(t *testing.T) {
	for _, c := range []struct {
		n int
		q uint32
	}{{8, 17}, {48, 97}, {16, 31}, {16384, 94961665}, {16, 134218369}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("degree %d modulo %d was taken", c.n, c.q)
				}
			}()
			NewRing(c.n, c.q)
		}()
	}
}

func BenchmarkRing(b *testing.B) {
	for _, c := range ringCases[2:] {
		r, a := NewRing(c.n, c.q), make([]uint32, c.n)
		for j := range a {
			a[j] = rand.Uint32N(c.q)
		}
		b.Run(fmt.Sprintf("forward/%d", c.n), func(b *testing.B) {
			for b.Loop() {
				r.Forward(a)
			}
		})
		b.Run(fmt.Sprintf("inverse/%d", c.n), func(b *testing.B) {
			for b.Loop() {
				r.Inverse(a)
			}
		})
	}
}

func BenchmarkExpander(b *testing.B) {
	r, dst := NewRing(8192, 133857281), make([]uint32, 8192)
	x := NewExpander("bench", new([32]byte), "a", 0)
	b.SetBytes(4 * 8192)
	for b.Loop() {
		x.Uniform(dst, &r.Prime)
	}
}

// An expander's residues are those of the definition, read word by word,
// whatever lengths they are asked for in.
func TestExpanderAgainstTheDefinition(t *testing.T) {
	r, seed := NewRing(4096, 94904321), &[32]byte{7}
	stream, limit := keystream("test", seed, "a", 5), uint64(1)<<32/uint64(r.q)*uint64(r.q)
	x := NewExpander("test", seed, "a", 5)
	for _, n := range []int{0, 1, 3, 8, 1023, 4096, 7, 9000} {
		got := make([]uint32, n)
		x.Uniform(got, &r.Prime)
		for j := range got {
			var word [4]byte
			w := limit
			for w >= limit {
				clear(word[:])
				stream.XORKeyStream(word[:], word[:])
				w = uint64(binary.LittleEndian.Uint32(word[:]))
			}
			if uint64(got[j]) != w%uint64(r.q) {
				t.Fatalf("residue %d of %d: %d, expected %d", j, n, got[j], w%uint64(r.q))
			}
		}
	}
}
