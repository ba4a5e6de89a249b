package rlwe

// q1Inverse is Q1^-1 modulo Q2, for Combine.
var q1Inverse = moduli[1].twiddle(moduli[1].Power(Q1%Q2, Q2-2))

// Combine returns the x in [0, Q) with x ≡ r1 modulo Q1 and r2 modulo Q2, for
// canonical residues.
func Combine(r1, r2 uint32) uint64 {
	// Q1 < 2·Q2, so the difference is positive and below 2^32.
	u := Once(mulLazy(r2+2*Q2-r1, q1Inverse, Q2), Q2)
	return uint64(r1) + Q1*uint64(u)
}

// Centre returns the representative of x in (−Q/2, Q/2], for x in [0, Q).
func Centre(x uint64) int64 {
	above := uint64(int64(Q/2-x) >> 63) // all ones if x > ⌊Q/2⌋; Q is odd
	return int64(x - Q&above)
}

// Round returns ⌊x/2^shift + 1/2⌋: half is added and the sum floored, also
// below zero.
func Round(x int64, shift uint) int64 { return (x + 1<<(shift-1)) >> shift }
