package disclosure

import (
	"slices"
)

// A micro is one row of the data behind a table: what a subject adds to an atom.
type micro struct {
	subject uint64
	atom    int
	value   int64
}

// tabulate makes the table of the data with these cells, listing k contributions.
func tabulate(atoms int, rows []micro, cells [][]int, k int) Table {
	sum := make([]map[uint64]int64, atoms)
	for i := range sum {
		sum[i] = map[uint64]int64{}
	}
	for _, r := range rows {
		sum[r.atom][r.subject] += r.value
	}
	var t Table
	for i := range sum {
		t.Atoms = append(t.Atoms, Atom{Value: total(sum[i]), Subjects: int64(len(sum[i])), Top: largest(sum[i], k)})
	}
	for _, c := range cells {
		all := map[uint64]int64{}
		for _, a := range c {
			for s, v := range sum[a] {
				all[s] += v
			}
		}
		t.Cells = append(t.Cells, Cell{Atoms: c, Subjects: int64(len(all)), Top: largest(all, k)})
	}
	return t
}

func total(by map[uint64]int64) int64 {
	sum := int64(0)
	for _, v := range by {
		sum += v
	}
	return sum
}

func largest(by map[uint64]int64, k int) []Contribution {
	var top []Contribution
	for s, v := range by {
		top = append(top, Contribution{s, v})
	}
	slices.SortFunc(top, descending)
	return top[:min(k, len(top))]
}

// margins lists the cells of all margins of a cube at these levels or summed over.
func margins(t tester, dimensions []Dimension) [][]int {
	t.Helper()
	var cells [][]int
	levels := make([]int, len(dimensions))
	var walk func(i int)
	walk = func(i int) {
		if i == len(dimensions) {
			m, err := Margin(dimensions, levels)
			if err != nil {
				t.Fatal(err)
			}
			cells = append(cells, m...)
			return
		}
		for l := All; l <= len(dimensions[i].Levels); l++ {
			levels[i] = l
			walk(i + 1)
		}
	}
	walk(0)
	return cells
}

// people gives n subjects of an atom these contributions, numbered from first.
func people(atom int, first uint64, values ...int64) []micro {
	var rows []micro
	for i, v := range values {
		rows = append(rows, micro{first + uint64(i), atom, v})
	}
	return rows
}

// A tester is a testing.TB or a *rapid.T.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}
