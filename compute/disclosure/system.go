package disclosure

import (
	"encoding/binary"
	"errors"
	"math"
)

// A system is the relations in force, over the atoms that can change at all.
type system struct {
	atoms  []int // of a column
	column []int // of an atom; −1 if it cannot change
	d      *dictionary
}

// assemble makes the system: atoms that a relation fixes are taken out, then
// relations that have become empty or equal.
func (p *protector) assemble() (*system, error) {
	in := p.relationsInForce()
	fixed := make([]bool, len(p.table.Atoms))
	for i, a := range p.table.Atoms {
		fixed[i] = a.Subjects == 0
	}
	for changed := true; changed; {
		changed = false
		for _, r := range in {
			if r.low != 0 || r.high != 0 {
				continue
			}
			free, last := 0, 0
			for _, a := range r.atoms {
				if !fixed[a] {
					free, last = free+1, a
				}
			}
			if free == 1 {
				fixed[last], changed = true, true
			}
			if err := p.work.spend(len(r.atoms)); err != nil {
				return nil, err
			}
		}
	}
	s := &system{column: make([]int, len(fixed))}
	for i, f := range fixed {
		s.column[i] = -1
		if !f {
			s.column[i] = len(s.atoms)
			s.atoms = append(s.atoms, i)
		}
	}
	rows := s.distinct(in)
	d, err := newDictionary(len(s.atoms), len(rows), p.work)
	if err != nil {
		return nil, err
	}
	for r, row := range rows {
		for _, j := range row.columns {
			d.rows[r][j] = 1
		}
		d.low[len(s.atoms)+r], d.up[len(s.atoms)+r] = float64(row.low), float64(row.high)
	}
	s.d = d
	return s, nil
}

// A row is what relations over the same columns tell together.
type row struct {
	columns   []int
	low, high int64
	cells     []int // the table's own cells among them
	cost      int64
}

func (s *system) distinct(relations []*relation) []row {
	var rows []row
	at := map[string]int{}
	for _, r := range relations {
		key := []byte{0} // an earlier relation stays when one of the table's goes
		if r.cell < 0 {
			key[0] = 1
		}
		var columns []int
		for _, a := range r.atoms {
			if j := s.column[a]; j >= 0 {
				columns = append(columns, j)
				key = binary.LittleEndian.AppendUint32(key, uint32(j))
			}
		}
		if len(columns) == 0 {
			continue
		}
		i, ok := at[string(key)]
		if !ok {
			i = len(rows)
			at[string(key)] = i
			rows = append(rows, row{columns: columns, low: math.MinInt64, high: math.MaxInt64})
		}
		rows[i].low, rows[i].high = max(rows[i].low, r.low), min(rows[i].high, r.high)
		if r.cell >= 0 {
			rows[i].cells = append(rows[i].cells, r.cell)
			rows[i].cost += r.cost
		}
	}
	return rows
}

// bounds sets how far each column may change before an attacker notices.
func (s *system) bounds(p *protector, d *dictionary, a aim) {
	for j, i := range s.atoms {
		d.low[j], d.up[j] = -float64(p.table.Atoms[i].Value), 4*float64(a.goal)
	}
	for _, c := range a.own {
		if j := s.column[c.atom]; j >= 0 {
			d.low[j] = -float64(p.table.Atoms[c.atom].Value - c.value)
		}
	}
}

// read rounds the columns of a dictionary to a witness.
func (s *system) read(d *dictionary) *witness {
	w := &witness{change: map[int]int64{}}
	for j, a := range s.atoms {
		if c := int64(math.Round(d.x[j])); c != 0 {
			w.change[a] = c
		}
	}
	return w
}

func (s *system) search(p *protector, a aim, keep func(*witness) bool) (bool, error) {
	s.bounds(p, s.d, a)
	clear(s.d.cost)
	for _, i := range a.atoms {
		if j := s.column[i]; j >= 0 {
			s.d.cost[j] = float64(a.side)
		}
	}
	return s.d.maximise(float64(a.goal), func() bool { return keep(s.read(s.d)) })
}

// repair finds the cheapest change, by a linear program, that moves the target to
// its goal, where a released cell that would have to change is charged by its
// cost for every unit: it is suppressed. (Robertson, "Cell suppression at
// Statistics Canada", 1993; Hundepool et al. 2012, section 4.4.) It says how many
// cells it suppressed. Once work has gone beyond maxRepair, or where the program is
// too large though the search for a witness is not, it suppresses none.
func (p *protector) repair(a aim) (int, error) {
	p.work.most = maxRepair
	defer func() { p.work.most = MaxWork }()
	suppressed, err := p.cheapest(a)
	if errors.Is(err, ErrTooLarge) {
		return 0, nil
	}
	return suppressed, err
}

// maxRepair is the part of MaxWork after which complementary cells are no longer
// chosen by a linear program.
const maxRepair = MaxWork / 10

// cheapest is repair without a bound of its own.
func (p *protector) cheapest(a aim) (int, error) {
	if err := p.work.spend(0); err != nil {
		return 0, err
	}
	s := &system{column: make([]int, len(p.table.Atoms))}
	for i, atom := range p.table.Atoms {
		s.column[i] = -1
		if atom.Subjects > 0 {
			s.column[i] = len(s.atoms)
			s.atoms = append(s.atoms, i)
		}
	}
	in := p.relationsInForce()
	rows := s.distinct(in)
	k, m := len(s.atoms), len(rows)
	n := k + 2*m
	d, err := newDictionary(n, m+1, p.work)
	if err != nil {
		return 0, err
	}
	s.bounds(p, d, a)
	total := 1.0
	for r, row := range rows {
		for _, j := range row.columns {
			d.rows[r][j] = 1
		}
		d.low[n+r], d.up[n+r] = float64(row.low), float64(row.high)
		if row.cost > 0 {
			d.rows[r][k+2*r], d.rows[r][k+2*r+1] = -1, 1
			d.up[k+2*r], d.up[k+2*r+1] = math.Inf(1), math.Inf(1)
			d.cost[k+2*r], d.cost[k+2*r+1] = -float64(row.cost), -float64(row.cost)
			total += float64(row.cost)
		}
	}
	for _, i := range a.atoms {
		if j := s.column[i]; j >= 0 {
			d.rows[m][j] = float64(a.side)
		}
	}
	d.up[n+m], d.cost[n+m] = float64(a.goal), 4*total
	if _, err := d.maximise(math.Inf(1), func() bool { return false }); err != nil {
		return 0, err
	}
	suppressed := 0
	for r, row := range rows {
		if d.x[k+2*r] > 1e-6 || d.x[k+2*r+1] > 1e-6 {
			for _, c := range row.cells {
				p.suppress(c, Complementary)
				suppressed++
			}
		}
	}
	// Likely the witness: seek looks among these first.
	p.pool = append(p.pool, s.read(d))
	return suppressed, nil
}
