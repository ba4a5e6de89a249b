package dot

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
	"github.com/yingbi/yingbi/compute/internal/rlwe/estimate"
)

// The 2024 guidelines (ePrint 2024/463): ternary secret, 128 bits classical.
func TestSetsAreWithinTheGuidelines(t *testing.T) {
	caps := map[int]float64{4096: 106, 8192: 214}
	for _, s := range sets {
		if s.cap != caps[s.degree] || s.degree == 0 {
			t.Errorf("%s: a cap of %.0f at degree %d", s.name, s.cap, s.degree)
		}
		if new(big.Int).Lsh(big.NewInt(1), uint(s.cap)).Cmp(s.modulus()) <= 0 {
			t.Errorf("%s: log2 Q is %.5f, at most %.0f", s.name, logBig(s.modulus()), s.cap)
		}
	}
}

func TestPrimes(t *testing.T) {
	for _, s := range sets {
		seen := map[uint32]bool{}
		for _, q := range s.primes {
			if !big.NewInt(int64(q)).ProbablyPrime(32) || q%uint32(2*s.degree) != 1 || seen[q] {
				t.Errorf("%s: %d is not a prime that is 1 modulo %d, or there twice", s.name, q, 2*s.degree)
			}
			seen[q] = true
			if q>>(residueBits-1) != 1 {
				t.Errorf("%s: %d does not have %d bits", s.name, q, residueBits)
			}
			// Sums over all blocks, with the mask's product, fit an accumulator.
			blocks := uint64(MaxCells/s.degree) + 1
			if product := uint64(q-1) * uint64(q-1); product > math.MaxUint64/blocks {
				t.Errorf("%s: %d products do not fit 64 bits", s.name, blocks)
			}
			// The switch: q_l < 2q, and (values + 2q + q_l/2)·q below 2^64.
			for _, l := range s.primes {
				if l >= 2*q {
					t.Errorf("%s: %d is twice %d", s.name, l, q)
				}
			}
		}
	}
}

// The figures beside the sets.
func TestSecurityEstimate(t *testing.T) {
	for _, c := range []struct {
		set        string
		core, bdgl float64
	}{{SetFull, 186.6, 219.9}, {SetCompact, 99.6, 131.9}} {
		s := setNamed(c.set)
		got := estimate.NewPrimal(s.degree, logBig(s.modulus()), math.Sqrt(2./3), math.Sqrt(rlwe.Variance), 2*s.degree)
		t.Logf("%s: log2 Q = %.3f, β = %d, d = %d, core-SVP classical 2^%.1f, BDGL16 2^%.1f", c.set, logBig(s.modulus()), got.Beta, got.Dimension, got.CoreSVP, got.BDGL16)
		if math.Abs(got.CoreSVP-c.core) > 0.1 || math.Abs(got.BDGL16-c.bdgl) > 0.1 {
			t.Errorf("%s: %.1f and %.1f bits, set.go says %.1f and %.1f", c.set, got.CoreSVP, got.BDGL16, c.core, c.bdgl)
		}
	}
}

// Every range of the package at once is within the full set: a million cells
// and weights, all as large as they can be, 64 measures.
func TestFullSetTakesEveryRange(t *testing.T) {
	p := params(t, SetFull, MaxCells, MaxMeasures, MaxCell)
	t.Logf("distance 2^%.2f for %d measures; flood 2^%.1f", p.LogDistance(), p.Measures, logBig(p.flood()))
	if p.MaxSum >= 1<<56 || p.LogDistance() > logDistance {
		t.Errorf("sums to %d at a distance of 2^%.2f", p.MaxSum, p.LogDistance())
	}
}

// The compact set holds while log2 ‖v‖₁ + log2 ‖v‖₂ + log2 measures is below
// 48.3, all weights allowed: by the root of the mean square, where the mean of
// a Gaussian's absolute value would allow 48.6.
func TestCompactCondition(t *testing.T) {
	for _, c := range []struct {
		cells, measures int
		maxCell         uint32
		holds           bool
	}{{1, 1, MaxCell, true}, {4096, 1, 1 << 15, true}, {4096, 1, 1 << 16, false}, {1 << 16, 1, 1 << 12, true}, {1 << 16, 4, 1 << 12, false}} {
		n := uint64(c.cells) * uint64(c.maxCell)
		p := Params{SetCompact, c.cells, c.measures, c.maxCell, n, n * uint64(c.maxCell), MaxWeight * n}
		log := math.Log2(float64(p.Norm1)) + math.Log2(float64(p.Norm2Squared))/2 + math.Log2(float64(c.measures))
		if err := p.Validate(); (err == nil) != c.holds || c.holds != (log < 48.3) {
			t.Errorf("%d × %d, %d measures (%.2f): %v", c.cells, c.maxCell, c.measures, log, err)
		}
		chosen, err := NewParams(c.cells, c.measures, c.maxCell)
		if err != nil || (chosen.Set == SetCompact) != c.holds {
			t.Errorf("%d × %d: chose %s, %v", c.cells, c.maxCell, chosen.Set, err)
		}
	}
}

