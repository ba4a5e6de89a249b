package rlwe

// The ring of the lookup.
//
// N = 2048 with log2 q = 52.99969 < 53 and a uniform ternary secret is within
// the 2024 guidelines for 128 bits classical (ePrint 2024/463, table for
// ternary secrets: log2 q ≤ 53 at N = 2048). An own estimate of the primal
// uSVP attack (package estimate, geometric series assumption, error variance
// 10.5) gives block size 346: 101.0 bits in the classical core-SVP model
// (0.292 β), 132.4 in the BDGL16 model of the guidelines' tables (0.292 β +
// 16.4 + log2 8d). Counting the rounding of the keys (7 dropped bits, deviation
// 37) it gives 382: 111.5 and 142.9 bits. Dual and hybrid attacks were not estimated. Circular
// security is assumed, as in the family of these schemes: the keys of a query
// encrypt images of its own secret.
const (
	LogN = 11
	N    = 1 << LogN // degree
	Half = N / 2     // slots in a half: the order of 5 modulo 2N

	// Q1 and Q2 are 1 modulo 2N = 4096, so that X^N+1 splits, and below
	// 2^26.5, so that (N−1)·(Qi−1)² < 2^64: the 2047 products of a packing
	// chain fit one uint64 accumulator without a reduction. Primes nearer
	// 2^27 would have to be folded on the way.
	Q1 = 94904321
	Q2 = 94887937
	Q  = Q1 * Q2 // 9005275232075777

	// Primes is how many residues a value has.
	Primes = 2
)

// Psi are primitive 2N-th roots of unity, ζ modulo each prime. They are part
// of the meaning of expanded polynomials, so they are fixed: x^((Qi−1)/2N) for
// the least x ≥ 2 for which that has order 2N.
var psi = [Primes]uint32{12460132, 84028854}

var primes = [Primes]uint32{Q1, Q2}

// Poly is an element of R_q: its residues modulo Q1 and Q2, either as
// coefficients or as values at the slots. Residues are canonical unless a
// function says otherwise.
type Poly [Primes][N]uint32

// Zero overwrites p.
func (p *Poly) Zero() {
	for i := range p {
		clear(p[i][:])
	}
}
