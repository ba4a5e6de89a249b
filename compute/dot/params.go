package dot

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// Ranges.
const (
	MaxWeight   = 1<<16 - 1
	MaxCell     = 1 << 20
	MaxCells    = 1 << 20
	MaxMeasures = 64
)

// logDistance bounds the statistical distance of a whole answer, all its
// measures, from one that depends on nothing but the sums: 2^-40.
const logDistance = -40

// Params are a parameter set's name and the published bounds of an operand.
// They are all that a client needs to know in order not to wrap. The zero
// value is not valid.
//
// The norms are published: they are bounds that the publisher declares, not the
// cells' own norms, which would say something about the cells. 64-bit numbers
// are strings in JSON, since canonical JSON has no integers beyond 2^53.
type Params struct {
	Set      string `json:"set"`
	Cells    int    `json:"cells"`    // of each measure
	Measures int    `json:"measures"` //
	MaxCell  uint32 `json:"maxCell"`  // no cell is larger

	// Norm1 and Norm2Squared bound Σ v and Σ v² of each measure's cells v.
	Norm1        uint64 `json:"norm1,string"`
	Norm2Squared uint64 `json:"norm2Squared,string"`

	// MaxSum is the largest weighted sum that is decoded; a client refuses
	// weights that could exceed it.
	MaxSum uint64 `json:"maxSum,string"`
}

// NewParams returns checked parameters for cells up to maxCell of which nothing
// better is known, and all weights: in the compact set if that protects them,
// else in the full one. A publisher that declares smaller norms or sums sets
// them and calls Validate.
func NewParams(cells, measures int, maxCell uint32) (Params, error) {
	p := Params{Set: SetFull, Cells: cells, Measures: measures, MaxCell: maxCell}
	if err := p.checkRanges(); err != nil {
		return p, err
	}
	p.Norm1 = uint64(cells) * uint64(maxCell)
	p.Norm2Squared = p.Norm1 * uint64(maxCell)
	p.MaxSum = MaxWeight * p.Norm1
	compact := p
	compact.Set = SetCompact
	if compact.Validate() == nil {
		return compact, nil
	}
	return p, p.Validate()
}

func (p Params) checkRanges() error {
	for _, r := range []struct {
		name    string
		n, most uint64
		isBelow bool
	}{
		{"a number of cells of", uint64(p.Cells), MaxCells, p.Cells < 1},
		{"a number of measures of", uint64(p.Measures), MaxMeasures, p.Measures < 1},
		{"a largest cell of", uint64(p.MaxCell), MaxCell, p.MaxCell < 1},
	} {
		if r.isBelow || r.n > r.most {
			return fmt.Errorf("%w: %s %d, expected 1 to %d", ErrParams, r.name, int64(r.n), r.most)
		}
	}
	return nil
}

// Validate checks the set's name, the ranges, that each bound is one the others
// do not imply, and that the flood hides the noise: see LogDistance.
func (p Params) Validate() error {
	if setNamed(p.Set) == nil {
		return fmt.Errorf("%w: set %.40q, expected %s or %s", ErrParams, p.Set, SetFull, SetCompact)
	}
	if err := p.checkRanges(); err != nil {
		return err
	}
	if most := uint64(p.Cells) * uint64(p.MaxCell); p.Norm1 < 1 || p.Norm1 > most {
		return fmt.Errorf("%w: a norm of %d, expected 1 to %d", ErrParams, p.Norm1, most)
	}
	if most := p.Norm1 * uint64(p.MaxCell); p.Norm2Squared < 1 || p.Norm2Squared > most {
		return fmt.Errorf("%w: a squared norm of %d, expected 1 to %d", ErrParams, p.Norm2Squared, most)
	}
	if most := MaxWeight * p.Norm1; p.MaxSum < 1 || p.MaxSum > most {
		return fmt.Errorf("%w: a largest sum of %d, expected 1 to %d", ErrParams, p.MaxSum, most)
	}
	if !p.hides() {
		return fmt.Errorf("%w: %s leaves a distance of 2^%.1f, at most 2^%d: take %s, fewer measures or smaller declared bounds",
			ErrParams, p.Set, p.LogDistance(), logDistance, SetFull)
	}
	return nil
}

func (p Params) set() *set { return setNamed(p.Set) }

// blocks of N weights in a query.
func (p Params) blocks() int { n := p.set().degree; return (p.Cells + n - 1) / n }

