// Package rlwe is the ring arithmetic under the private keyed lookup
// (compute/lookup) and the other encrypted computations: checked parameters,
// number-theoretic transforms, constant-time samplers, seeded expansion, bit
// packing.
//
// [Ring] is of any degree and prime; its users bring their own parameters and
// the argument for them. The rest of this text is about the lookup's ring.
//
// # The ring
//
// R_q = Z_q[X]/(X^N+1) with N = 2048 and q = Q1·Q2, kept as residues modulo
// the two primes. params.go gives the primes with what they have to satisfy
// and the security argument; params_test.go and estimate_test.go recompute
// both.
//
// # Values at the slots
//
// A [Poly] in transformed form holds a(ζ^f) for the N odd exponents f modulo
// 2N, in discrete-log order: slot j is f = 5^j and slot N/2+j is f = −5^j, for
// j < N/2. The Galois map τ_g: X → X^g takes the value at ζ^f to the one at
// ζ^(fg), so in this order τ of 5^i is a cyclic shift by i within each half
// and τ of −1 swaps the halves. Nothing is ever permuted: a rotated key is an
// offset into a doubled array.
//
// # Promises
//
// Forward, Inverse, Reduce, the samplers and Combine take the same path for
// all values: no branch and no address depends on them. Seeded expansion is
// of public values and is not constant-time (it rejects). Pack and the
// unpackers look at lengths only, and at every value in the same way.
//
// Functions here are called on buffers that the caller has sized; the package
// decodes bit strings of exactly one length and refuses all others.
package rlwe
