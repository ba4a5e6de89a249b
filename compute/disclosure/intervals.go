package disclosure

import (
	"context"
	"fmt"
	"math"
)

// An Interval is what a value is publicly known to be within.
type Interval struct{ Low, High int64 }

// Unbounded is the High of an interval without an upper end.
const Unbounded = math.MaxInt64

// Intervals says, for every cell of every publication, what interval propagation
// tells an outsider about its value: from the released cells' own bounds and
// from no value being negative, relation by relation until nothing narrows any
// more (to at most 100 rounds; what is left would only narrow further). It is
// what a reader with pencil and paper gets. A linear program can get more, so
// that a wide interval here proves nothing: a narrow one is a finding. Protect
// does not rest on it, but refuses with ErrBroken what it finds fault with.
//
// atoms is the number of atoms that the publications are unions of.
func Intervals(ctx context.Context, atoms int, publications ...Published) ([][]Interval, error) {
	if atoms < 0 || atoms > MaxAtoms {
		return nil, fmt.Errorf("%w: %d atoms of at most %d", ErrTooLarge, atoms, MaxAtoms)
	}
	known := make([]Interval, atoms)
	for i := range known {
		known[i].High = Unbounded
	}
	return propagate(ctx, known, publications)
}

// propagate is Intervals from what is known of the atoms, which it narrows.
func propagate(ctx context.Context, known []Interval, publications []Published) ([][]Interval, error) {
	atoms := len(known)
	out := make([][]Interval, len(publications))
	members := 0
	for i, p := range publications {
		out[i] = make([]Interval, len(p.Cells))
		for j, c := range p.Cells {
			last := -1
			for _, a := range c.Atoms {
				if a <= last || a >= atoms {
					return nil, fmt.Errorf("%w: atom %d after %d, of %d", ErrTable, a, last, atoms)
				}
				last = a
			}
			if members += len(c.Atoms); members > 2*MaxMembers {
				return nil, fmt.Errorf("%w: the cells have more than %d atoms together", ErrTooLarge, 2*MaxMembers)
			}
			out[i][j] = Interval{0, Unbounded}
			if c.Status == Released {
				if c.Low < 0 || c.High < c.Low || c.High > 1<<50 {
					return nil, fmt.Errorf("%w: released as from %d to %d", ErrTable, c.Low, c.High)
				}
				out[i][j] = Interval{c.Low, c.High}
			}
		}
	}
	for round, changed := 0, true; changed && round < 100; round++ {
		changed = false
		for i, p := range publications {
			for j, c := range p.Cells {
				some, sound := narrow(c.Atoms, &out[i][j], known)
				if !sound {
					return nil, fmt.Errorf("%w: no values make what was released true", ErrTable)
				}
				changed = changed || some
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// narrow propagates between a union and its atoms, both ways. It is not sound if
// an interval has become empty.
func narrow(atoms []int, union *Interval, known []Interval) (changed, sound bool) {
	low, high, open := int64(0), int64(0), 0
	for _, a := range atoms {
		low += known[a].Low
		if known[a].High == Unbounded {
			open++
		} else {
			high += known[a].High
		}
	}
	if low > union.Low {
		union.Low, changed = low, true
	}
	if open == 0 && high < union.High {
		union.High, changed = high, true
	}
	if union.Low > union.High {
		return changed, false
	}
	for _, a := range atoms {
		k := &known[a]
		if union.High != Unbounded {
			if most := union.High - (low - k.Low); most < k.High {
				if k.High == Unbounded {
					open--
				} else {
					high -= k.High
				}
				k.High, changed = most, true
				high += most
			}
		}
		others, otherHigh := open, high
		if k.High == Unbounded {
			others--
		} else {
			otherHigh -= k.High
		}
		if least := union.Low - otherHigh; others == 0 && least > k.Low {
			low += least - k.Low
			k.Low, changed = least, true
		}
		if k.Low > k.High {
			return changed, false
		}
	}
	return changed, true
}
