package rlwe

import (
	"math"
	"testing"
)

// primal is the cheapest primal uSVP attack on LWE under the geometric series
// assumption: the least block size β for which, for some number of samples m,
//
//	σ_e·√β ≤ δ(β)^(2β−d−1) · vol^(1/d),  d = n + m + 1,
//	vol = q^m·(σ_e/σ_s)^n (Bai–Galbraith embedding, the secret scaled up),
//
// with δ(β) = ((πβ)^(1/β)·β/2πe)^(1/(2β−2)) (2016 estimate, ePrint 2015/1092).
// Costs are those of one SVP call: core-SVP classical 0.292 β, and the BDGL16
// model of ePrint 2024/463's tables, 0.292 β + 16.4 + log2(8d). Dual and
// hybrid attacks are not estimated.
type primal struct {
	beta, d         int
	coreSVP, bdgl16 float64
}

func estimatePrimal(n int, log2q, sigmaSecret, sigmaError float64, samples int) primal {
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
				return primal{beta, d, core, core + 16.4 + math.Log2(8*float64(d))}
			}
		}
	}
}

func TestEstimateOnKyber512(t *testing.T) {
	// Kyber round 3, table 4: Kyber512 primal, core-SVP classical 118 at
	// block size 406 (n = 512, q = 3329, η = 3).
	got := estimatePrimal(512, math.Log2(3329), math.Sqrt(1.5), math.Sqrt(1.5), 512)
	if got.beta < 402 || got.beta > 410 {
		t.Errorf("block size %d, published 406", got.beta)
	}
}

func TestSecurityEstimate(t *testing.T) {
	ternary := math.Sqrt(2. / 3)
	log2q := math.Log2(Q)
	cases := []struct {
		name       string
		sigma      float64
		beta       int
		core, bdgl float64
	}{
		{"rounding not counted", math.Sqrt(Variance), 346, 101.0, 132.4},
		// The keys drop 7 bits of 53: uniform rounding adds 4^7/12.
		{"with the keys' rounding", math.Sqrt(Variance + math.Pow(4, 7)/12), 382, 111.5, 142.9},
	}
	for _, c := range cases {
		got := estimatePrimal(N, log2q, ternary, c.sigma, 2*N)
		t.Logf("%s: β = %d, d = %d, core-SVP classical 2^%.1f, BDGL16 2^%.1f", c.name, got.beta, got.d, got.coreSVP, got.bdgl16)
		if got.beta != c.beta || math.Abs(got.coreSVP-c.core) > 0.1 || math.Abs(got.bdgl16-c.bdgl) > 0.1 {
			t.Errorf("%s: β = %d, %.1f and %.1f bits; params.go says %d, %.1f and %.1f",
				c.name, got.beta, got.coreSVP, got.bdgl16, c.beta, c.core, c.bdgl)
		}
	}
}
