// Package dot is private weights over released cells (评价指数): a client
// encrypts a weight for each of its cells, the server returns the encrypted
// weighted sum of each measure. The server learns that there were weights and
// not which; the client learns the sums and nothing else about the cells.
//
//	client                                server
//	                 ◀── Public ──        Prepare(cells), once
//	s fresh, ternary
//	c0 = −a·s + e + Δ·W ── query ──▶      Σ V·c0, Σ V·a, block by block
//	                                      + public-key encryption of zero
//	                                      + flood, then modulus switch
//	                 ◀── c0[0], c1 ──     one pair a measure
//	c0[0] + (c1·s)[0] → sum
//
// # Construction
//
// R = Z_Q[X]/(X^N+1), RLWE in the form phase = Δ·m + e; set.go has the two
// parameter sets with their security, params.go the bounds. A block of N
// weights is W = Σ w_i·X^i, one of cells V = v_0 − Σ v_i·X^(N−i): coefficient 0
// of W·V is Σ w_i·v_i, so that no rotations and no evaluation keys are needed.
// All a are expanded from a seed. Everything is added up as values at the
// slots; coefficient 0 is their mean.
//
// Protection of each measure, in the modulus Q: (b·u + e0, a·u + e1) under the
// client's public key (b, a), with u ternary, re-randomises; a flood uniform in
// [−F, F) on c0[0] hides the noise Σ e·v, which the client, who knows e, could
// otherwise read as another combination of the cells; then the modulus is
// switched to three primes. The other coefficients of c0 carry other
// combinations and are not sent. Flooding and switching leave the client
// Δ·S + noise below Δ/2, for certain.
//
// # Promises
//
//   - Sums are exact: weights to 65535, cells to 2^20, a million of them, sums
//     to 2^56. A valid query is never answered wrongly: the noise is below its
//     bound with certainty, not with a probability.
//   - An answer to an honestly formed query, all measures together, is within
//     2^-40 of one made from the sums alone, but for the hardness of RLWE
//     ([Params.LogDistance]; the mean is over the client's errors). Distances
//     add up over answers.
//   - The same query gives the same answer: all protection is a pseudorandom
//     function of the gateway's secret over the whole query, the parameters and
//     the cells, never of a job's name. Two answers that shared u could be
//     subtracted.
//   - A secret is never used twice: a query is a function of (job secret, job,
//     operand, weights), see [NewQuery].
//   - Samplers, encryption and the server's arithmetic take the same path and
//     touch the same addresses whatever secrets, weights and cells are. Exempt
//     are the client's last step, from the phase to the sum (math/big), and the
//     refusal of weights or cells that are out of bounds.
//   - Decoders take exactly one size and canonical residues; nothing that comes
//     from outside panics. A query streams through memory of fixed size.
//
// # Refusals and limits
//
//   - Only cells that the client is entitled to may enter an operand. A weight
//     of 1 in one place and 0 elsewhere is that cell: an answer is a sum to be
//     metered, not a privacy mechanism. It has up to log2(MaxSum) bits, so small
//     cells can be packed several to a sum (weights 1 and 2^8 of cells below
//     2^8): a quota counts bits, or unknowns with that factor.
//   - What is said of protection assumes ciphertexts and a public key formed as
//     here. Oversized noise is not detected. With errors as large as they may
//     be, chosen instead of drawn, the distance is up to 2^-34 a measure at the
//     largest ranges. Weights beyond 65535 wrap only the sender's own sums; above
//     the flood there is room for log2(Q/2F) bits, about those of one sum.
//   - The server is semi-honest: an answer is not proved. A client behaves the
//     same on the wire whatever it decrypts, and takes a fresh key for every
//     job (reaction attacks).
//   - Weights are not negative: a caller sends two vectors and subtracts.
//   - Go cannot promise that no copy of a zeroed secret is left on a stack.
package dot
