package noise

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// seeded is a reproducible source: a test on it passes always or never.
func seeded(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

// chiSquared compares counts with the expected ones and gives the probability
// of a worse fit (Wilson and Hilferty's approximation, good to a few per cent
// from five degrees of freedom on). Cells with few expected are joined.
func chiSquared(counts map[int64]int, draws int, p func(x int64) float64, span int64) float64 {
	statistic, cells := 0.0, 0
	restCount, restExpected := draws, float64(draws)
	for x := -span; x <= span; x++ {
		expected := p(x) * float64(draws)
		if expected < 20 {
			continue
		}
		d := float64(counts[x]) - expected
		statistic += d * d / expected
		cells++
		restCount, restExpected = restCount-counts[x], restExpected-expected
	}
	if restExpected > 20 {
		d := float64(restCount) - restExpected
		statistic += d * d / restExpected
		cells++
	}
	k := float64(cells - 1)
	z := (math.Cbrt(statistic/k) - (1 - 2/(9*k))) / math.Sqrt(2/(9*k))
	return math.Erfc(z/math.Sqrt2) / 2
}

// normalised makes a distribution of weights.
func normalised(span int64, weight func(x float64) float64) func(int64) float64 {
	total := 0.0
	for x := -span; x <= span; x++ {
		total += weight(float64(x))
	}
	return func(x int64) float64 { return weight(float64(x)) / total }
}

// The samplers draw from the distributions that they name. The probability that
// a right sampler fails one of these is 10^-4; the seeds being fixed, it does not.
func TestSamplersAgainstTheDistribution(t *testing.T) {
	const draws, falseAlarm = 100_000, 1e-4
	for i, c := range []struct {
		gaussian bool
		num, den int64
	}{
		{true, 1, 4}, {true, 1, 1}, {true, 9, 2}, {true, 100, 1}, {true, 1_000_003, 7},
		{false, 1, 2}, {false, 1, 1}, {false, 7, 3}, {false, 50, 1},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			s, draw := New(seeded(byte(i))), (*Sampler).Laplace
			v := float64(c.num) / float64(c.den)
			weight := func(x float64) float64 { return math.Exp(-math.Abs(x) / v) }
			span := int64(60*v) + 60
			if c.gaussian {
				draw = (*Sampler).Gaussian
				weight = func(x float64) float64 { return math.Exp(-x * x / (2 * v)) }
				span = int64(40*math.Sqrt(v)) + 60
			}
			counts := map[int64]int{}
			for range draws {
				x, err := draw(s, c.num, c.den)
				if err != nil {
					t.Fatal(err)
				}
				counts[x]++
			}
			if p := chiSquared(counts, draws, normalised(span, weight), span); p < falseAlarm {
				t.Errorf("a worse fit has probability %.2g", p)
			}
		})
	}
}

// The test above finds a sampler that is wrong by little: one whose zero is
// twice as likely, one with a twentieth more variance.
func TestTheTestFindsWrongSamplers(t *testing.T) {
	const draws = 200_000
	for name, wrong := range map[string]func(s *Sampler) (int64, error){
		"another variance": func(s *Sampler) (int64, error) { return s.Gaussian(105, 1) },
		"zero twice": func(s *Sampler) (int64, error) {
			x, err := s.Gaussian(100, 1)
			if err == nil && x == 1 {
				x = 0
			}
			return x, err
		},
	} {
		s, counts := New(seeded(99)), map[int64]int{}
		for range draws {
			x, err := wrong(s)
			if err != nil {
				t.Fatal(err)
			}
			counts[x]++
		}
		if p := chiSquared(counts, draws, normalised(500, func(x float64) float64 { return math.Exp(-x * x / 200) }), 500); p > 1e-4 {
			t.Errorf("%s: not found, p = %.2g", name, p)
		}
	}
}

