// Package noise draws the noise of differentially private releases (差分隐私)
// and keeps account of what they spend.
//
// # What it promises
//
//   - The samplers are exact: integers and rationals only, no floating point
//     anywhere, so that a value's probability is the distribution's and not an
//     approximation that a released low bit could betray (Mironov, "On
//     significance of the least significant bits for differential privacy", CCS
//     2012). They are algorithms 1 to 3 of Canonne, Kamath and Steinke, "The
//     discrete Gaussian for differential privacy", NeurIPS 2020 (arXiv
//     2004.00010).
//   - Randomness is crypto/rand's outside tests.
//   - Budgets are integers. A release never costs less than its noise gives
//     away: whatever does not divide is rounded against the publisher, towards
//     more noise or more cost.
//
// # What it does not
//
// Sampling takes a time that depends on what is drawn. Noise is drawn inside
// the domain, once for a publication, long before anyone asks; whoever can time
// it there can read more than noise.
//
// Privacy is that of the whole release: sensitivities come from the caller, who
// bounds every subject's contribution. A statement of zero-concentrated
// differential privacy (zCDP; Bun and Steinke, TCC 2016) holds for one subject
// added or removed, with the cells' domain public.
package noise