// For everything that Validate accepts, recomputed from the definitions with
// rationals: noise below Δ/2 for certain, so that valid queries never decode
// wrongly (2^-80 is allowed); sums and noise below zero do not meet; the flood
// is within 2^-40 of hiding the noise.
func TestWhatValidateAcceptsIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Params{
			Set:      rapid.SampledFrom([]string{SetFull, SetCompact}).Draw(t, "set"),
			Cells:    rapid.IntRange(1, MaxCells).Draw(t, "cells"),
			Measures: rapid.IntRange(1, MaxMeasures).Draw(t, "measures"),
			MaxCell:  rapid.Uint32Range(1, MaxCell).Draw(t, "largest"),
		}
		p.Norm1 = rapid.Uint64Range(1, uint64(p.Cells)*uint64(p.MaxCell)).Draw(t, "norm1")
		p.Norm2Squared = rapid.Uint64Range(1, p.Norm1*uint64(p.MaxCell)).Draw(t, "norm2")
		p.MaxSum = rapid.Uint64Range(1, MaxWeight*p.Norm1).Draw(t, "sum")
		if err := p.Validate(); err != nil {
			if p.Set == SetFull {
				t.Fatal(err)
			}
			return
		}
		s, n := p.set(), int64(p.set().degree)
		rat := func(x int64) *big.Rat { return new(big.Rat).SetInt64(x) }
		mul := func(x, y *big.Rat) *big.Rat { return new(big.Rat).Mul(x, y) }
		add := func(x, y *big.Rat) *big.Rat { return new(big.Rat).Add(x, y) }
		norm1, norm2 := new(big.Rat).SetUint64(p.Norm1), new(big.Rat).SetUint64(p.Norm2Squared)

		noise := mul(rat(21), add(norm1, rat(2*n+1)))
		scale := rat(1) // what an error after the primes dropped so far is worth
		for l := len(s.primes) - 1; l >= kept; l-- {
			scale = mul(scale, rat(int64(s.primes[l])))
			noise = add(noise, mul(mul(scale, big.NewRat(1, 2)), rat(n+1)))
		}
		flood, delta := new(big.Rat).SetInt(p.flood()), new(big.Rat).SetInt(p.delta())
		if total := add(noise, flood); total.Cmp(mul(delta, big.NewRat(1, 2))) >= 0 {
			t.Fatalf("noise %s reaches half of Δ", total.FloatString(0))
		}
		room := mul(delta, add(new(big.Rat).SetUint64(p.MaxSum), rat(2)))
		if room.Cmp(new(big.Rat).SetInt(s.modulus())) > 0 {
			t.Fatal("sums and the noise below zero meet")
		}
		// (distance)² = measures²·E[d²]/(2F)².
		square := add(mul(big.NewRat(21, 2), add(norm2, rat(1))), mul(big.NewRat(21, 2), mul(big.NewRat(4, 3), rat(n))))
		square = mul(square, rat(int64(p.Measures*p.Measures)))
		square.Quo(square, mul(rat(4), mul(flood, flood)))
		if square.Cmp(new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 80))) > 0 {
			t.Fatalf("distance above 2^-40: its square is %s", square.FloatString(30))
		}
		f, _ := square.Float64()
		if got := p.LogDistance(); math.Abs(got-math.Log2(f)/2) > 1e-6 {
			t.Fatalf("LogDistance is %f, expected %f", got, math.Log2(f)/2)
		}
	})
}