// Algorithm 1 is true with probability e^−γ, below and above 1.
func TestBernoulliExp(t *testing.T) {
	const draws = 100_000
	for i, c := range [][2]int64{{0, 1}, {1, 3}, {1, 1}, {5, 2}, {4, 1}} {
		s, hits := New(seeded(byte(40+i))), 0
		for range draws {
			if s.exp(big.NewInt(c[0]), big.NewInt(c[1])) {
				hits++
			}
		}
		p := math.Exp(-float64(c[0]) / float64(c[1]))
		if sd := math.Sqrt(p * (1 - p) / draws); math.Abs(float64(hits)/draws-p) > 4*sd {
			t.Errorf("e^-%d/%d: %d of %d, want %.4f", c[0], c[1], hits, draws, p)
		}
	}
}

func TestUniformBelow(t *testing.T) {
	for _, n := range []int64{1, 2, 3, 255, 256, 257} {
		s, counts := New(seeded(7)), map[int64]int{}
		for range 300 * n {
			counts[s.below(big.NewInt(n)).Int64()]++
		}
		for x := range n {
			if c := counts[x]; c < 200 || c > 420 {
				t.Errorf("below %d: %d came %d times of %d", n, x, c, 300*n)
			}
		}
		if len(counts) != int(n) {
			t.Errorf("below %d: %d different values", n, len(counts))
		}
	}
}

func TestRefusals(t *testing.T) {
	s := New(seeded(0))
	for _, p := range [][2]int64{{0, 1}, {1, 0}, {-1, 1}, {1, -1}, {MaxParameter + 1, 1}, {1, math.MaxInt64}} {
		if _, err := s.Gaussian(p[0], p[1]); !errors.Is(err, ErrParameter) {
			t.Errorf("Gaussian %v: %v", p, err)
		}
		if _, err := s.Laplace(p[0], p[1]); !errors.Is(err, ErrParameter) {
			t.Errorf("Laplace %v: %v", p, err)
		}
	}
	if _, err := s.Gaussian(1<<40, 3); err != nil {
		t.Error(err)
	}
	for _, r := range []Rho{0, -1, MaxRho + 1} {
		if _, err := GaussianFor(r, big.NewInt(1)); !errors.Is(err, ErrRho) {
			t.Errorf("rho %d: %v", r, err)
		}
	}
	if _, err := GaussianFor(1, new(big.Int).Lsh(big.NewInt(1), 80)); !errors.Is(err, ErrSensitivity) {
		t.Error(err)
	}
	if _, err := LaplaceFor(1, big.NewInt(0)); !errors.Is(err, ErrSensitivity) {
		t.Error(err)
	}
}

// wide is algorithms 2 and 3 on integers without limits, as they are printed.
type wide struct{ *Sampler }

func (s wide) laplace(t, scale *big.Int) *big.Int {
	for {
		u := s.below(t)
		if !s.expFraction(u, t) {
			continue
		}
		v := int64(0)
		for s.expFraction(one, one) {
			v++
		}
		x := new(big.Int).Mul(t, big.NewInt(v))
		x.Quo(x.Add(x, u), scale)
		if s.bit() {
			if x.Sign() == 0 {
				continue
			}
			x.Neg(x)
		}
		return x
	}
}

func (s wide) gaussian(n, d *big.Int) *big.Int {
	t := new(big.Int).Sqrt(new(big.Int).Quo(n, d))
	t.Add(t, one)
	for {
		y := s.laplace(t, one)
		r := new(big.Rat).Sub(new(big.Rat).SetInt(new(big.Int).Abs(y)), new(big.Rat).SetFrac(n, new(big.Int).Mul(d, t)))
		gamma := r.Mul(r, r)
		gamma.Quo(gamma, new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(2), n), d))
		// Unreduced, with the denominator of the construction, to draw the same.
		den := new(big.Int).Mul(new(big.Int).Mul(big.NewInt(2), n), new(big.Int).Mul(d, new(big.Int).Mul(t, t)))
		num := new(big.Int).Quo(new(big.Int).Mul(gamma.Num(), den), gamma.Denom())
		ok := true
		for ; ok && num.Cmp(den) >= 0; num.Sub(num, den) {
			ok = s.expFraction(one, one)
		}
		if ok && s.expFraction(num, den) {
			return y
		}
	}
}

