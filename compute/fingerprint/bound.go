package fingerprint

import (
	"maps"
	"math"
	"slices"
)

// grain is the unit of weights: 1/grain nats.
const grain = 1 << 12

// weigh is the weight of an agreement that an innocent copy reaches with
// probability p: −ln p, rounded down to a whole number of grains. From here on p
// is taken as e^−weight, which is larger: more agreement by chance than there is
// makes the bound larger, so that it stays one, and score and bound are of the
// same numbers. 2^-64 is what a coin is off by at most (see round), 2^-40 is far
// more than the errors of this arithmetic.
func weigh(p float64) int {
	return max(0, int((-math.Log(p+0x1p-64)-0x1p-40)*grain))
}

// weights counts the marked cells by weight, of which there are at most 63·ln 2
// nats: p ≥ 2^-63.
type weights struct {
	counts map[int]int
	total  int // the weight of all
}

func (w *weights) add(weight int) {
	if w.counts == nil {
		w.counts = make(map[int]int)
	}
	w.counts[weight]++
	w.total += weight
}

// The exponents t at which the bound is taken: 2^-14 to 2^10 in steps of an
// eighth of an octave.
const (
	octaveLow, octaveHigh = -14, 10
	perOctave             = 8
)

// bound bounds the probability that an innocent copy misses at most a given
// weight. With S the weight of its agreements, W of all marked cells and D = W − S
// what it misses, Chernoff's bound is, for any t ≥ 0,
//
//	P(S ≥ s) ≤ e^(−ts) · ∏ (1 − p + p·e^(tw))
//	         = e^(td) · ∏ (p + (1 − p)·e^(−tw)),  d = W − s.
//
// The product does not depend on the recipient: its logarithm is taken once for
// each t. Since any t is valid, the least over a fixed row of them is.
type bound struct {
	total    int
	products [(octaveHigh-octaveLow)*perOctave + 1]float64
}

func exponent(i int) float64 { return math.Exp2(octaveLow + float64(i)/perOctave) }

func (w *weights) bound() *bound {
	b := &bound{total: w.total}
	// In one order, so that the same leak has the same bound to the last bit.
	for _, weight := range slices.Sorted(maps.Keys(w.counts)) {
		for i := range b.products {
			b.products[i] += float64(w.counts[weight]) * factor(float64(weight)/grain, exponent(i))
		}
	}
	return b
}

// factor is ln(p + (1 − p)·e^(−tw)) for p = e^−w, to a few units in the last
// place: near 1 as 1 − (1 − p)(1 − e^(−tw)).
func factor(w, t float64) float64 {
	q := -math.Expm1(-w)
	if x := -q * math.Expm1(-t*w); x < 0.5 {
		return math.Log1p(-x)
	}
	return math.Log(math.Exp(-w) + q*math.Exp(-t*w))
}

// log bounds the logarithm of P(D ≤ missed). The sum's rounding errors, of at
// most 180,000 terms of one sign, are below 10^-10 of what is summed, which is
// added.
func (b *bound) log(missed int) float64 {
	if missed == 0 {
		return -float64(b.total) / grain // all agree: ∏ p
	}
	d, least := float64(missed)/grain, 0.0
	for i, product := range b.products {
		t := exponent(i)
		least = min(least, t*d+product+1e-10*(t*d-product))
	}
	return least
}