// Noise as large as it may be, both ways, decodes to the sum, also below zero.
func TestDecodeAtTheEdges(t *testing.T) {
	for _, set := range []string{SetFull, SetCompact} {
		p := params(t, set, 1000, 1, 100)
		s := p.set()
		dropped := s.product(kept, len(s.primes))
		half := new(big.Int).Rsh(p.delta(), 1)
		for _, sum := range []uint64{0, 1, 12345, p.MaxSum - 1, p.MaxSum} {
			for _, sign := range []int64{-1, 0, 1} {
				// The last φ whose P·φ is within Δ/2 − 1 of Δ·S.
				x := new(big.Int).Mul(p.delta(), new(big.Int).SetUint64(sum))
				x.Add(x, new(big.Int).Mul(big.NewInt(sign), new(big.Int).Sub(half, big.NewInt(1))))
				if sign < 0 {
					x.Add(x, dropped).Sub(x, big.NewInt(1))
				}
				x.Div(x, dropped)
				var residues [kept]uint32
				copy(residues[:], s.residues(x))
				if got, ok := p.decode(residues); !ok || got != sum {
					t.Errorf("%s: %d with noise %+d·(Δ/2 − 1) is decoded as %d, %t", set, sum, sign, got, ok)
				}
			}
		}
		x := new(big.Int).Mul(p.delta(), new(big.Int).SetUint64(p.MaxSum+1))
		var residues [kept]uint32
		copy(residues[:], s.residues(x.Div(x, dropped)))
		if got, ok := p.decode(residues); ok {
			t.Errorf("%s: a sum that cannot be is decoded as %d", set, got)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	good := params(t, SetFull, 100, 2, 50)
	for name, change := range map[string]func(p *Params){
		"zero": func(p *Params) { *p = Params{} }, "another set": func(p *Params) { p.Set += "2" },
		"no cells": func(p *Params) { p.Cells = 0 }, "negative cells": func(p *Params) { p.Cells = -1 },
		"cells": func(p *Params) { p.Cells = MaxCells + 1 }, "measures": func(p *Params) { p.Measures = MaxMeasures + 1 },
		"negative measures": func(p *Params) { p.Measures = -1 }, "no measures": func(p *Params) { p.Measures = 0 },
		"a zero cell": func(p *Params) { p.MaxCell = 0 }, "a large cell": func(p *Params) { p.MaxCell = MaxCell + 1 },
		"norm": func(p *Params) { p.Norm1++ }, "no norm": func(p *Params) { p.Norm1 = 0 },
		"squared norm": func(p *Params) { p.Norm2Squared++ }, "no squared norm": func(p *Params) { p.Norm2Squared = 0 },
		"sum": func(p *Params) { p.MaxSum++ }, "no sum": func(p *Params) { p.MaxSum = 0 }, "a wrapping sum": func(p *Params) { p.MaxSum = math.MaxUint64 },
	} {
		p := good
		change(&p)
		if err := p.Validate(); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := NewQuery(Public{Params: p}, &jobKey, "job", nil); !errors.Is(err, ErrParams) {
			t.Errorf("a query, %s: %v", name, err)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		set      string
		up, down int
	}{{SetFull, 64 + 124*138_240, 16 * 82_956}, {SetCompact, 64 + 246*55_296, 16 * 41_484}} {
		p := Params{Set: c.set, Cells: 1_000_000, Measures: 16}
		if p.QueryBytes() != c.up || p.AnswerBytes() != c.down {
			t.Errorf("%s: %d up, %d down, expected %d and %d", c.set, p.QueryBytes(), p.AnswerBytes(), c.up, c.down)
		}
	}
}

func TestPublicAsJSON(t *testing.T) {
	p := Public{params(t, SetFull, MaxCells, 2, MaxCell), Digest{1, 0xab}}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"set":"dot-n8192-q135-v1","cells":1048576,"measures":2,"maxCell":1048576,"norm1":"1099511627776","norm2Squared":"1152921504606846976","maxSum":"72056494526300160","digest":"01ab000000000000000000000000000000000000000000000000000000000000"}`
	if string(b) != want {
		t.Errorf("%s", b)
	}
	var back Public
	if err := json.Unmarshal(b, &back); err != nil || back != p {
		t.Errorf("%+v, %v", back, err)
	}
	for _, s := range []string{"", "01", want[len(want)-66:len(want)-2] + "0", "01AB" + want[len(want)-62:len(want)-2], "0g" + want[len(want)-64:len(want)-2]} {
		if new(Digest).UnmarshalText([]byte(s)) == nil {
			t.Errorf("%q was taken", s)
		}
	}
}