// Numbers of 64 bits, where they do, draw what integers without limits draw from
// the same bytes, to the ends of the parameters.
func TestWordsDrawWhatIntegersDraw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parameter := rapid.OneOf(rapid.Int64Range(1, 50), rapid.Int64Range(1, MaxParameter), rapid.Just(int64(MaxParameter)))
		num, den, seed := parameter.Draw(t, "num"), parameter.Draw(t, "den"), rapid.Byte().Draw(t, "seed")
		words, integers := New(seeded(seed)), wide{New(seeded(seed))}
		for range 20 {
			for name, draw := range map[string]func() (int64, *big.Int, error){
				"Laplace": func() (int64, *big.Int, error) {
					x, err := words.Laplace(num, den)
					return x, integers.laplace(big.NewInt(num), big.NewInt(den)), err
				},
				"Gaussian": func() (int64, *big.Int, error) {
					x, err := words.Gaussian(num, den)
					return x, integers.gaussian(big.NewInt(num), big.NewInt(den)), err
				},
			} {
				got, want, err := draw()
				if beyond := new(big.Int).Abs(want); !beyond.IsInt64() {
					if !errors.Is(err, ErrRandom) {
						t.Fatalf("%s %d/%d: %d, %v, want a refusal of %d", name, num, den, got, err, want)
					}
				} else if err != nil || got != want.Int64() {
					t.Fatalf("%s %d/%d: %d, %v, want %d", name, num, den, got, err, want)
				}
			}
		}
	})
}

// A source that fails gives no noise, at once or in the middle.
func TestNoRandomnessNoNoise(t *testing.T) {
	for n := range 40 {
		source := iotest.OneByteReader(bytes.NewReader(make([]byte, n)))
		s := New(source)
		for range 100 {
			if _, err := s.Gaussian(100, 1); err != nil {
				if !errors.Is(err, ErrRandom) {
					t.Fatal(err)
				}
				break
			}
		}
		if _, err := s.Laplace(100, 1); !errors.Is(err, ErrRandom) {
			t.Fatalf("after %d bytes noise was drawn: %v", n, err)
		}
	}
}

// What a release costs, by exact rational arithmetic, is never more than what
// it is accounted for.
func TestNoiseCoversItsCost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rho := Rho(rapid.Int64Range(1, MaxRho).Draw(t, "rho"))
		d := new(big.Int).Lsh(big.NewInt(rapid.Int64Range(1, 1<<40).Draw(t, "d")), uint(rapid.IntRange(0, 12).Draw(t, "shift")))
		accounted := new(big.Rat).SetFrac64(int64(rho), PerRho)
		if v, err := GaussianFor(rho, d); err == nil {
			// d / 2σ² ≤ ρ
			cost := new(big.Rat).SetFrac(d, big.NewInt(2))
			cost.Quo(cost, new(big.Rat).SetFrac64(v.Num, v.Den))
			if cost.Cmp(accounted) > 0 {
				t.Fatalf("Gaussian %v for sensitivity² %v costs %v, accounted %v", v, d, cost, accounted)
			}
		}
		if b, err := LaplaceFor(rho, d); err == nil {
			// (d/b)² / 2 ≤ ρ
			epsilon := new(big.Rat).Quo(new(big.Rat).SetInt(d), new(big.Rat).SetFrac64(b.Num, b.Den))
			cost := new(big.Rat).Mul(epsilon, epsilon)
			if cost.Quo(cost, big.NewRat(2, 1)).Cmp(accounted) > 0 {
				t.Fatalf("Laplace %v for sensitivity %v costs %v, accounted %v", b, d, cost, accounted)
			}
		}
	})
}

