package noise

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/bits"
)

// Sampler draws noise. One goroutine uses it at a time.
type Sampler struct {
	random *bufio.Reader
	err    error    // of the source: everything drawn after it is void
	last   proposal // a release draws all its cells with a few parameters
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
	return s.signed(s.laplace(uint64(num), uint64(den)))
}

// Gaussian draws from the discrete Gaussian distribution of parameter
// σ² = num/den: x has a probability proportional to e^(−x²/2σ²). Its variance is
// at most σ², and as good as σ² from σ = 1 on. (Algorithm 3.)
func (s *Sampler) Gaussian(num, den int64) (int64, error) {
	if err := parameter(num, den); err != nil {
		return 0, err
	}
	return s.signed(s.gaussian(uint64(num), uint64(den)))
}

// signed is what was drawn, where the source did not fail and it fits.
func (s *Sampler) signed(magnitude uint64, negative bool) (int64, error) {
	if s.err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRandom, s.err)
	}
	if magnitude > math.MaxInt64 {
		return 0, fmt.Errorf("noise: %w: a value beyond 64 bits was drawn", ErrRandom)
	}
	if negative {
		return -int64(magnitude), nil
	}
	return int64(magnitude), nil
}

var one = big.NewInt(1)

// proposal is what algorithm 3 works out of σ² = n/d before it draws.
type proposal struct {
	n, d, t          uint64
	mean, dt, bottom *big.Int // n, d·t, 2·n·d·t²
}

func propose(n, d uint64) proposal {
	t := new(big.Int).Sqrt(new(big.Int).SetUint64(n/d)).Uint64() + 1 // ⌊√⌊σ²⌋⌋ = ⌊σ⌋
	dt := product(d, t)
	bottom := product(2, n)
	bottom.Mul(bottom.Mul(bottom, dt), new(big.Int).SetUint64(t))
	return proposal{n, d, t, new(big.Int).SetUint64(n), dt, bottom}
}

// gaussian is algorithm 3: a discrete Laplace of scale t = ⌊σ⌋ + 1, thinned.
// With σ² = n/d the acceptance's exponent (|y| − σ²/t)²/2σ² is
// (|y|·d·t − n)² / (2·n·d·t²).
func (s *Sampler) gaussian(n, d uint64) (magnitude uint64, negative bool) {
	if s.last.n != n || s.last.d != d {
		s.last = propose(n, d)
	}
	p, top := s.last, new(big.Int)
	for s.err == nil {
		magnitude, negative = s.laplace(p.t, 1)
		top.Sub(top.Mul(top.SetUint64(magnitude), p.dt), p.mean)
		if s.exp(top.Mul(top, top), p.bottom) {
			return magnitude, negative
		}
	}
	return 0, false
}

// laplace is algorithm 2 for the scale t/scale. A magnitude of 64 bits or more is
// given as one that does not fit.
func (s *Sampler) laplace(t, scale uint64) (magnitude uint64, negative bool) {
	for s.err == nil {
		u := s.below64(t)
		if !s.expFraction64(u, t) {
			continue
		}
		v := uint64(0)
		for s.err == nil && s.expFraction64(1, 1) {
			v++
		}
		high, low := bits.Mul64(t, v)
		low, carry := bits.Add64(low, u, 0)
		magnitude = math.MaxUint64
		if high += carry; high < scale {
			magnitude, _ = bits.Div64(high, low, scale)
		}
		negative = s.bit()
		if negative && magnitude == 0 {
			continue // zero once, not twice
		}
		return magnitude, negative
	}
	return 0, false
}

func product(a, b uint64) *big.Int {
	return new(big.Int).Mul(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
}

// exp is algorithm 1: true with probability e^(−num/den), for num ≥ 0, den > 0.
func (s *Sampler) exp(num, den *big.Int) bool {
	whole, rest := new(big.Int).QuoRem(num, den, new(big.Int))
	for ; whole.Sign() > 0 && s.err == nil; whole.Sub(whole, one) {
		if !s.expFraction64(1, 1) {
			return false
		}
	}
	if den.IsUint64() {
		return s.expFraction64(rest.Uint64(), den.Uint64())
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

// expFraction64 is expFraction for numbers of 64 bits; it draws the same.
func (s *Sampler) expFraction64(num, den uint64) bool {
	even := true
	for k := uint64(1); s.err == nil; k++ {
		if high, bottom := bits.Mul64(den, k); high == 0 {
			if s.below64(bottom) >= num {
				return even
			}
		} else if !s.bernoulli(new(big.Int).SetUint64(num), product(den, k)) {
			return even
		}
		even = !even
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

// below64 is below for numbers of 64 bits; it draws the same.
func (s *Sampler) below64(n uint64) uint64 {
	width := bits.Len64(n - 1)
	for s.err == nil {
		drawn, err := s.random.Peek((width + 7) / 8)
		if err != nil {
			s.err = err
			break
		}
		x := uint64(0)
		for _, b := range drawn {
			x = x<<8 | uint64(b)
		}
		s.random.Discard(len(drawn)) // it is there: Peek gave it
		if x &= 1<<width - 1; x < n {
			return x
		}
	}
	return 0
}

func (s *Sampler) bit() bool {
	b, err := s.random.ReadByte()
	if err != nil {
		s.err = err
	}
	return b&1 == 1
}
