package columnar

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Shares are what each subject's rows add up to, by a map, and are numbered by the
// subjects' order whatever that of the rows was; a margin's shares have the same numbers.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t)
		rows := drawRows(t, 40)
		subject := rapid.SampledFrom([]string{"id", "name"}).Draw(t, "subject")
		at := slices.Index(names, subject)
		s := &Spec{Subject: subject, Largest: 1,
			Dimensions: []Dimension{{Column: "sector", Codes: []Value{Text("a"), Text("b")}, Null: Drop, Other: Keep}},
			Measures:   []Measure{{Column: "income", Want: Sum}}}
		c, err := Run(context.Background(), s, l.source(rows), rapid.IntRange(1, 3).Draw(t, "workers"))
		if err != nil {
			t.Fatal(err)
		}
		type sum struct {
			rows  int64
			value string
		}
		all := map[any]int{}
		want := make([]map[int]sum, c.Cells()+1) // the last is the total
		for i := range want {
			want[i] = map[int]sum{}
		}
		for _, r := range rows {
			if r[at] != nil && r[0] != nil {
				all[r[at]] = 0
			}
		}
		order := slices.SortedFunc(maps.Keys(all), naiveCompare)
		for i, who := range order {
			all[who] = i
		}
		totals := map[[2]int]*Int128{}
		for _, r := range rows {
			if r[at] == nil || r[0] == nil {
				continue
			}
			cell, who := 2, all[r[at]]
			if i := slices.Index([]any{"a", "b"}, r[0]); i >= 0 {
				cell = i
			}
			for _, c := range []int{cell, 3} {
				k := [2]int{c, who}
				if totals[k] == nil {
					totals[k] = &Int128{}
				}
				if r[3] != nil {
					totals[k].add(r[3].(int64))
				}
				want[c][who] = sum{want[c][who].rows + 1, totals[k].Big().String()}
			}
		}
		margin := c.Rollup()
		for cell := range want {
			shares := []Share(nil)
			if cell == c.Cells() {
				shares = margin.Shares(0)
			} else {
				shares = c.Shares(cell)
			}
			got := map[int]sum{}
			for i, s := range shares {
				if i > 0 && s.Subject <= shares[i-1].Subject {
					t.Fatalf("subject %d after %d", s.Subject, shares[i-1].Subject)
				}
				got[int(s.Subject)] = sum{s.Rows, s.Sums[0].Big().String()}
			}
			if fmt.Sprint(got) != fmt.Sprint(want[cell]) {
				t.Fatalf("cell %d: %v, not %v", cell, got, want[cell])
			}
		}
	})
}