// ε lies between what the continuous Gaussian mechanism has exactly (Balle and
// Wang, ICML 2018, theorem 8) and the simple bound ρ + 2√(ρ ln 1/δ).
func TestEpsilon(t *testing.T) {
	phi := func(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
	for _, rho := range []Rho{1, 1000, 100_000, PerRho, 10 * PerRho} {
		for _, delta := range []float64{1e-3, 1e-6, 1e-9} {
			r := float64(rho) / PerRho
			mu := math.Sqrt(2 * r) // Δ/σ
			exact := func(e float64) float64 { return phi(mu/2-e/mu) - math.Exp(e)*phi(-mu/2-e/mu) }
			low, high := 0.0, r+2*math.Sqrt(r*math.Log(1/delta))
			for range 200 {
				if mid := (low + high) / 2; exact(mid) > delta {
					low = mid
				} else {
					high = mid
				}
			}
			got, simple := Epsilon(rho, delta), r+2*math.Sqrt(r*math.Log(1/delta))
			if got < low || got > simple+1e-4 {
				t.Errorf("ρ = %v, δ = %v: ε = %v, want within %v and %v", r, delta, got, low, simple)
			}
			t.Logf("ρ = %-8v δ = %-6v ε = %v (exact for the continuous %0.4f, simple bound %0.4f)", r, delta, got, low, simple)
		}
	}
	if !math.IsInf(Epsilon(1, 0), 1) || Epsilon(0, 1e-6) != 0 {
		t.Error("the ends of the range")
	}
}

// The half widths hold what they say, and the next smaller ones do not.
func TestHalfWidth(t *testing.T) {
	for _, v := range []Variance{{1, 4}, {1, 1}, {9, 2}, {400, 1}, {123_457, 10}} {
		gauss := normalised(int64(60*math.Sqrt(v.Float()))+60, func(x float64) float64 { return math.Exp(-x * x / (2 * v.Float())) })
		laplace := normalised(int64(80*v.Float())+60, func(x float64) float64 { return math.Exp(-math.Abs(x) / v.Float()) })
		for name, c := range map[string]struct {
			w int64
			p func(int64) float64
		}{"Gaussian": {v.HalfWidth(0.95), gauss}, "Laplace": {v.LaplaceHalfWidth(0.95), laplace}} {
			within := func(w int64) (sum float64) {
				for x := -w; x <= w; x++ {
					sum += c.p(x)
				}
				return sum
			}
			if within(c.w) < 0.95-1e-9 || c.w > 0 && within(c.w-1) > 0.95 {
				t.Errorf("%s %v: ±%d holds %.4f, ±%d holds %.4f", name, v, c.w, within(c.w), c.w-1, within(c.w-1))
			}
		}
	}
	if w := (Variance{1 << 50, 1}).HalfWidth(0.95); math.Abs(float64(w)/(1.959964*(1<<25))-1) > 1e-5 {
		t.Errorf("large: %d", w)
	}
	// Where one way of finding it gives over to the other they agree.
	summed, normal := (Variance{1e8, 1}).HalfWidth(0.95), (Variance{1e8 + 1, 1}).HalfWidth(0.95)
	if normal < summed || normal > summed+1 {
		t.Errorf("at a σ of 10^4: ±%d summed, ±%d by the normal distribution", summed, normal)
	}
	// The 95% of this scale are beyond 64 bits.
	if w := (Variance{MaxParameter, 1}).LaplaceHalfWidth(0.95); w != math.MaxInt64 {
		t.Errorf("Laplace beyond 64 bits: ±%d", w)
	}
}

// No scale that LaplaceFor gives makes noise that does not fit 64 bits, but with
// a probability of e^-128.
func TestLaplaceForFits(t *testing.T) {
	for rho, fits := range map[Rho]bool{2: true, 1: false} {
		// ε is 2·10^-3, or a little less than that over √2.
		v, err := LaplaceFor(rho, new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 56), big.NewInt(501)))
		if fits && err != nil || !fits && !errors.Is(err, ErrSensitivity) {
			t.Errorf("rho %d: %v, %v", rho, v, err)
		}
	}
}

func BenchmarkGaussian(b *testing.B) {
	s := New(nil)
	for b.Loop() {
		if _, err := s.Gaussian(1_000_003, 7); err != nil {
			b.Fatal(err)
		}
	}
}
