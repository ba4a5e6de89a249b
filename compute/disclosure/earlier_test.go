package disclosure

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// again is what a caller kept of a result (statuses and bounds), over these cells.
func again(cells []Cell, r *Result) []EarlierCell {
	kept := r.Published()
	out := make([]EarlierCell, len(cells))
	for i, c := range cells {
		out[i] = EarlierCell{Cell: c, Status: kept.Cells[i].Status, Low: kept.Cells[i].Low, High: kept.Cells[i].High}
	}
	return out
}

// Over the refinement of its own, Earlier is what Result.Published told of the
// cells; the next publication, over a finer one, keeps the same promises.
func TestEarlier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := plain
		rules.Base = rapid.SampledFrom([]int64{0, 5}).Draw(t, "base")
		coarse := []Dimension{{Size: 3}, {Size: 2}}
		fine := []Dimension{{Size: 3}, {Size: 2}, {Size: 2}}
		rows := random(t, 12)
		cells := margins(t, coarse)
		before := make([]micro, len(rows))
		for i, r := range rows {
			before[i] = micro{r.subject, r.atom / 2, r.value}
		}
		first := tabulate(6, before, cells, 3)
		r, err := Protect(context.Background(), first, rules)
		if err != nil {
			t.Fatal(err)
		}
		same, err := Earlier(first.Atoms, again(first.Cells, r), rules)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range r.Published().Cells[:len(cells)] {
			if c.Status == Suppressed {
				c.Low, c.High = 0, 0
			}
			if !reflect.DeepEqual(c, same.Cells[i]) {
				t.Fatalf("cell %d: %+v, it was %+v", i, same.Cells[i], c)
			}
		}
		// The same cells over the finer refinement.
		var finer [][]int
		for _, c := range cells {
			var of []int
			for _, a := range c {
				of = append(of, 2*a, 2*a+1)
			}
			finer = append(finer, of)
		}
		whole := tabulate(12, rows, finer, 3)
		anew, err := Earlier(whole.Atoms, again(whole.Cells, r), rules)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range anew.Cells {
			if c.Protection != same.Cells[i].Protection || c.Status != same.Cells[i].Status || c.Low != same.Cells[i].Low {
				t.Fatalf("cell %d: %+v, it was %+v", i, c, same.Cells[i])
			}
		}
		across, err := Margin(fine, []int{0, All, 0})
		if err != nil {
			t.Fatal(err)
		}
		second := tabulate(12, rows, across, 3)
		joint, err := Protect(context.Background(), second, rules, anew)
		if errors.Is(err, ErrExposed) {
			return // the two published margins may give a finer cell away
		}
		if err != nil {
			t.Fatal(err)
		}
		attackAs(t, second, 7, []Published{joint.Published(), anew})
		// Leaving the empty atoms out changes nothing.
		at, short := make([]int, 12), Table{}
		for i, a := range second.Atoms {
			at[i] = -1
			if a.Subjects > 0 {
				at[i] = len(short.Atoms)
				short.Atoms = append(short.Atoms, a)
			}
		}
		without := func(c Cell) Cell {
			var of []int
			for _, a := range c.Atoms {
				if at[a] >= 0 {
					of = append(of, at[a])
				}
			}
			c.Atoms = of
			return c
		}
		for _, c := range second.Cells {
			short.Cells = append(short.Cells, without(c))
		}
		kept := again(whole.Cells, r)
		for i := range kept {
			kept[i].Cell = without(kept[i].Cell)
		}
		shortEarlier, err := Earlier(short.Atoms, kept, rules)
		if err != nil {
			t.Fatal(err)
		}
		shorter, err := Protect(context.Background(), short, rules, shortEarlier)
		if err != nil {
			t.Fatal(err)
		}
		for i := range joint.Cells {
			a, b := joint.Cells[i], shorter.Cells[i]
			if a.Rule != b.Rule && (a.Rule != None && a.Rule != Complementary || b.Rule != None && b.Rule != Complementary) || a.Protection != b.Protection {
				t.Fatalf("cell %d is %+v without the empty atoms, and was %+v", i, b, a)
			}
		}
		attackAs(t, short, 7, []Published{shorter.Published(), shortEarlier})
	})
}

func TestEarlierRefusesOtherData(t *testing.T) {
	table := tabulate(2, append(crowd(0), crowd(1)...), [][]int{{0}, {1}}, 3)
	cells := again(table.Cells, mustProtect(t, table, plain))
	cells[1].Low, cells[1].High = 7, 7
	if _, err := Earlier(table.Atoms, cells, plain); !errors.Is(err, ErrTable) {
		t.Fatal(err)
	}
	few := tabulate(1, people(0, 1, 5, 7), [][]int{{0}}, 3)
	cells = []EarlierCell{{Cell: few.Cells[0], Status: Released, Low: 12, High: 12}}
	if _, err := Earlier(few.Atoms, cells, plain); !errors.Is(err, ErrTable) {
		t.Fatal("two subjects were not released under a cohort of three", err)
	}
}
