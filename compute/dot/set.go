package dot

import (
	"math/big"
	"sync"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// The two parameter sets. A change of primes, widths, distributions, expansion
// or wire form is another name.
const (
	// SetFull is degree 8192 with five primes: every range of this package,
	// 64 measures at once.
	SetFull = "dot-n8192-q135-v1"
	// SetCompact is degree 4096 with four primes: two thirds of the time, half
	// the answer, for cells whose norms are small (Params.Validate decides).
	SetCompact = "dot-n4096-q106-v1"
)

// set is a ring degree and its primes.
//
// Security: ternary secrets within the 2024 guidelines for 128 bits classical
// (ePrint 2024/463). Full: log2 Q = 134.966, at most 214 at N = 8192. An own
// estimate of the primal uSVP attack (compute/internal/rlwe/estimate: geometric
// series assumption, error variance 10.5) gives block size 639: 186.6 bits in
// the classical core-SVP model, 219.9 in the BDGL16 model of the guidelines'
// tables. Compact: log2 Q = 105.997, at most 106 at N = 4096; block size 341,
// 99.6 and 131.9 bits. Dual and hybrid attacks were not estimated. The server's re-randomisation rests on the same
// problem with u as its secret.
//
// The primes are the largest ones below 2^27 (full; log2 Q is 2.5 bits more
// than of primes below 2^26.5, for the same bytes and time, and goes into the
// flood) and those just below 2^26.5 that keep to the cap (compact), each 1
// modulo 2N. Products are below 2^54, so that the sum over all blocks of a
// million cells fits a uint64 without a reduction.
type set struct {
	name   string
	degree int
	primes []uint32
	cap    float64 // of log2 Q in the guidelines

	rings func() []*rlwe.Ring
}

// kept primes remain in an answer; the others are switched away.
const kept = 3

var sets = []*set{
	newSet(SetCompact, 4096, 106, 94904321, 94887937, 94863361, 94789633),
	newSet(SetFull, 8192, 214, 133857281, 133644289, 133611521, 133513217, 133251073),
}

func newSet(name string, degree int, cap float64, primes ...uint32) *set {
	return &set{name, degree, primes, cap, sync.OnceValue(func() []*rlwe.Ring {
		rings := make([]*rlwe.Ring, len(primes))
		for i, q := range primes {
			rings[i] = rlwe.NewRing(degree, q)
		}
		return rings
	})}
}

func setNamed(name string) *set {
	for _, s := range sets {
		if s.name == name {
			return s
		}
	}
	return nil
}

// product of the primes from the i-th on, before the j-th.
func (s *set) product(i, j int) *big.Int {
	p := big.NewInt(1)
	for _, q := range s.primes[i:j] {
		p.Mul(p, new(big.Int).SetUint64(uint64(q)))
	}
	return p
}

// modulus is Q.
func (s *set) modulus() *big.Int { return s.product(0, len(s.primes)) }

// residues of x modulo the primes.
func (s *set) residues(x *big.Int) []uint32 {
	r := make([]uint32, len(s.primes))
	for i, q := range s.primes {
		r[i] = uint32(new(big.Int).Mod(x, new(big.Int).SetUint64(uint64(q))).Uint64())
	}
	return r
}

// elements is how many residues a ring element has.
func (s *set) elements() int { return s.degree * len(s.primes) }
