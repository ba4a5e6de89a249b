package disclosure

import (
	"context"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// A count, a sum and a sum of squares of the same cells: one status for each cell,
// and every measure withstands the attacker by itself, on two publications of
// which the second knows the first by Earlier.
func TestProtectAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := []Dimension{{Size: 3}, {Size: 3}, {Size: 2}}
		var levels [2][][]int
		for i, l := range [][]int{{0, 0, All}, {0, All, 0}} {
			for _, m := range [][]int{l, {0, All, All}, {All, All, All}} {
				cells, err := Margin(d, m)
				if err != nil {
					t.Fatal(err)
				}
				levels[i] = append(levels[i], cells...)
			}
		}
		sums := random(t, 18)
		counts, squares := make([]micro, len(sums)), make([]micro, len(sums))
		for i, r := range sums {
			counts[i] = micro{r.subject, r.atom, 1}
			squares[i] = micro{r.subject, r.atom, r.value * r.value}
		}
		var earlier [][]Published
		for _, cells := range levels {
			var tables []Table
			for _, rows := range [][]micro{counts, sums, squares} {
				tables = append(tables, tabulate(18, rows, cells, 3))
			}
			results, err := ProtectAll(context.Background(), tables, plain, earlier)
			if errors.Is(err, ErrExposed) && earlier != nil {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			kept := make([][]Published, len(tables))
			for i, r := range results {
				if r.Report.Cells != r.Report.Released+r.Report.Cohort+r.Report.Dominance+r.Report.Percent+r.Report.Withheld+r.Report.Complementary {
					t.Fatalf("%+v", r.Report)
				}
				for j, c := range r.Cells {
					if c.Status != results[0].Cells[j].Status {
						t.Fatalf("cell %d is %v in measure 0 and %v in measure %d", j, results[0].Cells[j].Status, c.Status, i)
					}
				}
				all := []Published{r.Published()}
				if earlier != nil {
					all = append(all, earlier[i]...)
				}
				attackAs(t, tables[i], 11, all)
				e, err := Earlier(tables[i].Atoms, again(tables[i].Cells, r), plain)
				if err != nil {
					t.Fatal(err)
				}
				kept[i] = []Published{e}
			}
			earlier = kept
		}
	})
}

// The same by enumeration of integers, on tiny tables: two publications, the second
// with the first by Earlier, of two measures together.
func TestEnumerationOfJointPublications(t *testing.T) {
	answers := 0
	rapid.Check(t, func(t *rapid.T) {
		var counts, sums []micro
		for a := range 5 {
			for i := range rapid.IntRange(0, 4).Draw(t, "subjects") {
				counts = append(counts, micro{uint64(10*a + i + 1), a, 1})
				sums = append(sums, micro{uint64(10*a + i + 1), a, rapid.Int64Range(0, 2).Draw(t, "value")})
			}
		}
		rules := Rules{MinSubjects: 3, P: 50}
		var earlier [][]Published
		for _, cells := range [][][]int{{{0, 1}, {2, 3, 4}, {0, 1, 2, 3, 4}}, {{0, 2}, {1, 3}, {4}, {0, 1, 2, 3}}} {
			tables := []Table{tabulate(5, counts, cells, 4), tabulate(5, sums, cells, 4)}
			results, err := ProtectAll(context.Background(), tables, rules, earlier)
			if errors.Is(err, ErrExposed) && earlier != nil {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			answers++
			kept := make([][]Published, len(tables))
			for i, r := range results {
				e, err := Earlier(tables[i].Atoms, again(tables[i].Cells, r), rules)
				if err != nil {
					t.Fatal(err)
				}
				kept[i] = []Published{e}
				all := []Published{r.Published()}
				if earlier != nil {
					all = append(all, earlier[i]...)
				}
				for _, p := range all {
					for _, c := range p.Cells {
						if c.Status == Released || c.Protection == 0 {
							continue
						}
						value, _, _, _ := tables[i].union(c.Atoms)
						if !enumerate(tables[i], all, c.Atoms, value+c.Protection, +1) || !enumerate(tables[i], all, c.Atoms, max(0, value-c.Protection), -1) {
							t.Fatalf("measure %d: a cell of atoms %v, value %d, is known to within %d", i, c.Atoms, value, c.Protection)
						}
					}
				}
			}
			earlier = kept
		}
	})
	if answers < 120 {
		t.Fatalf("%d answers: most is refused", answers)
	}
}

// What is not promised, as the package comment says: a count, a sum and a sum of
// squares of three break no rule, and each of the three can solve for the others.
func TestSquaresTellContributions(t *testing.T) {
	values := []int64{40, 41, 43}
	sums := people(0, 1, values...)
	counts, squares := people(0, 1, 1, 1, 1), people(0, 1, 40*40, 41*41, 43*43)
	cell := [][]int{{0}}
	results, err := ProtectAll(context.Background(), []Table{tabulate(1, counts, cell, 3), tabulate(1, sums, cell, 3), tabulate(1, squares, cell, 3)}, plain, nil)
	if err != nil || results[2].Report.Released != 1 {
		t.Fatal(err, results)
	}
	left, leftSquares := results[1].Cells[0].Value-values[0], results[2].Cells[0].Value-values[0]*values[0]
	root := int64(math.Sqrt(float64(2*leftSquares - left*left))) // the difference of the other two
	if (left+root)/2 != values[2] || (left-root)/2 != values[1] {
		t.Fatal("the limitation is gone: the package comment is to say so")
	}
}

func TestProtectAllRefuses(t *testing.T) {
	rows := append(crowd(0), crowd(1)...)
	a, b := tabulate(2, rows, [][]int{{0}, {1}}, 3), tabulate(2, rows, [][]int{{0}, {0, 1}}, 3)
	for _, tables := range [][]Table{{a, b}, {a, {Atoms: a.Atoms, Cells: a.Cells[:1]}}} {
		if _, err := ProtectAll(context.Background(), tables, plain, nil); !errors.Is(err, ErrTable) {
			t.Fatal(err)
		}
	}
	if _, err := ProtectAll(context.Background(), []Table{a}, plain, make([][]Published, 2)); !errors.Is(err, ErrTable) {
		t.Fatal(err)
	}
}

// The guard finds what a fault in the first check would let out.
func TestGuardBites(t *testing.T) {
	d := []Dimension{{Size: 3}, {Size: 3}}
	var rows []micro
	for a := range 9 {
		if a == 4 {
			rows = append(rows, people(a, 100, 5, 7)...)
			continue
		}
		rows = append(rows, people(a, uint64(10+10*a), 20, 21, 22, 23, 24)...)
	}
	p, err := protect(context.Background(), tabulate(9, rows, margins(t, d), 3), plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.settle()
	if err != nil || r.Report.Narrowest < 60 || r.Report.Narrowest == Unbounded {
		t.Fatalf("%v %+v", err, r.Report)
	}
	for i := range r.Cells {
		if r.Cells[i].Rule == Complementary {
			r.Cells[i].Status, r.Cells[i].Rule = Released, None
		}
	}
	if _, err := p.settle(); !errors.Is(err, ErrBroken) {
		t.Fatal("the cell can be computed from its row", err)
	}
}
