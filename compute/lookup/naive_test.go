package lookup

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// The third implementation: what the kernels and the build are held to, from
// the definitions alone, in coefficients and big integers. It shares nothing
// with them but the ring's transform where a test has values at the slots and
// wants coefficients (which package rlwe holds to a schoolbook product).

func testRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

var naiveQ = [rlwe.Primes]uint64{rlwe.Q1, rlwe.Q2}

func randomSlots(r *rand.Rand) *rlwe.Poly {
	p := new(rlwe.Poly)
	for i := range p {
		for j := range p[i] {
			p[i][j] = uint32(r.Uint64N(naiveQ[i]))
		}
	}
	return p
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// naivePass is Σ_j D[k][j]·b_j from column-major bytes.
func naivePass(columns []byte, rows int, b []int32, row int) *big.Int {
	sum, term := new(big.Int), new(big.Int)
	for j, x := range b {
		sum.Add(sum, term.Mul(big.NewInt(int64(columns[j*rows+row])), big.NewInt(int64(x))))
	}
	return sum
}

// exponent is f of slot j: 5^j, then −5^j, modulo 2N.
func exponent(slot int) int {
	f := 1
	for range slot % rlwe.Half {
		f = f * 5 % (2 * rlwe.N)
	}
	if slot >= rlwe.Half {
		f = 2*rlwe.N - f
	}
	return f
}

// slotOf maps odd exponents to slots.
var slotOf = func() map[int]int {
	m := map[int]int{}
	for slot := range rlwe.N {
		m[exponent(slot)] = slot
	}
	return m
}()

// galoisElement is ±5^i.
func galoisElement(i, sign int) int {
	return exponent(sign*rlwe.Half + i)
}

func coefficients(slots *rlwe.Poly) *rlwe.Poly {
	c := new(rlwe.Poly)
	for i := range c {
		rlwe.Mod(i).Inverse(&c[i], &slots[i])
	}
	return c
}

// naiveTau is X → X^g on coefficients.
func naiveTau(a *rlwe.Poly, g int) *rlwe.Poly {
	b := new(rlwe.Poly)
	for i, q := range naiveQ {
		for k, x := range a[i] {
			e := k * g % (2 * rlwe.N)
			if e >= rlwe.N {
				x = uint32((q - uint64(x)) % q)
			}
			b[i][e%rlwe.N] = x
		}
	}
	return b
}

// naiveMulAdd adds the product of a and b modulo X^N+1 to sum.
func naiveMulAdd(sum, a, b *rlwe.Poly) {
	for i, q := range naiveQ {
		for j, x := range a[i] {
			if x == 0 {
				continue
			}
			for k, y := range b[i] {
				p := uint64(x) * uint64(y) % q
				if j+k >= rlwe.N {
					p = q - p
				}
				at := (j + k) % rlwe.N
				sum[i][at] = uint32((uint64(sum[i][at]) + p) % q)
			}
		}
	}
}

// naiveCentred is the coefficient in (−q/2, q/2], by the textbook's CRT.
func naiveCentred(a *rlwe.Poly, k int) *big.Int {
	q1, q2 := big.NewInt(rlwe.Q1), big.NewInt(rlwe.Q2)
	q := new(big.Int).Mul(q1, q2)
	x := new(big.Int).Mul(new(big.Int).ModInverse(q2, q1), q2)
	x.Mul(x, big.NewInt(int64(a[0][k])))
	y := new(big.Int).Mul(new(big.Int).ModInverse(q1, q2), q1)
	x.Add(x, y.Mul(y, big.NewInt(int64(a[1][k])))).Mod(x, q)
	if new(big.Int).Lsh(x, 1).Cmp(q) > 0 {
		x.Sub(x, q)
	}
	return x
}

// naiveRound is ⌊x/2^shift + 1/2⌋ (big.Int shifts floor).
func naiveRound(x *big.Int, shift uint) int64 {
	half := new(big.Int).Lsh(big.NewInt(1), shift-1)
	return half.Add(half, x).Rsh(half, shift).Int64()
}

// naiveDigit is round(centred(r)/2^drop) modulo the primes.
func naiveDigit(r *rlwe.Poly) *rlwe.Poly {
	t := new(rlwe.Poly)
	for k := range rlwe.N {
		d := naiveRound(naiveCentred(r, k), dropBits)
		for i, q := range naiveQ {
			t[i][k] = uint32((d%int64(q) + int64(q)) % int64(q))
		}
	}
	return t
}
