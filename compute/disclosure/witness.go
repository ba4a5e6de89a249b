package disclosure

import (
	"fmt"
	"slices"
)

// A witness is a change of the atoms, in integers, that no released cell shows.
// The true table plus a witness is a table that might as well be the true one:
// whoever cannot rule it out cannot tell a suppressed cell's value from the
// value there.
type witness struct {
	change map[int]int64
	used   bool // a proof rests on it
}

func (w *witness) sum(atoms []int) int64 {
	s := int64(0)
	for _, a := range atoms {
		s += w.change[a]
	}
	return s
}

// keeps says whether the witness leaves what a relation tells as it is.
func (w *witness) keeps(r *relation) bool {
	s := w.sum(r.atoms)
	return r.low <= s && s <= r.high
}

// possible says whether an attacker who knows these contributions would take the
// changed table for possible.
func (w *witness) possible(atoms []Atom, own []contribution) bool {
	for a, change := range w.change {
		if change < -atoms[a].Value || change > maxChange || atoms[a].Subjects == 0 {
			return false // that an atom is empty may be known
		}
	}
	return w.spares(atoms, own)
}

// spares says whether the witness undercuts none of these contributions.
func (w *witness) spares(atoms []Atom, own []contribution) bool {
	for _, c := range own {
		if atoms[c.atom].Value+w.change[c.atom] < c.value {
			return false
		}
	}
	return true
}

// An aim is one side of a target, up (+1) or down (−1), against one attacker.
type aim struct {
	*target
	side int64
	goal int64
	own  []contribution
}

// prove finds witnesses for both sides of a target against every attacker, and
// suppresses more where there is none.
func (p *protector) prove(t *target) error {
	within := map[int]bool{}
	for _, a := range t.atoms {
		within[a] = true
	}
	only, alone := p.only(t)
	for _, side := range []int64{+1, -1} {
		base := aim{target: t, side: side, goal: t.width}
		if side < 0 {
			base.goal = min(t.width, t.value)
		}
		// One witness that holds against everybody saves a search for each.
		careful := base
		careful.own = p.everything(within, side)
		all, err := p.seek(careful)
		if err != nil {
			return err
		}
		if !all {
			if err := p.insist(base); err != nil {
				return err
			}
		}
		outside := p.last // holds against most attackers, if not all
		for _, s := range p.attackers {
			one, inside := base, int64(0)
			one.own = s.own
			for _, c := range s.own {
				if within[c.atom] {
					inside += c.value
				}
			}
			if all && (side > 0 || inside == 0) || alone && s.subject == only {
				continue // proved above, or it is the cell's one subject
			}
			if side < 0 {
				one.goal = min(t.width, t.value-inside)
			}
			if err := p.work.spend(len(s.own)); err != nil {
				return err
			}
			if base.goal > 0 && outside.spares(p.table.Atoms, s.own) {
				p.result.Report.Witnesses++ // its goal is no further
				continue
			}
			if err := p.insist(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// only is the one subject of a target that has one. It stands in the first atom
// that is not empty, also with a contribution of zero.
func (p *protector) only(t *target) (subject uint64, alone bool) {
	if in := p.inhabited(t.atoms); t.subjects == 1 && len(in) > 0 {
		return p.table.Atoms[in[0]].Top[0].Subject, true
	}
	return 0, false
}

// everything is the largest contribution to every atom, as if one attacker knew
// them all; to prove the lower side, but for the atoms in the target, of which an
// attacker outside it knows none.
func (p *protector) everything(within map[int]bool, side int64) []contribution {
	var own []contribution
	for i, a := range p.table.Atoms {
		if len(a.Top) > 0 && a.Top[0].Value > 0 && (side > 0 || !within[i]) {
			own = append(own, contribution{i, a.Top[0].Value})
		}
	}
	return own
}

// insist proves an aim, suppressing as much as it takes.
func (p *protector) insist(a aim) error {
	for repaired := false; ; {
		found, err := p.seek(a)
		if found || err != nil {
			return err
		}
		if p.trial {
			return errUnproved
		}
		more := 0
		if !repaired {
			if more, err = p.repair(a); err != nil {
				return err
			}
			repaired = true
		}
		if more > 0 {
			continue
		}
		if some, err := p.another(a); err != nil {
			return err
		} else if !some {
			return fmt.Errorf("%w: a cell of %d atoms", ErrExposed, len(a.atoms))
		}
	}
}

// another suppresses the cheapest released cell that shares an atom with the
// target, or else the cheapest of all.
func (p *protector) another(a aim) (bool, error) {
	within := map[int]bool{}
	for _, x := range a.atoms {
		within[x] = true
	}
	best, near := -1, false
	for i := range p.result.Cells {
		if p.result.Cells[i].Status != Released {
			continue
		}
		r := &p.relations[i]
		if err := p.work.spend(len(r.atoms)); err != nil {
			return false, err
		}
		shares := slices.ContainsFunc(r.atoms, func(x int) bool { return within[x] })
		if best < 0 || shares && !near || shares == near && r.cost < p.relations[best].cost {
			best, near = i, shares
		}
	}
	if best >= 0 {
		p.suppress(best, Complementary)
	}
	return best >= 0, nil
}

// accept verifies a witness for an aim exactly: in integers, against every
// relation in force. Nothing else in this package is trusted.
func (p *protector) accept(w *witness, a aim) bool {
	if !w.possible(p.table.Atoms, a.own) || w.sum(a.atoms)*a.side < a.goal {
		return false
	}
	sums := map[int]int64{} // a relation that is not among these does not change
	for i, change := range w.change {
		for _, r := range p.of[i] {
			sums[r] += change
		}
	}
	for i, sum := range sums {
		if r := &p.relations[i]; p.inForce(r) && (sum < r.low || sum > r.high) {
			return false
		}
	}
	return true
}

func (p *protector) inForce(r *relation) bool {
	return r.cell < 0 || !p.trial && p.result.Cells[r.cell].Status == Released
}

func (p *protector) relationsInForce() []*relation {
	var in []*relation
	for i := range p.relations {
		if r := &p.relations[i]; p.inForce(r) {
			in = append(in, r)
		}
	}
	return in
}

// seek looks for a witness: among those there are, then by linear programming.
func (p *protector) seek(a aim) (bool, error) {
	if a.goal <= 0 {
		return true, nil
	}
	if err := p.work.spend(recent * (1 + len(a.atoms))); err != nil {
		return false, err
	}
	keep := func(w *witness) bool {
		if !p.accept(w, a) {
			return false
		}
		w.used, p.last = true, w
		p.result.Report.Witnesses++
		return true
	}
	for i := len(p.pool) - 1; i >= max(0, len(p.pool)-recent); i-- {
		if w := p.pool[i]; w.sum(a.atoms)*a.side >= a.goal && keep(w) {
			return true, nil
		}
	}
	if p.system == nil || p.system.d.pivots > stale {
		s, err := p.assemble()
		if err != nil {
			return false, err
		}
		p.system = s
	}
	return p.system.search(p, a, func(w *witness) bool {
		if !keep(w) {
			return false
		}
		p.pool = append(p.pool, w)
		return true
	})
}

// recent is how many witnesses are tried anew before one is sought.
const recent = 64

// stale is after how many pivots a dictionary is made anew, against rounding errors.
const stale = 2000
