package disclosure

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// crowd is people enough, and alike, so that no rule minds.
func crowd(atom int) []micro { return people(atom, uint64(1000+100*atom), 20, 21, 22, 23, 24, 25) }

func status(r *Result) []Status {
	var s []Status
	for _, c := range r.Cells {
		s = append(s, c.Status)
	}
	return s
}

// Two publications, each harmless, whose difference is one subject: the sectors,
// and the sectors without what a filter takes out.
func TestDifferencing(t *testing.T) {
	var rows []micro
	for a := range 3 {
		rows = append(rows, crowd(a)...)
	}
	rows = append(rows, people(3, 1, 40)...) // sector 0, filtered out
	first := tabulate(4, rows, [][]int{{0, 3}, {1}, {2}}, 3)
	r := mustProtect(t, first, plain)
	if r.Report.Released != 3 {
		t.Fatalf("%+v", r.Report)
	}
	second := tabulate(4, rows, [][]int{{0}, {1}, {2}}, 3)
	alone := mustProtect(t, second, plain)
	if alone.Report.Released != 3 {
		t.Fatalf("%+v", alone.Report)
	}
	joint := mustProtect(t, second, plain, r.Published())
	if s := status(joint); s[0] != Suppressed || s[1] != Released || s[2] != Released {
		t.Fatalf("%v", s)
	}
	attack(t, second, joint, r.Published())
}

// The difference is one subject's, though not one atom of the refinement: an
// outsider could not tell the two atoms apart and would know the subject's total.
func TestDifferencingOverSeveralAtoms(t *testing.T) {
	rows := append(crowd(0), micro{1, 1, 40}, micro{1, 2, 30})
	first := mustProtect(t, tabulate(3, rows, [][]int{{0, 1, 2}}, 3), plain)
	second := tabulate(3, rows, [][]int{{0}}, 3)
	if first.Report.Released != 1 || mustProtect(t, second, plain).Report.Released != 1 {
		t.Fatal("each alone is released")
	}
	joint := mustProtect(t, second, plain, first.Published())
	if joint.Report.Released != 0 {
		t.Fatal("the difference can be computed")
	}
	attack(t, second, joint, first.Published())
}

// What an earlier publication promised is kept: the cell it suppressed does not
// come out by a new total.
func TestEarlierSuppressionStays(t *testing.T) {
	rows := append(people(0, 1, 5, 7), crowd(1)...)
	rows = append(rows, crowd(2)...)
	first := tabulate(3, rows, [][]int{{0}, {1}, {2}}, 3)
	r := mustProtect(t, first, plain)
	if s := status(r); s[0] != Suppressed || s[1] != Released {
		t.Fatalf("%v", s)
	}
	second := tabulate(3, rows, [][]int{{0, 1, 2}, {1, 2}, {0, 1}}, 3)
	joint := mustProtect(t, second, plain, r.Published())
	if s := status(joint); s[0] != Suppressed || s[1] != Released || s[2] != Suppressed {
		t.Fatalf("%v", s)
	}
	attack(t, second, joint, r.Published())
}

// Where the past alone gives a cell away, nothing new can help.
func TestExposedBefore(t *testing.T) {
	rows := append(people(0, 1, 5, 7), crowd(1)...)
	careless := Published{Cells: []PublishedCell{{Atoms: []int{0, 1}, Status: Released, Low: 147, High: 147}, {Atoms: []int{1}, Status: Released, Low: 135, High: 135}}}
	_, err := Protect(context.Background(), tabulate(2, rows, [][]int{{0}}, 3), plain, careless)
	if !errors.Is(err, ErrExposed) {
		t.Fatal(err)
	}
}

// A suppressed zero cannot go down: the cell beside it in the row cannot go up by
// means of it, and something else has to be suppressed.
func TestHiddenZeroCell(t *testing.T) {
	d := []Dimension{{Size: 2}, {Size: 3}}
	rows := people(0, 1, 5, 7)
	rows = append(rows, people(1, 10, 0, 0)...) // two subjects, nothing to show
	for a := 2; a < 6; a++ {
		rows = append(rows, crowd(a)...)
	}
	table := tabulate(6, rows, margins(t, d), 3)
	r := mustProtect(t, table, plain)
	attack(t, table, r)
	if r.Report.Cohort != 2 || r.Report.Complementary == 0 {
		t.Fatalf("%+v", r.Report)
	}
	empty := tabulate(6, append(people(0, 1, 5, 7), append(crowd(2), append(crowd(3), append(crowd(4), crowd(5)...)...)...)...), margins(t, d), 3)
	r = mustProtect(t, empty, plain)
	attack(t, empty, r)
	for i, c := range empty.Cells {
		if c.Subjects == 0 && r.Cells[i].Status != Released {
			t.Fatal("an empty cell hides nobody")
		}
	}
}

