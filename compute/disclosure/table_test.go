package disclosure

import (
	"context"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
)

func TestMargin(t *testing.T) {
	d := []Dimension{{Size: 4, Levels: [][]int{{0, 1, 0, 1}}}, {Size: 2}}
	for _, c := range []struct {
		levels []int
		want   [][]int
	}{
		{[]int{All, All}, [][]int{{0, 1, 2, 3, 4, 5, 6, 7}}},
		{[]int{1, All}, [][]int{{0, 1, 4, 5}, {2, 3, 6, 7}}},
		{[]int{1, 0}, [][]int{{0, 4}, {1, 5}, {2, 6}, {3, 7}}},
		{[]int{All, 0}, [][]int{{0, 2, 4, 6}, {1, 3, 5, 7}}},
	} {
		got, err := Margin(d, c.levels)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("levels %v: %v, %v; want %v", c.levels, got, err, c.want)
		}
	}
	for _, levels := range [][]int{{0}, {2, 0}, {-2, 0}, {0, 1}} {
		if _, err := Margin(d, levels); !errors.Is(err, ErrTable) {
			t.Errorf("levels %v: %v", levels, err)
		}
	}
	if _, err := Margin([]Dimension{{Size: 70}, {Size: 70}}, []int{0, 0}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	for _, level := range [][]int{{0}, {0, 2}, {-1, 0}, {1, 1}} {
		if _, err := Margin([]Dimension{{Size: 2, Levels: [][]int{level}}}, []int{1}); !errors.Is(err, ErrTable) {
			t.Errorf("level %v: %v", level, err)
		}
	}
}

// The levels of protection, from the rules' own inequalities: the least total at
// which the rule would not be broken.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		name       string
		rules      Rules
		subjects   int64
		value      int64
		top        []int64
		rule       Rule
		protection int64
	}{
		{"nobody", plain, 0, 0, nil, None, 0},
		{"enough", plain, 3, 90, []int64{30, 30, 30}, None, 0},
		{"cohort, 30% rounded up", Rules{MinSubjects: 3}, 2, 11, []int64{6, 5}, Cohort, 4},
		{"cohort, at least 1", Rules{MinSubjects: 3}, 2, 0, []int64{0, 0}, Cohort, 1},
		{"p%: 10 remain, 15% of 100 asked", Rules{MinSubjects: 2, P: 15}, 4, 160, []int64{100, 50, 6, 4}, Percent, 5},
		{"p%: just enough remains", Rules{MinSubjects: 2, P: 15}, 3, 165, []int64{100, 50, 15}, None, 0},
		{"dominance: 90 of 100 is 85% of 105.9", Rules{MinSubjects: 2, N: 2, K: 85}, 3, 100, []int64{50, 40, 10}, Dominance, 6},
		{"dominance: just not", Rules{MinSubjects: 2, N: 2, K: 85}, 3, 100, []int64{45, 40, 15}, None, 0},
		{"the widest of all counts", Rules{MinSubjects: 3, P: 100}, 1, 50, []int64{50}, Cohort, 50},
	} {
		cell := Cell{Subjects: c.subjects}
		for i, v := range c.top {
			cell.Top = append(cell.Top, Contribution{uint64(i), v})
		}
		rule, protection, err := c.rules.sensitive(&cell, c.value)
		if err != nil || rule != c.rule || protection != c.protection {
			t.Errorf("%s: %d, %d, %v; want %d, %d", c.name, rule, protection, err, c.rule, c.protection)
		}
	}
}

