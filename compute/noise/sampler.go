package noise

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// Sampler draws noise. One goroutine uses it at a time.
type Sampler struct {
	random *bufio.Reader
	err    error // of the source: everything drawn after it is void
}

// New makes a sampler. random is crypto/rand where it is nil; another is for
// tests. A source that gives an error makes every later draw fail.
func New(random io.Reader) *Sampler {
	if random == nil {
		random = rand.Reader
	}
	return &Sampler{random: bufio.NewReaderSize(random, 4<<10)}
}

// Limits of the parameters. With them all intermediate integers stay below
// 2^256 or so and a draw takes microseconds.
const MaxParameter = 1 << 62

// ErrParameter refuses a scale or variance that is not positive or too large.
var ErrParameter = errors.New("noise: numerator and denominator are from 1 to 2^62")

// ErrRandom says that the source of randomness failed: nothing may be released.
var ErrRandom = errors.New("noise: the source of randomness failed")

func parameter(num, den int64) error {
	if num < 1 || den < 1 || num > MaxParameter || den > MaxParameter {
		return fmt.Errorf("%w: have %d/%d", ErrParameter, num, den)
	}
	return nil
}

// Laplace draws from the discrete Laplace distribution of scale b = num/den:
// x has the probability (e^(1/b) − 1)/(e^(1/b) + 1) · e^(−|x|/b). (Algorithm 2.)
// A value beyond int64 has a probability below e^(−2^63/b).
func (s *Sampler) Laplace(num, den int64) (int64, error) {
	if err := parameter(num, den); err != nil {
		return 0, err
	}
	y := s.laplace(big.NewInt(num), big.NewInt(den))
	if s.err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRandom, s.err)
	}
	return inRange(y)
}

// Gaussian draws from the discrete Gaussian distribution of parameter
// σ² = num/den: x has a probability proportional to e^(−x²/2σ²). Its variance is
// at most σ², and as good as σ² from σ = 1 on. (Algorithm 3.)
func (s *Sampler) Gaussian(num, den int64) (int64, error) {
	if err := parameter(num, den); err != nil {
		return 0, err
	}
	y := s.gaussian(big.NewInt(num), big.NewInt(den))
	if s.err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRandom, s.err)
	}
	return inRange(y)
}

func inRange(y *big.Int) (int64, error) {
	if !y.IsInt64() {
		return 0, fmt.Errorf("noise: %w: a value beyond 64 bits was drawn", ErrRandom)
	}
	return y.Int64(), nil
}

var one = big.NewInt(1)

// gaussian is algorithm 3: a discrete Laplace of scale t = ⌊σ⌋ + 1, thinned.
// With σ² = n/d the acceptance's exponent (|y| − σ²/t)²/2σ² is
// (|y|·d·t − n)² / (2·n·d·t²).
func (s *Sampler) gaussian(n, d *big.Int) *big.Int {
	t := new(big.Int).Sqrt(new(big.Int).Quo(n, d)) // ⌊√⌊σ²⌋⌋ = ⌊σ⌋
	t.Add(t, one)
	dt := new(big.Int).Mul(d, t)
	bottom := new(big.Int).Mul(new(big.Int).Mul(big.NewInt(2), n), new(big.Int).Mul(dt, t))
	for s.err == nil {
		y := s.laplace(t, one)
		top := new(big.Int).Abs(y)
		top.Sub(top.Mul(top, dt), n)
		if s.exp(top.Mul(top, top), bottom) {
			return y
		}
	}
	return new(big.Int)
}

// laplace is algorithm 2 for the scale t/s.
func (s *Sampler) laplace(t, scale *big.Int) *big.Int {
	for s.err == nil {
		u := s.below(t)
		if !s.exp(u, t) {
			continue
		}
		v := int64(0)
		for s.err == nil && s.exp(one, one) {
			v++
		}
		x := new(big.Int).Mul(t, big.NewInt(v))
		x.Quo(x.Add(x, u), scale)
		negative := s.bit()
		if negative && x.Sign() == 0 {
			continue // zero once, not twice
		}
		if negative {
			x.Neg(x)
		}
		return x
	}
	return new(big.Int)
}

// exp is algorithm 1: true with probability e^(−num/den), for num ≥ 0, den > 0.
func (s *Sampler) exp(num, den *big.Int) bool {
	whole, rest := new(big.Int).QuoRem(num, den, new(big.Int))
	for ; whole.Sign() > 0 && s.err == nil; whole.Sub(whole, one) {
		if !s.expFraction(one, one) {
			return false
		}
	}
	return s.expFraction(rest, den)
}

// expFraction is exp for num ≤ den. The number of consecutive successes of
// probability γ, γ/2, γ/3, … is even with probability e^(−γ).
func (s *Sampler) expFraction(num, den *big.Int) bool {
	bottom := new(big.Int).Set(den)
	even := true
	for s.err == nil && s.bernoulli(num, bottom) {
		even = !even
		bottom.Add(bottom, den)
	}
	return even
}

// bernoulli is true with probability num/den, num ≤ den.
func (s *Sampler) bernoulli(num, den *big.Int) bool { return s.below(den).Cmp(num) < 0 }

// below draws uniformly from 0 to n − 1.
func (s *Sampler) below(n *big.Int) *big.Int {
	bits := new(big.Int).Sub(n, one).BitLen()
	buf := make([]byte, (bits+7)/8)
	x := new(big.Int)
	for s.err == nil {
		if _, err := io.ReadFull(s.random, buf); err != nil {
			s.err = err
			break
		}
		if excess := len(buf)*8 - bits; excess > 0 {
			buf[0] &= 0xff >> excess
		}
		if x.SetBytes(buf).Cmp(n) < 0 {
			return x
		}
	}
	return new(big.Int)
}

func (s *Sampler) bit() bool {
	b, err := s.random.ReadByte()
	if err != nil {
		s.err = err
	}
	return b&1 == 1
}
