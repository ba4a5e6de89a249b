package disclosure

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
)

// An enemy knows everything published, and its own contributions to the atoms.
type enemy struct {
	relations []publicRelation
	own       []float64
}

type publicRelation struct {
	atoms     []int
	low, high int64
}

func enemyOf(atoms int, publications ...Published) *enemy {
	e := &enemy{own: make([]float64, atoms)}
	for _, p := range publications {
		for _, c := range p.Cells {
			if c.Status == Released {
				e.relations = append(e.relations, publicRelation{c.Atoms, c.Low, c.High})
			}
		}
	}
	return e
}

// system is Ay = b for y ≥ 0, where atom i is own[i] + y[i] and each rounded
// relation has two slack variables; A has full row rank.
func (e *enemy) system(atoms int) (a *mat.Dense, b []float64) {
	n := atoms
	for _, r := range e.relations {
		if r.low != r.high {
			n += 2
		}
	}
	var rows [][]float64
	slack := atoms
	for _, r := range e.relations {
		row := make([]float64, n+1)
		row[n] = float64(r.low)
		for _, i := range r.atoms {
			row[i] = 1
			row[n] -= e.own[i]
		}
		if r.low != r.high {
			row[slack] = -1
			other := make([]float64, n+1)
			other[slack], other[slack+1], other[n] = 1, 1, float64(r.high-r.low)
			rows = append(rows, other)
			slack += 2
		}
		rows = append(rows, row)
	}
	rows = independent(rows, n)
	if len(rows) == 0 {
		return nil, nil
	}
	a = mat.NewDense(len(rows), n, nil)
	for i, r := range rows {
		a.SetRow(i, r[:n])
		b = append(b, r[n])
	}
	return a, b
}

// independent reduces rows to echelon form, by Gauss and Jordan.
func independent(rows [][]float64, n int) [][]float64 {
	done := 0
	for c := 0; c < n && done < len(rows); c++ {
		best := done
		for i := done; i < len(rows); i++ {
			if math.Abs(rows[i][c]) > math.Abs(rows[best][c]) {
				best = i
			}
		}
		if math.Abs(rows[best][c]) < 1e-7 {
			continue
		}
		rows[done], rows[best] = rows[best], rows[done]
		scale := rows[done][c]
		for k := range rows[done] {
			rows[done][k] /= scale
		}
		for i := range rows {
			if f := rows[i][c]; i != done && f != 0 {
				for k := range rows[i] {
					rows[i][k] -= f * rows[done][k]
				}
			}
		}
		done++
	}
	return rows[:done]
}

// extreme is the least (sign +1) or the greatest (sign −1) a union can be. false
// is that the solver gave up.
func (e *enemy) extreme(t tester, atoms int, union []int, sign float64) (float64, bool) {
	t.Helper()
	a, b := e.system(atoms)
	base := 0.0
	for _, i := range union {
		base += e.own[i]
	}
	if a == nil {
		if sign > 0 {
			return base, true
		}
		return math.Inf(1), true
	}
	_, n := a.Dims()
	// Columns of zeros are free; the solver wants none.
	var keep []int
	for j := range n {
		if mat.Norm(a.ColView(j), 1) > 0 {
			keep = append(keep, j)
		}
	}
	in := map[int]bool{}
	for _, i := range union {
		in[i] = true
	}
	m, _ := a.Dims()
	reduced, c := mat.NewDense(m, len(keep), nil), make([]float64, len(keep))
	for k, j := range keep {
		reduced.SetCol(k, mat.Col(nil, j, a))
		if in[j] {
			c[k] = sign
			delete(in, j)
		}
	}
	if len(in) > 0 && sign < 0 {
		return math.Inf(1), true
	}
	v, _, err := lp.Simplex(c, reduced, b, 1e-9, nil)
	switch {
	case errors.Is(err, lp.ErrUnbounded):
		return math.Inf(1), true
	case err != nil:
		return 0, false
	}
	return base + sign*v, true
}

// attack holds a result to its promise, against an outsider and against every
// listed subject, by linear programming. It gives how many programs were solved
// and on how many the solver gave up.
func attack(t tester, table Table, r *Result, earlier ...Published) (solved, gaveUp int) {
	t.Helper()
	return attackAs(t, table, 1, append([]Published{r.Published()}, earlier...))
}

// contributors are those listed in some atoms, also with nothing.
func contributors(table Table, atoms []int) []uint64 {
	var s []uint64
	for _, a := range atoms {
		for _, c := range table.Atoms[a].Top {
			s = append(s, c.Subject)
		}
	}
	return s
}

// attackAs takes every nth subject only, the outsider first.
func attackAs(t tester, table Table, nth int, all []Published) (solved, gaveUp int) {
	t.Helper()
	e := enemyOf(len(table.Atoms), all...)
	subjects := []uint64{0}
	seen := map[uint64]bool{0: true}
	for _, a := range table.Atoms {
		for _, c := range a.Top {
			if !seen[c.Subject] {
				seen[c.Subject] = true
				subjects = append(subjects, c.Subject)
			}
		}
	}
	for k, s := range subjects {
		if k%nth != 0 {
			continue
		}
		clear(e.own)
		for i, a := range table.Atoms {
			for _, c := range a.Top {
				if c.Subject == s {
					e.own[i] = float64(c.Value)
				}
			}
		}
		for _, p := range all {
			for _, c := range p.Cells {
				if c.Status == Released || c.Protection == 0 {
					continue
				}
				value, inside := 0.0, 0.0
				for _, a := range c.Atoms {
					value += float64(table.Atoms[a].Value)
					inside += e.own[a]
				}
				if c.Subjects == 1 && s == contributors(table, c.Atoms)[0] {
					continue // it knows its own
				}
				width := float64(c.Protection)
				for _, sign := range []float64{+1, -1} {
					got, ok := e.extreme(t, len(table.Atoms), c.Atoms, sign)
					if !ok {
						gaveUp++
						continue
					}
					solved++
					if want := max(inside, value-width); sign > 0 && got > want+1e-4 {
						t.Fatalf("subject %d knows that a cell of atoms %v, value %v, is at least %v; it should not be above %v", s, c.Atoms, value, got, want)
					}
					if want := value + width; sign < 0 && got < want-1e-4 {
						t.Fatalf("subject %d knows that a cell of atoms %v, value %v, is at most %v; it should not be below %v", s, c.Atoms, value, got, want)
					}
				}
			}
		}
	}
	return solved, gaveUp
}
