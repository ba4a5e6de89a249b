package noise

import (
	"errors"
	"fmt"
	"math"
	"math/big"
)

// Rho is an amount of zCDP, in millionths: 1 is ρ = 10^-6. Amounts add up over
// releases (Bun and Steinke 2016, lemma 1.7).
type Rho int64

// PerRho is how many units ρ = 1 has.
const PerRho = 1_000_000

// MaxRho bounds a budget: ρ = 100 protects nobody.
const MaxRho = 100 * PerRho

// ErrRho refuses an amount that is not positive or protects nobody.
var ErrRho = fmt.Errorf("noise: an amount of privacy is from 1 to %d millionths of rho", int64(MaxRho))

func (r Rho) check() error {
	if r < 1 || r > MaxRho {
		return fmt.Errorf("%w: have %d", ErrRho, r)
	}
	return nil
}

// Variance is a rational parameter of a sampler, in lowest terms.
type Variance struct{ Num, Den int64 }

// Float is about the variance.
func (v Variance) Float() float64 { return float64(v.Num) / float64(v.Den) }

// ErrSensitivity refuses a sensitivity with which the noise would not fit.
var ErrSensitivity = errors.New("noise: the sensitivity is not positive, or too large for the amount of privacy")

// GaussianFor is the variance of discrete Gaussian noise that makes a release
// of integers cost at most rho, where one subject changes their vector by at
// most √sensitivity2 in the Euclidean norm: σ² = sensitivity2 / 2ρ. (CKS 2020,
// proposition 5; theorem 4 for vectors.)
func GaussianFor(rho Rho, sensitivity2 *big.Int) (Variance, error) {
	if err := rho.check(); err != nil {
		return Variance{}, err
	}
	if sensitivity2.Sign() <= 0 {
		return Variance{}, ErrSensitivity
	}
	num := new(big.Int).Mul(sensitivity2, big.NewInt(PerRho))
	return rational(num, big.NewInt(2*int64(rho)))
}

// LaplaceFor is the scale of discrete Laplace noise that makes a release of
// integers cost at most rho, where one subject changes their vector by at most
// sensitivity1 in the sum of absolute values: with ε = sensitivity1/b the release
// is ε-differentially private, which is ε²/2-zCDP (Bun and Steinke 2016,
// proposition 1.4). ε is rounded down to a multiple of 10^-6. A scale above 2^56
// is refused: below it noise leaves 64 bits with a probability under e^-128.
func LaplaceFor(rho Rho, sensitivity1 *big.Int) (Variance, error) {
	if err := rho.check(); err != nil {
		return Variance{}, err
	}
	if sensitivity1.Sign() <= 0 {
		return Variance{}, ErrSensitivity
	}
	// ε·10^6 = ⌊√(2ρ·10^12)⌋, ρ in units of 10^-6.
	epsilon := new(big.Int).Sqrt(new(big.Int).Mul(big.NewInt(2*int64(rho)), big.NewInt(PerRho)))
	scale, err := rational(new(big.Int).Mul(sensitivity1, big.NewInt(PerRho)), epsilon)
	if err == nil && scale.Num/scale.Den >= maxScale {
		return Variance{}, fmt.Errorf("%w: a scale of %d", ErrSensitivity, scale.Num/scale.Den)
	}
	return scale, err
}

const maxScale = 1 << 56

// rational is num/den in lowest terms, rounded up to a whole number where it
// does not fit otherwise: more noise, never less.
func rational(num, den *big.Int) (Variance, error) {
	r := new(big.Rat).SetFrac(num, den)
	if fits(r.Num()) && fits(r.Denom()) {
		return Variance{r.Num().Int64(), r.Denom().Int64()}, nil
	}
	up := new(big.Int).Add(num, new(big.Int).Sub(den, one))
	up.Quo(up, den)
	if !fits(up) {
		return Variance{}, fmt.Errorf("%w: a parameter of %d bits", ErrSensitivity, up.BitLen())
	}
	return Variance{up.Int64(), 1}, nil
}

func fits(n *big.Int) bool { return n.IsInt64() && n.Int64() <= MaxParameter }

// Epsilon is the ε at which a total of rho is (ε, δ)-differentially private, for
// people to read: the least over α of CKS 2020, proposition 12,
//
//	δ = e^((α−1)(αρ−ε))/(α−1) · (1 − 1/α)^α,
//
// solved for ε and rounded up to four decimals. It decides nothing.
func Epsilon(rho Rho, delta float64) float64 {
	if rho <= 0 {
		return 0
	}
	if !(delta > 0 && delta < 1) {
		return math.Inf(1)
	}
	r := float64(rho) / PerRho
	at := func(x float64) float64 { // x = ln(α − 1)
		a := 1 + math.Exp(x)
		return a*r + (-math.Log(delta)-math.Log(a-1)+a*math.Log1p(-1/a))/(a-1)
	}
	// ε(α) falls and then rises: narrow the range of x by thirds.
	low, high := -20.0, 40.0
	for range 200 {
		third := (high - low) / 3
		if at(low+third) < at(high-third) {
			high -= third
		} else {
			low += third
		}
	}
	return max(0, math.Ceil(at((low+high)/2)*1e4)/1e4)
}

// HalfWidth is the smallest w for which discrete Gaussian noise of this variance
// stays within ±w with at least the given probability, such as 0.95: the
// interval that the noise alone implies. It is found by summing the
// distribution; for σ above 10^4, where that takes long and changes nothing, it
// is the normal distribution's rounded up, and one more.
func (v Variance) HalfWidth(probability float64) int64 {
	sigma := math.Sqrt(v.Float())
	if sigma > 1e4 {
		return int64(math.Ceil(sigma*math.Sqrt2*math.Erfinv(probability))) + 1
	}
	return halfWidth(probability, int64(40*sigma)+40, func(x float64) float64 { return math.Exp(-x * x / (2 * v.Float())) })
}

// LaplaceHalfWidth is HalfWidth for discrete Laplace noise of this scale, in
// closed form: outside ±w is 2·e^(−(w+1)/b)/(1 + e^(−1/b)).
func (v Variance) LaplaceHalfWidth(probability float64) int64 {
	b := v.Float()
	w := math.Ceil(-b*math.Log((1-probability)*(1+math.Exp(-1/b))/2) - 1 - 1e-9)
	if w >= 1<<63 {
		return math.MaxInt64
	}
	return max(0, int64(w))
}

func halfWidth(probability float64, most int64, weight func(x float64) float64) int64 {
	total := weight(0)
	for x := int64(1); x <= most; x++ {
		total += 2 * weight(float64(x))
	}
	inside := weight(0)
	w := int64(0)
	for inside < probability*total && w < most {
		w++
		inside += 2 * weight(float64(w))
	}
	return w
}
