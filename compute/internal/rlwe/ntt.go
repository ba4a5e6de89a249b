package rlwe

import "math/bits"

// The transforms are the merged negacyclic ones (Longa–Naehrig, ePrint
// 2016/504): Cooley–Tukey butterflies forward, from natural to bit-reversed
// order, Gentleman–Sande ones back; two levels at a time, which halves the
// memory traffic. The last forward level writes straight into discrete-log
// order, the first inverse one reads from it.
//
// Forward, no butterfly corrects its result: each level adds at most 2q to
// the largest value, so from inputs below 2q the outputs stay below 24q, and
// 45q < 2^32.

// slots[p] is the discrete-log slot of position p in bit-reversed order, where
// the value at ζ^(2·rev(p)+1) stands.
var slots = slotTable()

func slotTable() (t [N]uint16) {
	var at [2 * N]uint16 // exponent → slot
	for j, f := 0, 1; j < Half; j, f = j+1, f*5%(2*N) {
		at[f] = uint16(j)
		at[2*N-f] = uint16(Half + j)
	}
	for p := range uint32(N) {
		t[p] = at[2*(bits.Reverse32(p)>>(32-LogN))+1]
	}
	return t
}

// Forward writes the values of a at the slots to dst, canonical. It takes
// coefficients below 2q and uses a as its scratch.
func (m *Modulus) Forward(dst, a *[N]uint32) {
	q, twoQ := m.q, 2*m.q
	// Levels 1 to 10 in pairs: blocks of 4·quarter values.
	for blocks, quarter := 1, N/4; quarter >= 2; blocks, quarter = 4*blocks, quarter/4 {
		for i := range blocks {
			t1, t2, t3 := m.forward[blocks+i], m.forward[2*(blocks+i)], m.forward[2*(blocks+i)+1]
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
	// Level 11: neighbours.
	for p := 0; p < N; p += 2 {
		x, y := a[p], mulLazy(a[p+1], m.forward[N/2+p/2], q)
		dst[slots[p]&(N-1)] = m.canonical(x + y)
		dst[slots[p+1]&(N-1)] = m.canonical(x - y + twoQ)
	}
}

// canonical reduces any x.
func (m *Prime) canonical(x uint32) uint32 {
	estimate := uint32(uint64(x) * (m.barrett >> 32) >> 32) // at most one short
	return Once(x-estimate*m.q, m.q)
}

// Inverse writes the coefficients of the polynomial that has the values a at
// the slots to dst, canonical. The values are canonical; dst is not a.
func (m *Modulus) Inverse(dst, a *[N]uint32) {
	q := m.q
	// Level 11: read from discrete-log order. Sums below 2q.
	for p := 0; p < N; p += 2 {
		x, y := a[slots[p]&(N-1)], a[slots[p+1]&(N-1)]
		dst[p] = x + y
		dst[p+1] = mulLazy(x-y+q, m.inverse[N/2+p/2], q)
	}
	// Levels 10 to 3 in pairs; every value is below 4q before and after.
	for blocks, quarter := N/8, 2; blocks >= 2; blocks, quarter = blocks/4, 4*quarter {
		for i := range blocks {
			t1, t2, t3 := m.inverse[blocks+i], m.inverse[2*(blocks+i)], m.inverse[2*(blocks+i)+1]
			b := dst[4*quarter*i:][:4*quarter]
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
	m.lastInverse(dst)
}

// lastInverse is levels 2 and 1, with the factor 1/N.
func (m *Modulus) lastInverse(dst *[N]uint32) {
	q, t2, t3 := m.q, m.inverse[2], m.inverse[3]
	b0, b1, b2, b3 := dst[:N/4], dst[N/4:][:N/4], dst[N/2:][:N/4], dst[3*N/4:][:N/4]
	for j := range b0 {
		x0, x1, x2, x3 := b0[j], b1[j], b2[j], b3[j]
		x0, x1 = x0+x1, mulLazy(x0-x1+4*q, t2, q)
		x2, x3 = x2+x3, mulLazy(x2-x3+4*q, t3, q)
		b0[j] = Once(mulLazy(x0+x2, m.scale, q), q)
		b1[j] = Once(mulLazy(x1+x3, m.scale, q), q)
		b2[j] = Once(mulLazy(x0-x2+8*q, m.scaleLast, q), q)
		b3[j] = Once(mulLazy(x1-x3+2*q, m.scaleLast, q), q)
	}
}

// MulSlots writes the slotwise product of a and b to dst, which may be either.
func (m *Modulus) MulSlots(dst, a, b *[N]uint32) {
	for j := range dst {
		dst[j] = m.Mul(a[j], b[j])
	}
}
