// Package oprf turns an identifier into a secret only two parties can name
// together: the enterprise (企业), which knows the identifier, and the domain
// (域), which holds the key. It is the first half of verification 核验; package
// lookup is the second.
//
//	enterprise                                   domain, key k
//	in = Encode(rule, domain, fields…)
//	batch, blinded = Blind(in, …)      ──▶       evaluated, proof = k.Evaluate(blinded, prf)
//	outputs = batch.Finalise(pk, …)    ◀──
//	column  = Column(salt, output, m)            at publishing, for every record:
//	  … private lookup of the column …             k.Outputs, Column, Layout.Fill
//	label   = layout.Find(column, …)
//
// The function is the VOPRF mode of RFC 9497 with ristretto255 and SHA-512:
// F(k, in) = SHA-512(in, k·H(in)). The domain sees uniformly random group
// elements and learns how many; the enterprise learns F for exactly the inputs
// it blinded, and a proof that one published key was used for all of them, so
// that nobody can be given a key of their own and be recognised by it.
//
// # What it promises
//
//   - The wire is RFC 9497's: circl's standard client accepts what Evaluate
//     returns, and the RFC's vectors (testdata) hold for blinds, evaluations,
//     proofs and outputs.
//   - [Encode] is injective on normalised fields, and the rule is pinned to one
//     Unicode version, so that toolchains of different years agree (see [Rule]).
//   - Evaluate is deterministic: the same request gives the same bytes. The
//     proof's nonce is a PRF of the whole statement; see nonce in evaluate.go.
//   - A masked column ([Layout.Fill]) is indistinguishable from random bytes to
//     whoever lacks the outputs of its members, and two versions of it are
//     unrelated.
//   - Everything that touches a key, a blind, an output, a tag or a mask runs in
//     time that depends on lengths and counts only.
//
// # What it refuses
//
// Identity elements, non-canonical encodings of elements and scalars, batches
// of none or of more than [MaxBatch], keys of zero, blank fields, text that is
// not UTF-8 or that uses code points the rule does not know. Each has a sentinel
// error, and no error carries a value, only its place.
//
// # Constant time, and on what it rests
//
// The domain's side computes with curve25519-voi (ristretto.go is the only file
// that imports it), the enterprise's side with circl. What was read and found
// free of secret-dependent branches and addresses:
//
//   - voi RistrettoPoint.Mul: signed radix-16 digits, every table entry read
//     under a mask, in the AVX2 and in the generic form; MulBasepoint likewise;
//     Scalar.Mul, Sub and SetBytesModOrderWide: masks and Montgomery reduction.
//   - circl's ristretto255 is bwesterb/go-ristretto: ScalarMult scans all 17
//     entries with conditional moves; Inverse is a fixed addition chain.
//   - SHA-2 and SHA-3 of the standard library.
//
// The one call with variable time is the proof's sum Σ dᵢ·Cᵢ, over values that
// were on the wire already. A test holds this package to that one call.
//
// Zero methods clear what this package owns. Temporaries inside the libraries
// and copies made by the garbage collector are beyond it.
//
// # Cost
//
// µs per element on one core of a shared, busy AMD EPYC, one run of
// go test -bench . (Evaluate at 2048 took 48 in a quiet minute):
//
//	                          batch of 1   64   2048
//	Blind (circl)                    135  107
//	Evaluate with proof              184   87     73
//	  the same by circl's server          170
//	Finalise (circl)                 535  238
//	Outputs                           37
//	Fill, Column                     1.2 and 0.7 a member
//	Find                              13 a column of 511 slots
//
// # What it does not defend
//
// A quantum computer finds k from the public key and opens every masked table.
// Guessing identifiers within the quota works as it does on any verification
// service; quotas bound it. Whoever holds k, or the key for nonces together with
// k's proofs, is the domain.
package oprf
