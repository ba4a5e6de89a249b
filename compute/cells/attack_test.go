package cells

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/disclosure"
)

// A reader of what was published, who knows which rows' labels exist together and
// nothing else of the data but what one subject has.
type attacker struct {
	atoms []string // of the finest partition that somebody is in
	own   []float64
	told  []equation
}

// equation: the atoms sum up to this.
type equation struct {
	atoms []int
	value float64
}

// narrowest solves for the least (sign +1) or the greatest (−1) that a union of atoms can
// be; false where the solver gives up.
func (a *attacker) narrowest(union []int, sign float64) (float64, bool) {
	n := len(a.atoms)
	var rows [][]float64
	for _, e := range a.told {
		row := make([]float64, n+1)
		row[n] = e.value
		for _, i := range e.atoms {
			row[i] = 1
			row[n] -= a.own[i]
		}
		rows = append(rows, row)
	}
	rows = echelon(rows, n)
	c, base := make([]float64, n), 0.0
	bounded := make([]bool, n)
	for _, r := range rows {
		for j := range n {
			bounded[j] = bounded[j] || r[j] != 0
		}
	}
	for _, i := range union {
		base += a.own[i]
		c[i] = sign
		if !bounded[i] && sign < 0 {
			return math.Inf(1), true
		}
	}
	if len(rows) == 0 {
		return base, true
	}
	var keep []int
	for j := range n {
		if bounded[j] {
			keep = append(keep, j)
		}
	}
	m, b, cost := mat.NewDense(len(rows), len(keep), nil), make([]float64, len(rows)), make([]float64, len(keep))
	for i, r := range rows {
		b[i] = r[n]
		for k, j := range keep {
			m.Set(i, k, r[j])
			cost[k] = c[j]
		}
	}
	if len(rows) == len(keep) { // one solution
		for i, r := range rows {
			for j := range n {
				if r[j] == 1 {
					base += sign * c[j] * b[i]
				}
			}
		}
		return base, true
	}
	v, _, err := lp.Simplex(cost, m, b, 1e-9, nil)
	if errors.Is(err, lp.ErrUnbounded) {
		return math.Inf(1), true
	}
	return base + sign*v, err == nil
}

// echelon reduces rows by Gauss and Jordan.
func echelon(rows [][]float64, n int) [][]float64 {
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
		for k := n; k >= 0; k-- {
			rows[done][k] /= rows[done][c]
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

// secret is a suppressed cell and what its rules ask for.
type secret struct {
	atoms        []int
	value, width float64
	by           map[any]float64
}

// twoPublications are of the same data along different dimensions.
func twoPublications() (one, two *Plan) {
	one = guarded()
	one.Dimensions[1].Levels = nil
	one.Groups = [][]string{{"sort", "area"}, {"sort"}, {"area"}, {}}
	one.Measures = one.Measures[:3]
	two = guarded()
	two.Dimensions[0] = PlanDimension{Name: "rated", Dimension: columnar.Dimension{Column: "rate", Null: columnar.Keep, Other: columnar.Keep,
		Edges: []columnar.Value{columnar.Float(-1), columnar.Float(0), columnar.Float(1)}}}
	two.Dimensions[1].Levels = nil
	two.Groups = [][]string{{"rated", "area"}, {"rated"}, {"area"}}
	two.Measures = two.Measures[:3]
	return one, two
}

// Through the whole pipeline, from rows to two publications of a count and a sum: no
// reader, and no subject that knows its own rows, narrows a suppressed cell of either
// publication below what the cohort and p% rules ask for.
func TestAttackOnPublications(t *testing.T) {
	solved, gaveUp, secrets, exposed := 0, 0, 0, 0
	one, two := twoPublications()
	rapid.Check(t, func(rt *rapid.T) {
		pay := drawPayment(14)
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) row {
			r := pay(t)
			r.rate = rapid.SampledFrom([]any{nil, -0.5, 0.5}).Draw(t, "rate")
			return r
		}), 10, 70).Draw(rt, "rows")
		first := disclose(rt, one, rows)
		second, err := Disclose(context.Background(), two, source(rows), []Earlier{{one, first.Axes, first.Table}}, 1)
		if errors.Is(err, disclosure.ErrExposed) {
			exposed++
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		for _, what := range []string{"n", "known", "paid"} {
			s, g, n := assail(rt, rows, what, first, second)
			solved, gaveUp, secrets = solved+s, gaveUp+g, secrets+n
		}
	})
	t.Logf("%d secrets, %d programs solved, gave up on %d; %d second publications refused", secrets, solved, gaveUp, exposed)
	if secrets == 0 || gaveUp*20 > solved {
		t.Error("too few programs were solved")
	}
}

// Subject 1 is the largest in one atom and third in another of the same cell: what it
// has in both, with a released margin, once narrowed another's cell from 130 to 129. To
// refuse the second publication is safe too.
func TestThirdContributorKnowsItsPart(t *testing.T) {
	rows := []row{
		{2, "a", "n2", 10, -0.5}, {1, "a", nil, nil, nil}, {1, "b", "n2", 9, -0.5}, {3, "a", "n2", 100, nil}, {4, "a", "n2", 9, -0.5},
		{1, "a", "n1", nil, 0.5}, {9, "b", "n1", 0, nil}, {1, "a", "n2", 9, -0.5}, {1, "a", "s1", 50, 0.5}, {10, "a", "n2", 10, -0.5},
	}
	one, two := twoPublications()
	first := disclose(t, one, rows)
	second, err := Disclose(context.Background(), two, source(rows), []Earlier{{one, first.Axes, first.Table}}, 1)
	if errors.Is(err, disclosure.ErrExposed) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, secrets := assail(t, rows, "paid", first, second); secrets == 0 {
		t.Error("nothing is suppressed")
	}
}