// delta is Δ = ⌊Q/(MaxSum+2)⌋, what a sum is scaled by: the room from −Δ/2 to
// (MaxSum+1/2)·Δ is below Q−Δ, so that noise below zero is told from a sum.
func (p Params) delta() *big.Int {
	return new(big.Int).Quo(p.set().modulus(), new(big.Int).SetUint64(p.MaxSum+2))
}

// noiseBound is H, the most that the noise of an answer to a valid query can be
// besides the flood, for certain: |e| ≤ 21, u and s are ternary.
//
//	client:           |Σ e·v| ≤ 21·‖v‖₁
//	re-randomisation: |(e·u + e0 + e1·s)[0]| ≤ 21·(2N+1)
//	switch:           ⌈(N+1)·(q_l + q_l·q_(l−1) + …)/2⌉, half a unit at each
//	                  dropped prime in c0[0] and N coefficients of c1
func (p Params) noiseBound() *big.Int {
	s := p.set()
	h := new(big.Int).SetUint64(p.Norm1)
	h.Add(h, big.NewInt(int64(2*s.degree+1)))
	h.Mul(h, big.NewInt(rlwe.BinomialK))
	dropped := new(big.Int)
	for i := kept; i < len(s.primes); i++ {
		dropped.Add(dropped, s.product(i, len(s.primes)))
	}
	dropped.Mul(dropped, big.NewInt(int64(s.degree+1)))
	dropped.Add(dropped, big.NewInt(1)).Rsh(dropped, 1)
	return h.Add(h, dropped)
}

// flood is F: it is drawn uniformly from [−F, F). F + H < Δ/2, so that a valid
// query is never answered with a sum that is decoded wrongly. Not positive if
// there is no room; never above 2^126, so that 2F fits two words.
func (p Params) flood() *big.Int {
	f := new(big.Int).Rsh(p.delta(), 1)
	f.Sub(f, p.noiseBound())
	f.Sub(f, big.NewInt(1))
	if most := new(big.Int).Lsh(big.NewInt(1), 126); f.Cmp(most) > 0 {
		return most
	}
	return f
}

// variance2 is twice the mean square of the noise that the flood hides, per
// measure, from above: 21·‖v‖₂² + 2·21·(2N/3) + 21, with variances 21/2 of the
// errors and 2/3 of the coefficients of u and s.
func (p Params) variance2() *big.Int {
	v := new(big.Int).SetUint64(p.Norm2Squared)
	v.Add(v, big.NewInt(1)).Mul(v, big.NewInt(rlwe.BinomialK))
	return v.Add(v, big.NewInt(int64(28*p.set().degree)))
}

// hides says whether Measures·√(mean square)/2F ≤ 2^-40, in integers.
func (p Params) hides() bool {
	f := p.flood()
	if f.Sign() <= 0 {
		return false
	}
	left := new(big.Int).Mul(p.variance2(), big.NewInt(int64(p.Measures*p.Measures)))
	left.Lsh(left, -2*logDistance)
	right := new(big.Int).Mul(f, f)
	return left.Cmp(right.Lsh(right, 3)) <= 0 // 2·(2F)²
}

// LogDistance is log2 of the statistical distance, at most, between an answer
// to an honestly formed query, all measures together, and one made from the
// sums alone: a flood shifted by d is at distance |d|/2F from one that is not,
// and the mean of |d| is at most the root of its mean square. +Inf means that
// there is no room for a flood. Distances add up over answers.
func (p Params) LogDistance() float64 {
	f := p.flood()
	if f.Sign() <= 0 {
		return math.Inf(1)
	}
	return (logBig(p.variance2())-1)/2 + math.Log2(float64(p.Measures)) - 1 - logBig(f)
}

func logBig(x *big.Int) float64 {
	shift := max(0, x.BitLen()-60)
	return math.Log2(float64(new(big.Int).Rsh(x, uint(shift)).Uint64())) + float64(shift)
}

// couldWrap says whether weights with that sum and maximum could make a sum
// above MaxSum out of cells within the bounds.
func (p Params) couldWrap(sum, largest uint64) bool {
	hi1, lo1 := bits.Mul64(sum, uint64(p.MaxCell))
	hi2, lo2 := bits.Mul64(largest, p.Norm1)
	return (hi1 > 0 || lo1 > p.MaxSum) && (hi2 > 0 || lo2 > p.MaxSum)
}
