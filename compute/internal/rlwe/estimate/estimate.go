// Package estimate is the estimate of the primal lattice attack that every
// parameter set's test recomputes. Only tests import it.
package estimate

import "math"

// Primal is the cheapest primal uSVP attack on LWE under the geometric series
// assumption: the least block size β for which, for some number of samples m,
//
//	σ_e·√β ≤ δ(β)^(2β−d−1) · vol^(1/d),  d = n + m + 1,
//	vol = q^m·(σ_e/σ_s)^n (Bai–Galbraith embedding, the secret scaled up),
//
// with δ(β) = ((πβ)^(1/β)·β/2πe)^(1/(2β−2)) (2016 estimate, ePrint 2015/1092).
// Costs are those of one SVP call: core-SVP classical 0.292 β, and the BDGL16
// model of ePrint 2024/463's tables, 0.292 β + 16.4 + log2(8d). Dual and
// hybrid attacks are not estimated.
type Primal struct {
	Beta, Dimension int
	CoreSVP, BDGL16 float64 // log2 of the cost
}

// NewPrimal estimates for a secret of dimension n and deviation sigmaSecret,
// errors of deviation sigmaError and up to that many samples.
func NewPrimal(n int, log2q, sigmaSecret, sigmaError float64, samples int) Primal {
	works := func(beta, m int) bool {
		b, d := float64(beta), float64(n+m+1)
		delta := (math.Log2(math.Pi*b)/b + math.Log2(b/(2*math.Pi*math.E))) / (2*b - 2)
		volume := (float64(m)*log2q + float64(n)*math.Log2(sigmaError/sigmaSecret)) / d
		return math.Log2(sigmaError)+math.Log2(b)/2 <= (2*b-d-1)*delta+volume
	}
	for beta := 60; ; beta++ {
		for m := n / 4; m <= samples; m += 8 {
			if works(beta, m) {
				d := n + m + 1
				core := 0.292 * float64(beta)
				return Primal{beta, d, core, core + 16.4 + math.Log2(8*float64(d))}
			}
		}
	}
}