// The attacker does find what is not protected.
func TestAttackerSubtracts(t *testing.T) {
	a := &attacker{atoms: []string{"x", "y", "z"}, own: []float64{0, 0, 1}, told: []equation{{[]int{0, 1, 2}, 12}, {[]int{0}, 9}}}
	for _, sign := range []float64{1, -1} {
		if got, ok := a.narrowest([]int{1, 2}, sign); !ok || got != 3 {
			t.Errorf("12 − 9 is %v", got)
		}
	}
	if got, ok := a.narrowest([]int{1}, -1); !ok || got != 2 {
		t.Errorf("of 3, one's own 1 leaves at most %v", got)
	}
}

// assail attacks one figure of the releases. It gives how many programs were solved, how
// many not, and how many cells are protected.
func assail(t interface{ Fatalf(string, ...any) }, rows []row, what string, releases ...*Release) (solved, gaveUp, secrets int) {
	a := &attacker{}
	var shares []map[any]float64 // by atom and subject
	value := func(r row) (float64, bool) {
		if what == "n" {
			return 1, true
		}
		v, ok := r.paid.(int)
		if what == "known" {
			return 1, ok
		}
		return float64(min(max(v, 0), 100)), ok
	}
	cells := map[string][]int{}
	for _, r := range rows {
		v, ok := value(r)
		if !ok {
			continue
		}
		rated := map[any]string{nil: labelNull, -0.5: "[-1,0)", 0.5: "[0,1)"}[r.rate]
		atom := fmt.Sprint(r.sort, r.area, rated)
		i := slices.Index(a.atoms, atom)
		if i < 0 {
			i = len(a.atoms)
			a.atoms, shares = append(a.atoms, atom), append(shares, map[any]float64{})
			for k, release := range releases {
				for g, group := range release.Groups {
					for c, labels := range grid(release.Axes, group.By) {
						if j := slices.Index(group.By, "rated"); j >= 0 {
							if labels[j] != rated {
								continue
							}
						}
						by, l := without(group.By, labels, "rated")
						if inCell(r, by, l) {
							key := fmt.Sprint(k, g, c)
							cells[key] = append(cells[key], i)
						}
					}
				}
			}
		}
		shares[i][r.who] += v
	}
	a.own = make([]float64, len(a.atoms))
	var hidden []secret
	for k, release := range releases {
		m := slices.IndexFunc(release.Measures, func(m Measure) bool { return m.Name == what })
		for g := range release.Groups {
			for c, status := range release.Table.Groups[g].Status {
				atoms := cells[fmt.Sprint(k, g, c)]
				if status == Released {
					if len(atoms) > 0 {
						a.told = append(a.told, equation{atoms, float64(release.Table.Groups[g].Values[m][c])})
					}
					continue
				}
				if s := newSecret(atoms, shares); s.width > 0 {
					hidden = append(hidden, s)
				}
			}
		}
	}
	for _, who := range append([]any{nil}, largest(shares)...) {
		for i := range a.own {
			a.own[i] = shares[i][who]
		}
		for _, s := range hidden {
			if own, ok := s.by[who]; ok && len(s.by) == 1 && own == s.value {
				continue // it is all its own
			}
			for _, sign := range []float64{1, -1} {
				got, ok := a.narrowest(s.atoms, sign)
				if !ok {
					gaveUp++
					continue
				}
				solved++
				if low := max(s.by[who], s.value-s.width); sign > 0 && got > low+1e-4 || sign < 0 && got < s.value+s.width-1e-4 {
					t.Fatalf("%s: %v knows of a suppressed cell of %v that it is %v at the %v side; protected by %v", what, who, s.value, got, -sign, s.width)
				}
			}
		}
	}
	return solved, gaveUp, len(hidden)
}

// without leaves a name out, with its label.
func without(by, labels []string, name string) (b, l []string) {
	for i := range by {
		if by[i] != name {
			b, l = append(b, by[i]), append(l, labels[i])
		}
	}
	return b, l
}

// newSecret is what a cohort of 3 and a p% rule of 20 ask for, as the books have it.
func newSecret(atoms []int, shares []map[any]float64) secret {
	s := secret{atoms: atoms, by: map[any]float64{}}
	for _, a := range atoms {
		for who, v := range shares[a] {
			s.by[who] += v
			s.value += v
		}
	}
	var sorted []float64
	for _, v := range s.by {
		sorted = append(sorted, v)
	}
	slices.Sort(sorted)
	slices.Reverse(sorted)
	sorted = append(sorted, 0, 0)
	if n := len(s.by); n > 0 && n < 3 {
		s.width = max(1, math.Ceil(0.3*s.value-1e-9))
	}
	if p := math.Ceil(0.2*sorted[0]-1e-9) - (s.value - sorted[0] - sorted[1]); len(s.by) > 0 && p > 0 {
		s.width = max(s.width, p)
	}
	return s
}

// largest are the subjects that have the most of some atom.
func largest(shares []map[any]float64) []any {
	var out []any
	for _, by := range shares {
		var who any
		for w, v := range by {
			if who == nil || v > by[who] || v == by[who] && w.(int) < who.(int) {
				who = w
			}
		}
		if who != nil && by[who] > 0 && !slices.Contains(out, who) {
			out = append(out, who)
		}
	}
	return out
}
