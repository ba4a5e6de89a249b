package disclosure

import (
	"context"
	"os"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

var plain = Rules{MinSubjects: 3, N: 2, K: 85, P: 15}

func mustProtect(t tester, table Table, rules Rules, earlier ...Published) *Result {
	t.Helper()
	r, err := Protect(context.Background(), table, rules, earlier...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestComplementary(t *testing.T) {
	// A 3 × 3 table with its margins in which one cell is sensitive: three more go,
	// the corners of a rectangle.
	d := []Dimension{{Size: 3}, {Size: 3}}
	var rows []micro
	for a := range 9 {
		if a == 4 {
			rows = append(rows, people(a, 100, 5, 7)...)
			continue
		}
		rows = append(rows, people(a, uint64(10+10*a), 20, 21, 22, 23, 24)...)
	}
	table := tabulate(9, rows, margins(t, d), 3)
	r := mustProtect(t, table, plain)
	if got := r.Report; got.Cohort != 1 || got.Complementary != 3 || got.Released != got.Cells-4 {
		t.Fatalf("%+v", got)
	}
	attack(t, table, r)
}

// random draws data for a cube: skewed contributions, empty atoms, zeros, subjects
// in several atoms.
func random(t *rapid.T, atoms int) []micro {
	var rows []micro
	value := rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(1, 60), rapid.Int64Range(1, 60), rapid.Int64Range(200, 2000))
	for a := range atoms {
		n := rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(3, 9), rapid.IntRange(3, 9)).Draw(t, "subjects")
		for i := range n {
			subject := uint64(1000 + 20*a + i)
			if rapid.IntRange(0, 5).Draw(t, "shared") == 0 {
				subject = uint64(1 + i)
			}
			rows = append(rows, micro{subject, a, value.Draw(t, "value")})
		}
	}
	return rows
}

func shape(t *rapid.T, cells int) []Dimension {
	for {
		n := rapid.IntRange(1, 3).Draw(t, "dimensions")
		d := make([]Dimension, n)
		size := 1
		for i := range d {
			d[i].Size = rapid.IntRange(2, 6).Draw(t, "size")
			size *= d[i].Size + 1
		}
		if size > cells {
			continue
		}
		if size*2 <= cells && d[0].Size > 3 {
			of := make([]int, d[0].Size)
			for c := range of {
				of[c] = c / 2
			}
			d[0].Levels = [][]int{of}
		}
		return d
	}
}

func TestAttackByLinearProgram(t *testing.T) {
	solved, gaveUp := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := shape(t, 30)
		atoms := 1
		for _, x := range d {
			atoms *= x.Size
		}
		rules := plain
		rules.Base = rapid.SampledFrom([]int64{0, 0, 5, 10}).Draw(t, "base")
		table := tabulate(atoms, random(t, atoms), margins(t, d), rapid.IntRange(2, 4).Draw(t, "k"))
		r, err := Protect(context.Background(), table, rules)
		if err != nil {
			t.Fatal(err)
		}
		s, g := attackAs(t, table, rapid.IntRange(3, 9).Draw(t, "nth"), []Published{r.Published()})
		solved, gaveUp = solved+s, gaveUp+g
	})
	t.Logf("%d programs solved, the solver gave up on %d", solved, gaveUp)
	if gaveUp*50 > solved {
		t.Fatal("too many programs were not solved")
	}
}

// caught is a tester that records a failure and stops.
type caught struct{ failed bool }

func (*caught) Helper()                 {}
func (c *caught) Fatal(...any)          { c.failed = true; panic(c) }
func (c *caught) Fatalf(string, ...any) { c.failed = true; panic(c) }
func (c *caught) run(f func(t tester)) {
	defer func() { _ = recover() }()
	f(c)
}

// The attacker can win: where a complementary suppression is taken back, it says so.
func TestAttackerBites(t *testing.T) {
	d := []Dimension{{Size: 3}, {Size: 3}}
	var rows []micro
	for a := range 9 {
		if a%4 == 0 {
			rows = append(rows, people(a, uint64(100+2*a), 5, 7)...)
		} else {
			rows = append(rows, people(a, uint64(200+10*a), 20, 21, 22, 23, 24)...)
		}
	}
	table := tabulate(9, rows, margins(t, d), 3)
	r := mustProtect(t, table, plain)
	attack(t, table, r)
	for i, c := range r.Cells {
		if c.Rule != Complementary {
			continue
		}
		p := r.Published()
		value, _, _, _ := table.union(c.atoms)
		p.Cells[i].Status, p.Cells[i].Low, p.Cells[i].High = Released, value, value
		found := &caught{}
		found.run(func(t tester) { attackAs(t, table, 1, []Published{p}) })
		if !found.failed {
			t.Errorf("cell %d is released after all, and the attacker finds nothing", i)
		}
	}
}

func TestDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := shape(t, 60)
		atoms := 1
		for _, x := range d {
			atoms *= x.Size
		}
		table := tabulate(atoms, random(t, atoms), margins(t, d), 3)
		a, errA := Protect(context.Background(), table, plain)
		b, errB := Protect(context.Background(), table, plain)
		if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
			t.Fatal("two answers to one question", errA, errB)
		}
		released := 0
		for i, c := range a.Cells {
			value, _, _, _ := table.union(table.Cells[i].Atoms)
			switch {
			case (c.Status == Released) != (c.Rule == None):
				t.Fatalf("cell %d: %+v", i, c)
			case c.Status == Released:
				released++
				if c.Value != value {
					t.Fatalf("cell %d is released as %d, it is %d", i, c.Value, value)
				}
			case c.Value != 0:
				t.Fatalf("cell %d is suppressed and has a value", i)
			}
		}
		if r := a.Report; r.Released != released || r.Cells != r.Released+r.Cohort+r.Dominance+r.Percent+r.Withheld+r.Complementary {
			t.Fatalf("%+v", r)
		}
		// What propagation tells contains the truth and the promise.
		intervals, err := Intervals(context.Background(), atoms, a.Published())
		if err != nil {
			t.Fatal(err)
		}
		for i, in := range intervals[0][:len(a.Cells)] {
			value, _, _, _ := table.union(table.Cells[i].Atoms)
			if p := a.Cells[i].Protection; in.Low > max(0, value-p) || in.High < value+p {
				t.Fatalf("cell %d of value %d and protection %d is within %v", i, value, p, in)
			}
		}
	})
}

// ordinary draws data of which about one inner cell in eight is sensitive.
func ordinary(t *rapid.T, atoms int) []micro {
	var rows []micro
	for a := range atoms {
		n, most := rapid.IntRange(5, 9).Draw(t, "subjects"), int64(60)
		switch rapid.IntRange(0, 15).Draw(t, "kind") {
		case 0:
			n = rapid.IntRange(0, 2).Draw(t, "few")
		case 1:
			most = 3000
		}
		for i := range n {
			rows = append(rows, micro{uint64(1000 + 20*a + i), a, rapid.Int64Range(20, most).Draw(t, "value")})
		}
	}
	return rows
}

// Tables of about 200 cells, where the attacker is the outsider and every tenth subject.
func TestAttackOn200Cells(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	for seed := range 1 {
		for _, d := range [][]Dimension{{{Size: 13}, {Size: 13}}, {{Size: 5}, {Size: 5}, {Size: 4}}, {{Size: 9, Levels: [][]int{{0, 0, 0, 1, 1, 1, 2, 2, 2}}}, {Size: 14}}} {
			atoms := 1
			for _, x := range d {
				atoms *= x.Size
			}
			rows := rapid.Custom(func(t *rapid.T) []micro { return ordinary(t, atoms) }).Example(seed)
			table := tabulate(atoms, rows, margins(t, d), 3)
			r := mustProtect(t, table, plain)
			solved, gaveUp := attackAs(t, table, 1+atoms, []Published{r.Published()})
			t.Logf("%d cells, %+v: %d programs solved, gave up on %d", len(table.Cells), r.Report, solved, gaveUp)
		}
	}
}

// A thousand cells in three dimensions are answered, by cruder suppression once the
// linear program for it has had its share of the work.
func TestThreeDimensions(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	rows := rapid.Custom(func(t *rapid.T) []micro { return ordinary(t, 1000) }).Example(1)
	table := tabulate(1000, rows, margins(t, []Dimension{{Size: 10}, {Size: 10}, {Size: 10}}), 3)
	r := mustProtect(t, table, plain)
	t.Logf("%+v", r.Report)
	if r.Report.Released*2 < r.Report.Cells {
		t.Fatal("most is suppressed")
	}
}

func BenchmarkProtect(b *testing.B) {
	for _, d := range [][]Dimension{{{Size: 13}, {Size: 13}}, {{Size: 30}, {Size: 30}}, {{Size: 6}, {Size: 6}, {Size: 6}}} {
		atoms := 1
		for _, x := range d {
			atoms *= x.Size
		}
		rows := rapid.Custom(func(t *rapid.T) []micro { return ordinary(t, atoms) }).Example(1)
		table := tabulate(atoms, rows, margins(b, d), 3)
		b.Run("", func(b *testing.B) {
			var r *Result
			for b.Loop() {
				r = mustProtect(b, table, plain)
			}
			b.Logf("%+v", r.Report)
		})
	}
}
