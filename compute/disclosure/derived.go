package disclosure

import (
	"encoding/binary"
	"errors"
	"slices"
)

// imply adds as targets what nobody asked to publish and somebody might compute:
// sensitive atoms, and sensitive differences between a cell of this table and one
// of an earlier publication that contains it or is contained in it.
func (p *protector) imply(rules Rules, earlier []Published) error {
	aimed := map[string]bool{}
	for _, t := range p.targets {
		aimed[key(t.atoms)] = true
	}
	add := func(c *Cell, value int64) error {
		k := key(c.Atoms)
		if aimed[k] || c.Subjects == 0 {
			return nil
		}
		_, width, err := rules.sensitive(c, value)
		if err != nil || width == 0 {
			return err
		}
		aimed[k] = true
		if len(c.Atoms) > 1 {
			if known, err := p.known(&target{atoms: c.Atoms, value: value, width: width, subjects: c.Subjects}); known || err != nil {
				return err
			}
		}
		p.aim(c.Atoms, value, width, c.Subjects)
		p.result.implied = append(p.result.implied, PublishedCell{Atoms: c.Atoms, Protection: width, Subjects: c.Subjects})
		return nil
	}
	for i, a := range p.table.Atoms {
		if len(p.of[i]) == 0 {
			continue // nothing is published about it
		}
		if err := add(&Cell{Atoms: []int{i}, Subjects: a.Subjects, Top: a.Top}, a.Value); err != nil {
			return err
		}
	}
	for i := range p.table.Cells {
		own := p.inhabited(p.table.Cells[i].Atoms)
		for _, e := range earlier {
			for j := range e.Cells {
				if e.Cells[j].Status != Released {
					continue
				}
				a, b := own, p.inhabited(e.Cells[j].Atoms)
				if len(a) < len(b) {
					a, b = b, a
				}
				if err := p.work.spend(len(e.Cells[j].Atoms)); err != nil {
					return err
				}
				rest, ok := difference(a, b)
				if !ok || len(rest) == 0 {
					continue
				}
				c, value := p.estimate(rest, rules)
				if err := add(c, value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

var errUnproved = errors.New("no witness")

// known says that a difference could be inferred from the earlier publications
// alone. What the present table does then is no matter: it was taken for safe
// before, and an estimate errs on the side of caution.
func (p *protector) known(t *target) (bool, error) {
	p.trial, p.system = true, nil
	err := p.prove(t)
	p.trial, p.system, p.pool, p.last, p.result.Report.Witnesses = false, nil, nil, nil, 0
	if errors.Is(err, errUnproved) {
		return true, nil
	}
	return false, err
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
