package rlwe

import (
	"math"
	"testing"

	"github.com/yingbi/yingbi/compute/internal/rlwe/estimate"
)

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
		got := estimate.NewPrimal(N, log2q, ternary, c.sigma, 2*N)
		t.Logf("%s: β = %d, d = %d, core-SVP classical 2^%.1f, BDGL16 2^%.1f", c.name, got.Beta, got.Dimension, got.CoreSVP, got.BDGL16)
		if got.Beta != c.beta || math.Abs(got.CoreSVP-c.core) > 0.1 || math.Abs(got.BDGL16-c.bdgl) > 0.1 {
			t.Errorf("%s: β = %d, %.1f and %.1f bits; params.go says %d, %.1f and %.1f",
				c.name, got.Beta, got.CoreSVP, got.BDGL16, c.beta, c.core, c.bdgl)
		}
	}
}
