package disclosure

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// imply adds as targets what nobody asked to publish and somebody might compute:
// sensitive atoms, and sensitive differences between a released cell of an earlier
// publication and a cell of another that contains it or is contained in it: of this
// table, or of an earlier one that suppressed it.
func (p *protector) imply(rules Rules, earlier []Published) error {
	aimed := map[string]int64{} // the width already asked for
	for _, t := range p.targets {
		aimed[key(t.atoms)] = max(aimed[key(t.atoms)], t.width)
	}
	add := func(c *Cell, value int64) error {
		k := key(c.Atoms)
		_, width, err := rules.sensitive(c, value)
		if err != nil || width <= aimed[k] {
			return err
		}
		t := target{atoms: c.Atoms, value: value, width: width, subjects: c.Subjects}
		if len(earlier) > 0 {
			if t.width, err = p.open(t, aimed[k]); err != nil {
				return err
			}
		}
		if t.width > aimed[k] {
			aimed[k] = t.width
			p.targets = append(p.targets, t)
			p.result.implied = append(p.result.implied, PublishedCell{Atoms: t.atoms, Protection: t.width, Subjects: t.subjects})
		}
		return nil
	}
	for i, a := range p.table.Atoms {
		if len(p.of[i]) == 0 {
			continue // nothing is published about it
		}
		if err := add(&Cell{Atoms: []int{i}, Subjects: a.Subjects, Top: a.Top}, a.Value); err != nil {
			return fmt.Errorf("atom %d: %w", i, err)
		}
	}
	judged := map[string]bool{}
	for _, c := range p.table.Cells {
		judged[key(p.inhabited(c.Atoms))] = true
	}
	return p.subtract(earlier, func(rest []int) error {
		if judged[key(rest)] {
			return nil // by its own statistics, which ask for no more than an estimate
		}
		if err := p.work.spend(64 * len(rest)); err != nil { // each looks its contributors up
			return err
		}
		return add(p.estimate(rest, rules))
	})
}

// subtract gives the differences that are not empty of the released cells of every
// earlier publication and the cells of this table, or the suppressed ones of
// another earlier publication.
func (p *protector) subtract(earlier []Published, each func(rest []int) error) error {
	released, others := make([][][]int, len(earlier)), make([][][]int, len(earlier)+1)
	for i, e := range earlier {
		for _, c := range e.Cells {
			if c.Status == Released {
				released[i] = append(released[i], p.inhabited(c.Atoms))
			} else {
				others[i] = append(others[i], p.inhabited(c.Atoms))
			}
		}
	}
	for _, c := range p.table.Cells {
		others[len(earlier)] = append(others[len(earlier)], p.inhabited(c.Atoms))
	}
	for i := range released {
		for k := range others {
			if i == k {
				continue // within one publication nothing is subtracted
			}
			for _, x := range others[k] {
				for _, y := range released[i] {
					if err := p.work.spend(1 + min(len(x), len(y))); err != nil {
						return err
					}
					a, b := x, y
					if len(a) < len(b) {
						a, b = b, a
					}
					if len(b) == 0 {
						continue // the difference is the other, which has its own statistics
					}
					if rest, ok := difference(a, b); ok && len(rest) > 0 {
						if err := each(rest); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

var errUnproved = errors.New("no witness")

// open is the width up to which the earlier publications alone leave a difference, or
// an atom that they did not tell apart, open, found by halving; or at most least, if it is no more than that. What is
// narrower was known before: it is not for the present table to take back, and an
// estimate errs on the side of caution.
func (p *protector) open(t target, least int64) (int64, error) {
	defer func() {
		p.trial, p.system, p.pool, p.last, p.result.Report.Witnesses = false, nil, nil, nil, 0
	}()
	p.trial, p.system = true, nil
	for ; t.width > least; t.width /= 2 {
		err := p.prove(&t)
		if !errors.Is(err, errUnproved) {
			return t.width, err
		}
	}
	return t.width, nil
}

// estimate makes a cell of a union of atoms for which no statistics were given,
// on the side of caution: with the fewest subjects it can have, and with the
// largest contributions its subjects can have.
func (p *protector) estimate(atoms []int, rules Rules) (*Cell, int64) {
	value, fewest, _, _ := p.table.union(atoms)
	unlisted := int64(0) // the most that a subject may have in atoms that do not list it
	extra := map[uint64]int64{}
	for _, i := range atoms {
		a := p.table.Atoms[i]
		last := int64(0)
		if n := len(a.Top); int64(n) < a.Subjects {
			last = a.Top[n-1].Value
		}
		unlisted += last
		for _, c := range a.Top {
			extra[c.Subject] += c.Value - last
		}
	}
	c := &Cell{Atoms: atoms, Subjects: max(fewest, int64(len(extra)))}
	for s, v := range extra {
		c.Top = append(c.Top, Contribution{s, v + unlisted})
	}
	slices.SortFunc(c.Top, descending)
	c.Top = c.Top[:min(len(c.Top), max(MinTop, rules.N))]
	// No two together can have more than there is.
	left := value
	for i := range c.Top {
		c.Top[i].Value = min(c.Top[i].Value, left)
		left -= c.Top[i].Value
	}
	return c, value
}

// inhabited leaves out empty atoms, since that they are may be known.
func (p *protector) inhabited(atoms []int) []int {
	var in []int
	for _, i := range atoms {
		if p.table.Atoms[i].Subjects > 0 {
			in = append(in, i)
		}
	}
	return in
}

// difference is a without b, if b is part of a.
func difference(a, b []int) (rest []int, ok bool) {
	j := 0
	for _, x := range a {
		switch {
		case j < len(b) && b[j] == x:
			j++
		case j < len(b) && b[j] < x:
			return nil, false
		default:
			rest = append(rest, x)
		}
	}
	return rest, j == len(b)
}

func key(atoms []int) string {
	var k []byte
	for _, a := range atoms {
		k = binary.LittleEndian.AppendUint32(k, uint32(a))
	}
	return string(k)
}