// The cell of one subject who contributes nothing is hidden from the others too:
// the one with all of the row's total would know it to be zero.
func TestOneSubjectOfZero(t *testing.T) {
	rows := append(people(0, 1, 0), people(1, 2, 50, 0)...)
	table := tabulate(2, rows, [][]int{{0}, {1}, {0, 1}}, 3)
	table.Cells[1].Withheld = true
	r := mustProtect(t, table, Rules{MinSubjects: 2})
	if s := status(r); s[2] != Suppressed {
		t.Fatalf("%v", s)
	}
	attack(t, table, r)
}

// What an earlier publication promised does not stand in for what the present
// rules ask for.
func TestNarrowPromiseBefore(t *testing.T) {
	rows := append(people(0, 1, 50, 50), append(crowd(1), crowd(2)...)...)
	table := tabulate(3, rows, [][]int{{0, 1}, {1}}, 3)
	rules := Rules{MinSubjects: 3, Base: 5} // the rounding leaves ±4 open, the rule asks for 30
	before := Published{Cells: []PublishedCell{{Atoms: []int{0}, Protection: 1, Subjects: 2}}}
	for _, earlier := range [][]Published{nil, {before}} {
		if r := mustProtect(t, table, rules, earlier...); r.Report.Released != 1 {
			t.Fatalf("after %v: %v", earlier, status(r))
		}
	}
}

// A difference that earlier publications narrow below its protection, but leave open
// by less, is not given away for that.
func TestNarrowedDifferenceStaysOpen(t *testing.T) {
	rows := append(crowd(0), micro{1, 1, 40}, micro{1, 2, 30})
	// The subject of atoms 1 and 2 has 70, of which 30 percent are 21; known is that
	// it has from 60 to 80.
	before := Published{Cells: []PublishedCell{
		{Atoms: []int{1, 2}, Status: Released, Low: 60, High: 80},
		{Atoms: []int{0, 1, 2}, Status: Released, Low: 205, High: 205},
	}}
	second := tabulate(3, rows, [][]int{{0}}, 3)
	r := mustProtect(t, second, plain, before)
	if r.Report.Released != 0 {
		t.Fatal("the difference can be computed")
	}
}

// An empty cell of before is subtracted from nothing: what would be left is a cell
// with statistics of its own, where an estimate from its atoms asks for more.
func TestNothingToSubtract(t *testing.T) {
	var rows []micro
	for a := range 4 {
		rows = append(rows, people(a, 1, 20, 21, 22)...) // the same three, so that fewer cannot be ruled out
		rows = append(rows, people(a, uint64(10+10*a), 19)...)
	}
	rules := Rules{MinSubjects: 5}
	table := tabulate(5, rows, [][]int{{0, 1, 2, 3}}, 2)
	before := Published{Cells: []PublishedCell{{Atoms: []int{4}, Status: Released}}}
	alone, after := mustProtect(t, table, rules), mustProtect(t, table, rules, before)
	if alone.Report != after.Report {
		t.Fatalf("%+v, and after an empty cell %+v", alone.Report, after.Report)
	}
	// Nor does a difference ask for more that is a cell of the table.
	rows = append(rows, crowd(4)...)
	table = tabulate(5, rows, [][]int{{0, 1, 2, 3}, {4}}, 2)
	value, _, _, _ := table.union([]int{0, 1, 2, 3, 4})
	before = Published{Cells: []PublishedCell{{Atoms: []int{0, 1, 2, 3, 4}, Status: Released, Low: value, High: value}}}
	if r := mustProtect(t, table, rules, before); r.Report.Released != 2 {
		t.Fatalf("%+v", r.Report)
	}
}

// Three publications, of which the second was kept from giving away its difference
// to the first: nor does the third, by two cells that sum to what was suppressed.
func TestDifferenceOfEarlierPublications(t *testing.T) {
	rows := append(crowd(0), append(crowd(1), micro{1, 2, 40}, micro{1, 3, 30})...)
	var before []Published
	for i, cells := range [][][]int{{{0, 1, 2, 3}}, {{0, 1}}, {{0}, {1}}} {
		table := tabulate(4, rows, cells, 3)
		r := mustProtect(t, table, plain, before...)
		if want := []int{1, 0, 1}[i]; r.Report.Released != want {
			t.Fatalf("publication %d: %+v", i+1, r.Report)
		}
		kept, err := Earlier(table.Atoms, again(table.Cells, r), plain)
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, kept)
	}
}

// A margin with one cell is that cell.
func TestOneSubjectInAMarginOfOne(t *testing.T) {
	rows := append(people(0, 1, 5), crowd(1)...)
	rows = append(rows, crowd(2)...)
	table := tabulate(3, rows, [][]int{{0}, {1}, {2}, {0}, {1, 2}, {0, 1, 2}}, 3)
	r := mustProtect(t, table, plain)
	if s := status(r); s[0] != Suppressed || s[3] != Suppressed || s[4] == Released && s[5] == Released {
		t.Fatalf("%v", s)
	}
	attack(t, table, r)
}

