package estimate

import (
	"math"
	"testing"
)

func TestEstimateOnKyber512(t *testing.T) {
	// Kyber round 3, table 4: Kyber512 primal, core-SVP classical 118 at
	// block size 406 (n = 512, q = 3329, η = 3).
	got := NewPrimal(512, math.Log2(3329), math.Sqrt(1.5), math.Sqrt(1.5), 512)
	if got.Beta < 402 || got.Beta > 410 {
		t.Errorf("block size %d, published 406", got.Beta)
	}
}
