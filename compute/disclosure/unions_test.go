package disclosure

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Publications of any unions of a few atoms, rounded or not, each made anew from the
// data for the next: no promise is broken against anybody, by enumeration of the
// tables in integers that agree with what is released and with what the attacker
// contributes. Cohorts of two and subjects of nothing are the cases at the edge.
func TestEnumerationOfUnions(t *testing.T) {
	answers, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "atoms")
		var rows []micro
		for a := range n {
			for i := range rapid.IntRange(0, 3).Draw(t, "subjects") {
				rows = append(rows, micro{uint64(rapid.SampledFrom([]int{1, 2, 10*a + 10 + i}).Draw(t, "subject")), a, rapid.Int64Range(0, 3).Draw(t, "value")})
			}
		}
		rules := Rules{MinSubjects: rapid.Int64Range(2, 3).Draw(t, "cohort"), P: rapid.SampledFrom([]int64{0, 50}).Draw(t, "p"), Base: rapid.SampledFrom([]int64{0, 0, 2, 3}).Draw(t, "base")}
		var before []Published
		for range rapid.IntRange(1, 3).Draw(t, "publications") {
			var cells [][]int
			for range rapid.IntRange(1, 4).Draw(t, "cells") {
				cell := []int{}
				for a := range n {
					if rapid.Bool().Draw(t, "in") {
						cell = append(cell, a)
					}
				}
				cells = append(cells, cell)
			}
			table := tabulate(n, rows, cells, 3)
			for i := range table.Cells {
				table.Cells[i].Withheld = rapid.IntRange(0, 3).Draw(t, "withheld") == 0
			}
			r, err := Protect(context.Background(), table, rules, before...)
			if errors.Is(err, ErrExposed) && before != nil {
				refused++
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			answers++
			siege(t, table, append([]Published{r.Published()}, before...))
			kept, err := Earlier(table.Atoms, again(table.Cells, r), rules)
			if err != nil {
				t.Fatal(err)
			}
			before = append(before, kept)
		}
	})
	t.Logf("%d answers, %d refused", answers, refused)
	if answers < refused {
		t.Fatal("most is refused")
	}
}

// siege enumerates for every promise, as an outsider (subject 0) and as everybody.
func siege(t tester, table Table, all []Published) {
	t.Helper()
	everybody := []int{}
	for a := range table.Atoms {
		everybody = append(everybody, a)
	}
	subjects := append([]uint64{0}, contributors(table, everybody)...)
	slices.Sort(subjects)
	for _, s := range slices.Compact(subjects) {
		known, inside := slices.Clone(all), map[int]int64{}
		for i, a := range table.Atoms {
			at := PublishedCell{Atoms: []int{i}, Status: Released, High: 1 << 40}
			if a.Subjects == 0 {
				at.High = 0
			}
			for _, c := range a.Top {
				if c.Subject == s {
					at.Low, inside[i] = c.Value, c.Value
				}
			}
			known = append(known, Published{Cells: []PublishedCell{at}})
		}
		for _, p := range all {
			for _, c := range p.Cells {
				if c.Status == Released || c.Protection == 0 || c.Subjects == 1 && s == contributors(table, c.Atoms)[0] {
					continue
				}
				value, own := int64(0), int64(0)
				for _, a := range c.Atoms {
					value, own = value+table.Atoms[a].Value, own+inside[a]
				}
				if !enumerate(table, known, c.Atoms, value+c.Protection, +1) || !enumerate(table, known, c.Atoms, max(own, value-c.Protection), -1) {
					t.Fatalf("subject %d knows a cell of atoms %v, value %d, to within %d", s, c.Atoms, value, c.Protection)
				}
			}
		}
	}
}
