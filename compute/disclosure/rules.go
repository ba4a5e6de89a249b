package disclosure

import (
	"fmt"
	"math/big"
)

// MinTop is how many of the largest contributions have to be listed: the two on
// which the p% rule rests.
const MinTop = 2

// DefaultRange is the protection of a cell below the minimum cohort, in percent
// of its value.
const DefaultRange = 30

// Rules say which cells are sensitive, and how wide an interval an attacker has
// to be left with. A rule at zero does not apply; MinSubjects has to be set.
type Rules struct {
	// MinSubjects is the minimum cohort: a cell with fewer distinct subjects, but
	// not none, is sensitive. At least 2.
	MinSubjects int64
	// Range is the protection that the cohort rule asks for on either side, in
	// percent of the value and at least 1; 0 is DefaultRange.
	Range int64
	// N and K are the dominance rule: sensitive if the N largest contributions are
	// more than K percent of the cell. N up to MaxTop; K from 1 to 99.
	N int
	K int64
	// P is the p% rule: sensitive if the second largest contributor, subtracting
	// its own, knows the largest to within P percent. From 1 to 100.
	P int64
	// Base rounds the released values to its nearest multiples, halves up. The check
	// then counts on nobody learning more about a released value: leave it at zero
	// (exact) where the caller rounds by itself, by whatever method, or tells
	// different people different roundings.
	Base int64
}

// A Rule is a reason for a suppression, for the operator's eyes alone.
type Rule uint8

// The rules, in the order in which the report counts a cell that breaks several.
const (
	None Rule = iota
	Cohort
	Dominance
	Percent
	Withheld
	Complementary
)

// maxBase keeps rounded values within int64.
const maxBase = 1 << 40

func (r Rules) check() error {
	switch {
	case r.MinSubjects < 2 || r.MinSubjects > MaxValue:
		return fmt.Errorf("%w: a minimum cohort of %d subjects, which is at least 2", ErrTable, r.MinSubjects)
	case r.Range < 0 || r.Range > 100:
		return fmt.Errorf("%w: a range of %d percent", ErrTable, r.Range)
	case (r.N == 0) != (r.K == 0) || r.N < 0 || r.N > MaxTop || r.K < 0 || r.K > 99:
		return fmt.Errorf("%w: a dominance rule (%d, %d%%), where n is from 1 to %d and k from 1 to 99", ErrTable, r.N, r.K, MaxTop)
	case r.P < 0 || r.P > 100:
		return fmt.Errorf("%w: a p%% rule of %d percent", ErrTable, r.P)
	case r.Base < 0 || r.Base > maxBase:
		return fmt.Errorf("%w: rounding to multiples of %d", ErrTable, r.Base)
	}
	return nil
}

// sensitive says which rule a cell breaks first, and what protection all broken
// rules together ask for. The levels are those of Hundepool et al. (2012),
// section 4.2.2, table 4.2: what the total has to be at least, so that the rule
// would not be broken.
func (r Rules) sensitive(c *Cell, value int64) (Rule, int64, error) {
	if r.N > 0 && len(c.Top) < r.N && int64(len(c.Top)) < c.Subjects {
		return None, 0, fmt.Errorf("%w: %d contributions are listed, the dominance rule needs %d", ErrTable, len(c.Top), r.N)
	}
	if c.Subjects == 0 {
		return None, 0, nil
	}
	rule, width := None, int64(0)
	breaks := func(by Rule, level int64) {
		if rule == None {
			rule = by
		}
		width = max(width, level, 1)
	}
	if c.Subjects < r.MinSubjects {
		percent := r.Range
		if percent == 0 {
			percent = DefaultRange
		}
		breaks(Cohort, ratioUp(percent, value, 100))
	}
	if r.N > 0 {
		largest := int64(0)
		for _, t := range c.Top[:min(r.N, len(c.Top))] {
			largest += t.Value
		}
		// largest > k/100 · value; the total would have to be 100/k · largest.
		if level := ratioUp(100, largest, r.K) - value; level > 0 {
			breaks(Dominance, level)
		}
	}
	if r.P > 0 {
		// value − x1 − x2 < p/100 · x1.
		first, second := c.Top[0].Value, int64(0)
		if len(c.Top) > 1 {
			second = c.Top[1].Value
		}
		if level := ratioUp(r.P, first, 100) - (value - first - second); level > 0 {
			breaks(Percent, level)
		}
	}
	if width > maxWidth {
		return None, 0, fmt.Errorf("%w: the rules ask for a protection of %d, which is at most %d", ErrTooLarge, width, int64(maxWidth))
	}
	return rule, width, nil
}

// ratioUp is ⌈a·b/c⌉, exact; a is at most 100.
func ratioUp(a, b, c int64) int64 {
	n := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
	n.Add(n, big.NewInt(c-1))
	return n.Quo(n, big.NewInt(c)).Int64()
}

// round is what is published of a released value, and which values would have
// been published as the same.
func (r Rules) round(value int64) (published, low, high int64) {
	if r.Base <= 1 {
		return value, value, value
	}
	half := r.Base / 2
	published = (value + half) / r.Base * r.Base
	return published, max(0, published-half), published + r.Base - 1 - half
}