func TestRounding(t *testing.T) {
	for base := int64(2); base < 12; base++ {
		r := Rules{Base: base}
		for v := range int64(100) {
			published, low, high := r.round(v)
			for w := range int64(120) {
				same, _, _ := r.round(w)
				if (same == published) != (low <= w && w <= high) {
					t.Fatalf("base %d: %d is published as %d, within %d and %d; %d as %d", base, v, published, low, high, w, same)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	one := Atom{Value: 5, Subjects: 1, Top: []Contribution{{1, 5}}}
	cell := Cell{Atoms: []int{0}, Subjects: 1, Top: one.Top}
	for name, c := range map[string]struct {
		table   Table
		rules   Rules
		earlier []Published
		want    error
	}{
		"no cohort":            {Table{}, Rules{}, nil, ErrTable},
		"half a dominance":     {Table{}, Rules{MinSubjects: 2, N: 1}, nil, ErrTable},
		"negative":             {Table{Atoms: []Atom{{Value: -1, Subjects: 1}}}, plain, nil, ErrTable},
		"value of nobody":      {Table{Atoms: []Atom{{Value: 1}}}, plain, nil, ErrTable},
		"unlisted":             {Table{Atoms: []Atom{{Value: 1, Subjects: 1}}}, plain, nil, ErrTable},
		"contribution lost":    {Table{Atoms: []Atom{{Value: 6, Subjects: 1, Top: one.Top}}}, plain, nil, ErrTable},
		"no such atom":         {Table{Atoms: []Atom{one}, Cells: []Cell{{Atoms: []int{1}, Subjects: 1, Top: one.Top}}}, plain, nil, ErrTable},
		"atom twice":           {Table{Atoms: []Atom{one}, Cells: []Cell{{Atoms: []int{0, 0}, Subjects: 1, Top: one.Top}}}, plain, nil, ErrTable},
		"subjects lost":        {Table{Atoms: []Atom{one}, Cells: []Cell{{Atoms: []int{0}}}}, plain, nil, ErrTable},
		"too many atoms":       {Table{Atoms: make([]Atom, MaxAtoms+1)}, plain, nil, ErrTooLarge},
		"too many cells":       {Table{Cells: make([]Cell, MaxCells+1)}, plain, nil, ErrTooLarge},
		"too much":             {Table{Atoms: []Atom{{Value: MaxValue, Subjects: 1, Top: []Contribution{{1, MaxValue}}}, one}}, plain, nil, ErrTooLarge},
		"not added up":         {Table{Atoms: []Atom{one, one}, Cells: []Cell{{Atoms: []int{0, 1}, Subjects: 2, Top: []Contribution{{1, 5}, {2, 5}}}}}, plain, nil, ErrTable},
		"other subjects":       {Table{Atoms: []Atom{one}, Cells: []Cell{{Atoms: []int{0}, Subjects: 1, Top: []Contribution{{2, 5}}}}}, plain, nil, ErrTable},
		"protected too widely": {Table{Atoms: []Atom{{Value: MaxValue, Subjects: 1, Top: []Contribution{{1, MaxValue}}}}, Cells: []Cell{{Atoms: []int{0}, Subjects: 1, Top: []Contribution{{1, MaxValue}}}}}, Rules{MinSubjects: 2, N: 1, K: 1}, nil, ErrTooLarge},
		"more than is listed":  {Table{Atoms: []Atom{{Value: 9, Subjects: 4, Top: []Contribution{{1, 2}, {2, 2}}}}}, plain, nil, ErrTable},
		"other data before":    {Table{Atoms: []Atom{one}, Cells: []Cell{cell}}, plain, []Published{{Cells: []PublishedCell{{Atoms: []int{0}, Status: Released, Low: 4, High: 4}}}}, ErrTable},
		"released as it is":    {Table{Atoms: []Atom{one}, Cells: []Cell{cell}}, plain, []Published{{Cells: []PublishedCell{{Atoms: []int{0}, Status: Released, Low: 5, High: 5}}}}, ErrExposed},
		"too many cells past":  {Table{Atoms: []Atom{one}}, plain, []Published{{Cells: make([]PublishedCell, MaxCells+1)}}, ErrTooLarge},
	} {
		if r, err := Protect(context.Background(), c.table, c.rules, c.earlier...); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v; want %v", name, r, err, c.want)
		}
	}
	tired := &work{ctx: context.Background(), most: 10}
	if err := tired.spend(10); err != nil {
		t.Error(err)
	}
	if err := tired.spend(1); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	two := Table{Atoms: []Atom{one, one}, Cells: []Cell{cell, {Atoms: []int{0, 1}, Subjects: 1, Top: []Contribution{{1, 10}}}}}
	if _, err := Protect(ctx, two, plain); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A cell that another measure withholds stays suppressed, and counts as such.
func TestWithheld(t *testing.T) {
	table := tabulate(2, append(crowd(0), crowd(1)...), [][]int{{0}, {1}, {0, 1}}, 3)
	table.Cells[1].Withheld = true
	r := mustProtect(t, table, plain)
	if s := status(r); s[0] != Released || s[1] != Suppressed || r.Report.Withheld != 1 || r.Report.Released != 2 {
		t.Fatalf("%v %+v", s, r.Report)
	}
}

func TestIntervals(t *testing.T) {
	p := Published{Cells: []PublishedCell{
		{Atoms: []int{0, 1, 2}, Status: Released, Low: 10, High: 10},
		{Atoms: []int{2}, Status: Released, Low: 3, High: 4},
		{Atoms: []int{0}}, {Atoms: []int{0, 1}}, {Atoms: []int{3}},
	}}
	got, err := Intervals(context.Background(), 4, p)
	want := []Interval{{10, 10}, {3, 4}, {0, 7}, {0, 14}, {0, Unbounded}}
	if err != nil || !reflect.DeepEqual(got[0], want) {
		t.Fatal(got, err)
	}
	p.Cells[1].Low, p.Cells[1].High = 11, 11
	if _, err := Intervals(context.Background(), 4, p); !errors.Is(err, ErrTable) {
		t.Fatal(err)
	}
}

// Whatever it is given, Protect ends, and what it says holds.
func FuzzProtect(f *testing.F) {
	f.Add([]byte{3, 3, 0, 1, 5, 0, 1, 0, 7, 0, 4, 2, 40, 0, 8, 3, 60, 0}, uint8(3), uint8(0))
	f.Add([]byte{2, 2, 1, 9, 9, 9, 0, 0, 0, 1, 1, 1}, uint8(2), uint8(5))
	f.Fuzz(func(t *testing.T, data []byte, cohort, base uint8) {
		if len(data) < 2 || len(data) > 200 {
			return
		}
		d := []Dimension{{Size: 1 + int(data[0]%4)}, {Size: 1 + int(data[1]%4)}}
		atoms := d[0].Size * d[1].Size
		var rows []micro
		for rest := data[2:]; len(rest) >= 4; rest = rest[4:] {
			rows = append(rows, micro{1 + uint64(rest[0]), int(rest[1]) % atoms, int64(binary.LittleEndian.Uint16(rest[2:]))})
		}
		table := tabulate(atoms, rows, margins(t, d), 3)
		r, err := Protect(context.Background(), table, Rules{MinSubjects: int64(cohort), P: int64(base) % 101, Base: int64(base)})
		if err != nil {
			if cohort < 2 && errors.Is(err, ErrTable) {
				return
			}
			t.Fatal(err)
		}
		attackAs(t, table, 5, []Published{r.Published()})
	})
}
