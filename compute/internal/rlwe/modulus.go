package rlwe

import "math/bits"

// Prime is a modulus below 2^27. All methods take the same time for all values.
type Prime struct {
	q       uint32
	barrett uint64 // ⌊2^64/q⌋
}

func newPrime(q uint32) Prime { return Prime{q: q, barrett: ^uint64(0) / uint64(q)} }

// Modulus is one of the lookup's two primes with its tables. All methods are
// safe for concurrent use and take the same time for all values.
type Modulus struct {
	Prime

	// Twiddle factors in the bit-reversed order that the transforms walk,
	// each with its Shoup companion ⌊w·2^32/q⌋.
	forward, inverse [N]twiddle
	scale, scaleLast twiddle // N^-1, and N^-1 times the last inverse factor
}

// twiddle is a constant factor w with ⌊w·2^32/q⌋.
type twiddle struct{ w, shoup uint32 }

// Moduli are Q1 and Q2.
var moduli = [Primes]*Modulus{newModulus(Q1, psi[0]), newModulus(Q2, psi[1])}

// Mod returns the i-th modulus, i < Primes.
func Mod(i int) *Modulus { return moduli[i] }

func newModulus(q, root uint32) *Modulus {
	m := &Modulus{Prime: newPrime(q)}
	rootInverse := m.Power(root, uint64(q)-2)
	w, v := uint32(1), uint32(1)
	for i := range uint(N) {
		at := bits.Reverse32(uint32(i)) >> (32 - LogN)
		m.forward[at], m.inverse[at] = m.twiddle(w), m.twiddle(v)
		w, v = m.Mul(w, root), m.Mul(v, rootInverse)
	}
	nInverse := m.Power(N, uint64(q)-2)
	m.scale = m.twiddle(nInverse)
	m.scaleLast = m.twiddle(m.Mul(nInverse, m.inverse[1].w))
	return m
}

func (m *Prime) twiddle(w uint32) twiddle {
	return twiddle{w, uint32(uint64(w) << 32 / uint64(m.q))}
}

// Q returns the prime.
func (m *Prime) Q() uint32 { return m.q }

// Reduce returns x mod q, canonical, for any x.
func (m *Prime) Reduce(x uint64) uint32 {
	// With b = ⌊2^64/q⌋ the estimate is at most one short of ⌊x/q⌋:
	// x/q − xb/2^64 < x/2^64 < 1.
	estimate, _ := bits.Mul64(x, m.barrett)
	return Once(uint32(x-estimate*uint64(m.q)), m.q)
}

// ReduceSigned returns x mod q, canonical, for |x| < 2^61.
func (m *Prime) ReduceSigned(x int64) uint32 {
	// A multiple of q near 2^62 makes it non-negative.
	return m.Reduce(uint64(x + int64(1<<62/uint64(m.q)*uint64(m.q))))
}

// Mul returns a·b mod q for canonical a and b.
func (m *Prime) Mul(a, b uint32) uint32 { return m.Reduce(uint64(a) * uint64(b)) }

// Power returns a^e mod q. Its time depends on e, which is never secret.
func (m *Prime) Power(a uint32, e uint64) uint32 {
	r := uint32(1)
	for ; e > 0; e >>= 1 {
		if e&1 == 1 {
			r = m.Mul(r, a)
		}
		a = m.Mul(a, a)
	}
	return r
}

// Once subtracts q from x if x ≥ q, without a branch, for x < 2^31 + q.
func Once(x, q uint32) uint32 {
	x -= q
	return x + q&uint32(int32(x)>>31)
}

// mulLazy returns y·w mod q up to one q too much: in [0, 2q), for any y.
// The quotient's estimate ⌊y·shoup/2^32⌋ is at most one short of ⌊y·w/q⌋ for
// y < 2^32.
func mulLazy(y uint32, t twiddle, q uint32) uint32 {
	estimate := uint32(uint64(y) * uint64(t.shoup) >> 32)
	return y*t.w - estimate*q
}