// Two cells of one subject each in one row: against an outsider each hides the
// other; but either subject knows the other's from the total. A third has to go.
func TestSingletons(t *testing.T) {
	rows := append(people(0, 1, 50), people(1, 2, 60)...)
	rows = append(rows, crowd(2)...)
	rows = append(rows, crowd(3)...)
	table := tabulate(4, rows, [][]int{{0}, {1}, {2}, {3}, {0, 1, 2, 3}}, 3)
	r := mustProtect(t, table, plain)
	if r.Report.Cohort != 2 || r.Report.Complementary != 1 {
		t.Fatalf("%+v", r.Report)
	}
	attack(t, table, r)
	// The attacker finds it where only the two are suppressed.
	p := r.Published()
	for i := 2; i < 5; i++ {
		value, _, _, _ := table.union(table.Cells[i].Atoms)
		p.Cells[i] = PublishedCell{Atoms: table.Cells[i].Atoms, Status: Released, Low: value, High: value}
	}
	found := &caught{}
	found.run(func(t tester) { attackAs(t, table, 1, []Published{p}) })
	if !found.failed {
		t.Fatal("the pair was taken for safe")
	}
	outsider := &caught{}
	outsider.run(func(t tester) { attackAs(t, table, 1000, []Published{p}) })
	if outsider.failed {
		t.Fatal("it takes one of the two to know the other")
	}
}

// Publications one after another over one refinement.
func TestAttackOnSeveralPublications(t *testing.T) {
	answers, exposed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := []Dimension{{Size: rapid.IntRange(2, 3).Draw(t, "a")}, {Size: rapid.IntRange(2, 3).Draw(t, "b")}, {Size: 2}}
		atoms := d[0].Size * d[1].Size * d[2].Size
		rows := random(t, atoms)
		var before []Published
		for _, levels := range [][][]int{{{0, 0, All}, {0, All, All}}, {{0, All, 0}, {All, 0, All}}, {{All, All, All}, {All, 0, 0}}} {
			var cells [][]int
			for _, l := range levels {
				m, err := Margin(d, l)
				if err != nil {
					t.Fatal(err)
				}
				cells = append(cells, m...)
			}
			table := tabulate(atoms, rows, cells, 3)
			r, err := Protect(context.Background(), table, plain, before...)
			answers++
			if errors.Is(err, ErrExposed) && len(before) > 0 {
				exposed++ // a combination of what was released before
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if atoms <= 12 {
				attackAs(t, table, 5, append([]Published{r.Published()}, before...))
			}
			before = append(before, r.Published())
		}
	})
	t.Logf("%d of %d refused", exposed, answers)
	if exposed*5 > answers {
		t.Fatal("most is refused")
	}
}

// By enumeration of every table in integers that agrees with what is released:
// what no linear program sees.
func TestAttackByEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom([][]Dimension{{{Size: 4}}, {{Size: 2}, {Size: 2}}, {{Size: 2}, {Size: 3}}, {{Size: 2}, {Size: 2}, {Size: 2}}}).Draw(t, "shape")
		atoms := 1
		for _, x := range d {
			atoms *= x.Size
		}
		var rows []micro
		for a := range atoms {
			for i := range rapid.IntRange(0, 4).Draw(t, "subjects") {
				rows = append(rows, micro{uint64(10*a + i + 1), a, rapid.Int64Range(0, 2).Draw(t, "value")})
			}
		}
		table := tabulate(atoms, rows, margins(t, d), 4)
		r := mustProtect(t, table, Rules{MinSubjects: 3, P: 50})
		for i, c := range r.Cells {
			if c.Protection == 0 {
				continue
			}
			value, _, _, _ := table.union(table.Cells[i].Atoms)
			if !enumerate(table, []Published{r.Published()}, table.Cells[i].Atoms, value+c.Protection, +1) {
				t.Fatalf("cell %d of value %d cannot be %d", i, value, value+c.Protection)
			}
			if !enumerate(table, []Published{r.Published()}, table.Cells[i].Atoms, max(0, value-c.Protection), -1) {
				t.Fatalf("cell %d of value %d cannot be %d", i, value, max(0, value-c.Protection))
			}
		}
	})
}

// enumerate says whether some table agrees with what is released and gives the
// union at least (side +1) or at most (−1) this value.
func enumerate(table Table, publications []Published, union []int, want int64, side int64) bool {
	n := len(table.Atoms)
	most := int64(0)
	for _, a := range table.Atoms {
		most += a.Value
	}
	most += want
	var relations []publicRelation
	for _, p := range publications {
		for _, c := range p.Cells {
			if c.Status == Released {
				relations = append(relations, publicRelation{c.Atoms, c.Low, c.High})
			}
		}
	}
	relations = append(relations, publicRelation{union, map[bool]int64{true: want, false: 0}[side > 0], map[bool]int64{true: most * int64(n), false: want}[side > 0]})
	values := make([]int64, n)
	var try func(i int) bool
	try = func(i int) bool {
		for _, rel := range relations {
			sum, open := int64(0), false
			for _, a := range rel.atoms {
				if a < i {
					sum += values[a]
				} else {
					open = true
				}
			}
			if sum > rel.high || !open && sum < rel.low {
				return false
			}
		}
		if i == n {
			return true
		}
		for v := range most + 1 {
			values[i] = v
			if try(i + 1) {
				return true
			}
		}
		return false
	}
	return try(0)
}
