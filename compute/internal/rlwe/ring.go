package rlwe

import (
	"fmt"
	"math/bits"
)

// Ring is Z_q[X]/(X^n+1) for a power of two n and one prime q below 2^27 that
// is 1 modulo 2n. Values stand at the slots in bit-reversed order: position p
// holds the value at ζ^(2·rev(p)+1), where ζ = x^((q−1)/2n) for the least x ≥ 2
// for which that has order 2n.
//
// All methods are safe for concurrent use and take the same time for all
// values.
type Ring struct {
	Prime
	n                int
	forward, inverse []twiddle // in the order the transforms walk, as Modulus has them
	scale            twiddle   // n^-1
}

// MaxDegree of a Ring: the forward transform lets values grow to
// 2(log2 n + 1)·q < 2^32.
const MaxDegree = 1 << 13

// NewRing makes a ring's tables. It panics where there is no such ring: degree
// and prime are constants of a program.
func NewRing(n int, q uint32) *Ring {
	logN := bits.Len(uint(n)) - 1
	if n < 16 || n > MaxDegree || n&(n-1) != 0 || q >= 1<<27 || q%uint32(2*n) != 1 {
		panic(fmt.Sprintf("rlwe: no ring of degree %d modulo %d", n, q))
	}
	r := &Ring{Prime: newPrime(q), n: n, forward: make([]twiddle, n), inverse: make([]twiddle, n)}
	root := uint32(0)
	for x := uint32(2); root == 0; x++ {
		if c := r.Power(x, uint64(q-1)/uint64(2*n)); r.Power(c, uint64(n)) == q-1 {
			root = c
		}
	}
	rootInverse := r.Power(root, uint64(q)-2)
	w, v := uint32(1), uint32(1)
	for i := range uint32(n) {
		at := bits.Reverse32(i) >> (32 - logN)
		r.forward[at], r.inverse[at] = r.twiddle(w), r.twiddle(v)
		w, v = r.Mul(w, root), r.Mul(v, rootInverse)
	}
	r.scale = r.twiddle(r.Power(uint32(n), uint64(q)-2))
	return r
}

// Degree returns n.
func (r *Ring) Degree() int { return r.n }

// Forward replaces n coefficients below 2q by the values at the slots,
// canonical. The butterflies are those of Modulus.Forward.
func (r *Ring) Forward(a []uint32) {
	a = a[:r.n]
	q, twoQ := r.q, 2*r.q
	blocks := 1
	if bits.Len(uint(r.n))%2 == 1 { // an even number of levels: one alone
		t, low, high := r.forward[1], a[:r.n/2], a[r.n/2:]
		for j := range low {
			x, y := low[j], mulLazy(high[j], t, q)
			low[j], high[j] = x+y, x-y+twoQ
		}
		blocks = 2
	}
	for quarter := r.n / blocks / 4; quarter >= 2; blocks, quarter = 4*blocks, quarter/4 {
		for i := range blocks {
			t1, t2, t3 := r.forward[blocks+i], r.forward[2*(blocks+i)], r.forward[2*(blocks+i)+1]
			b := a[4*quarter*i:][:4*quarter]
			b0, b1, b2, b3 := b[:quarter], b[quarter:][:quarter], b[2*quarter:][:quarter], b[3*quarter:][:quarter]
			for j := range b0 {
				x0, x1 := b0[j], b1[j]
				x2, x3 := mulLazy(b2[j], t1, q), mulLazy(b3[j], t1, q)
				x0, x2 = x0+x2, x0-x2+twoQ
				x1, x3 = x1+x3, x1-x3+twoQ
				x1, x3 = mulLazy(x1, t2, q), mulLazy(x3, t3, q)
				b0[j], b1[j] = x0+x1, x0-x1+twoQ
				b2[j], b3[j] = x2+x3, x2-x3+twoQ
			}
		}
	}
	last := r.forward[r.n/2:]
	for i, t := range last {
		pair := a[2*i:][:2]
		x, y := pair[0], mulLazy(pair[1], t, q)
		pair[0], pair[1] = r.canonical(x+y), r.canonical(x-y+twoQ)
	}
}

// Inverse replaces n canonical values at the slots by the coefficients,
// canonical.
func (r *Ring) Inverse(a []uint32) {
	a = a[:r.n]
	q := r.q
	for i, t := range r.inverse[r.n/2:] {
		pair := a[2*i:][:2]
		x, y := pair[0], pair[1]
		pair[0], pair[1] = x+y, mulLazy(x-y+q, t, q)
	}
	// Every value is below 4q before and after.
	blocks := r.n / 8
	for quarter := 2; blocks >= 1; blocks, quarter = blocks/4, 4*quarter {
		for i := range blocks {
			t1, t2, t3 := r.inverse[blocks+i], r.inverse[2*(blocks+i)], r.inverse[2*(blocks+i)+1]
			b := a[4*quarter*i:][:4*quarter]
			b0, b1, b2, b3 := b[:quarter], b[quarter:][:quarter], b[2*quarter:][:quarter], b[3*quarter:][:quarter]
			for j := range b0 {
				x0, x1, x2, x3 := b0[j], b1[j], b2[j], b3[j]
				x0, x1 = x0+x1, mulLazy(x0-x1+4*q, t2, q) // below 8q, 2q
				x2, x3 = x2+x3, mulLazy(x2-x3+4*q, t3, q) // the same
				b0[j] = Once(Once(x0+x2, 8*q), 4*q)       // below 16q → 4q
				b1[j] = x1 + x3                           // below 4q
				b2[j] = mulLazy(x0-x2+8*q, t1, q)         // below 2q
				b3[j] = mulLazy(x1-x3+2*q, t1, q)         // below 2q
			}
		}
	}
	if bits.Len(uint(r.n))%2 == 1 {
		t, low, high := r.inverse[1], a[:r.n/2], a[r.n/2:]
		for j := range low {
			x, y := low[j], high[j]
			low[j], high[j] = x+y, mulLazy(x-y+4*q, t, q)
		}
	}
	for j, x := range a {
		a[j] = Once(mulLazy(x, r.scale, q), q)
	}
}
