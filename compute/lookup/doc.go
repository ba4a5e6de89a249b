// Package lookup is the private keyed lookup (匿踪查询): a client fetches one
// column of a table of bytes, the server learns that a column was fetched and
// not which. The client holds nothing but its query; no hint and no copy of the
// table is handed out.
//
// The family is SimplePIR (ePrint 2022/949), YPIR (2024/270) and InsPIRe
// (2025/1352), whose packing needs two key-switching keys.
//
//	client                                server
//	s fresh, ternary
//	B = A·s + E + Δ·e_u ── query ──▶      pass: c = D·B, one number a row
//	y, z: two packing keys                pack: all c into R/2048 ring elements
//	                        ◀── answer ── b̂, rounded to 10 bits a row
//	b̂ − â·s → column u                    â: the same for every query, published
//
// # Construction
//
// N = 2048, q = q1·q2 < 2^53 (compute/internal/rlwe has the ring and its
// security argument). The table D has R rows and m columns of bytes, both
// multiples of N; D' = D − 128. τ_g is X → X^g. Public, expanded from three
// independent seeds: A_c (c < m/N), w and v.
//
// Client, for column u, in the numbers of params.go:
//
//   - B_c = A_c·s + E_c + [c = ⌊u/N⌋]·⌊q/2^8⌉·X^(u mod N), sent rounded to
//     queryBits a coefficient;
//   - y = w·s + e − 2^drop·τ_5(s) and z = v·s + e' − 2^drop·τ_−1(s), sent
//     rounded to keyBits.
//
// Server, when the table is built ([Build]): ã_k = Σ_c D̃_{k,c}·A_c with
// D̃_{k,c} = Σ_i D'[k][cN+i]·X^−i, so that the constant term of ã_k·s is what a
// row's sum hides; for each block of N rows r_σ = N^−1·Σ_k X^k·τ_σ(ã_k) over
// both halves of the Galois group, σ = ±5^i; then each half is collapsed with
// a gadget of one approximate digit t = round(r/2^drop), from i = N/2−1 down:
// r_(i−1) += t_i·τ(w), and at last r_0 += t_h·v. What remains is â; the digits
// t are kept, transformed.
//
// Server, per query ([Table.Answer]): the pass c_k = 2^(53−queryBits)·Σ_j
// D'[k][j]·b'_j, then b̂ = Σ c_k·X^k + Σ t_i·τ(y) + Σ t̄_i·τ(y) + t_h·z, pointwise.
//
// Client: round((b̂ − â·s)·2^8/q) + 128 are the bytes of column u ([Decoder]).
//
// # Promises
//
//   - A secret is never used twice. A query is a function of (job secret,
//     [QueryID], column, table): the same inputs give the same bytes, so that a
//     retry after a crash is a retransmission; any other input, another column
//     among them, gives another secret. There is no way to encrypt under a
//     given s. Reusing s under the fixed A would reveal the columns asked for.
//   - Sampling, transforms, encryption and decryption take the same path and
//     touch the same addresses whatever the secret and the column are; Δ is
//     added to every column under a mask.
//   - Answers are deterministic.
//   - A wrong byte in an honest answer is less likely than 2^−80 for every shape
//     that [Params.Validate] accepts, for the worst possible table
//     ([Params.LogFailure]; a test measures the noise).
//   - Every decoder takes exactly one length and only values that an encoder
//     writes; nothing that comes from outside panics.
//   - A table file is written beside its place and renamed into it; [Open]
//     recomputes every digest and answers a query of its own before it serves.
//
// # Refusals and limits
//
//   - The server is semi-honest. An answer is not proved against the table's
//     digest: a server that corrupts a column and watches for retries learns
//     something, so a caller behaves the same on the wire whatever it decrypts.
//   - Answers carry noise that depends on the table. That is fine for
//     pseudorandom slots, which is all that is ever served here; it is not a
//     way to serve raw data, and nothing but enclave/release may call Build and
//     Open.
//   - A fetched column shows the client all its bytes. What is handed out is
//     bounded by metering, not here.
//   - One changed column changes every ã, all digits and â: changes are batched
//     into versions, each built whole.
//   - Circular security is assumed, as in the family. Dual and hybrid attacks on
//     the parameters were not estimated.
//   - Go cannot promise that no copy of a zeroed secret is left on a stack.
//
// # Kernels
//
// Pass and pack are the two calls of the kernel interface (kernel.go), apart so
// that a table can become a set of sub-tables. The portable kernel is plain Go.
// Under the build tag purego the package uses neither assembly nor unsafe, and
// reads a table file instead of mapping it.
package lookup
