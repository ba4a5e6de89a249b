package disclosure

import (
	"errors"
	"fmt"
)

// Limits of one check. A larger one is refused with ErrTooLarge and its size.
const (
	MaxAtoms = 4096
	MaxCells = 4096
	// MaxMembers bounds the members of all cells together.
	MaxMembers = 1 << 18
	// MaxTop is how many contributions an atom or a cell lists.
	MaxTop = 16
	// MaxValue bounds the sum of all atoms. Below it every float64 that the search
	// for a witness handles is an exact integer.
	MaxValue = 1 << 45
	// maxWidth bounds a protection, and maxChange by how much a witness raises an
	// atom: the search goes to four times the protection. No sum over MaxAtoms of
	// them overflows.
	maxWidth  = 1 << 48
	maxChange = 1 << 50
	// MaxDictionary bounds the entries of a dictionary of the simplex method:
	// relations times unknowns.
	MaxDictionary = 1 << 24
	// MaxWork bounds the arithmetic of one call, in entries of dictionaries touched.
	MaxWork = 2e10
)

var (
	// ErrTooLarge refuses a check beyond a limit; the text says which and how large.
	ErrTooLarge = errors.New("disclosure: too large to be checked")
	// ErrTable refuses a table, rules or earlier publications that contradict themselves.
	ErrTable = errors.New("disclosure: the table contradicts itself")
	// ErrExposed refuses a table because even with all of its cells suppressed, what
	// was published before narrows a cell below its protection.
	ErrExposed = errors.New("disclosure: earlier publications alone narrow a cell below its protection")
	// ErrBroken is a fault of this package: what it proved, a second and simpler check
	// contradicts. Nothing is released.
	ErrBroken = errors.New("disclosure: internal fault: two checks of one table disagree")
)

// A Contribution is what one subject adds to an atom or a cell. Subject is any
// number that is the same wherever the subject is.
type Contribution struct {
	Subject uint64
	Value   int64
}

// An Atom is a cell of the finest partition that matters: the joint refinement
// of everything published over the resource, this table included. A published
// cell is a union of atoms.
type Atom struct {
	Value    int64 // the magnitude: a sum or a count, not negative
	Subjects int64 // distinct
	// Top is the largest contributions, largest first: MinTop or more, as far as
	// there are subjects. What stands here, its subject is taken to know.
	Top []Contribution
}

// A Cell is one that is to be published. Its magnitude is the sum of its atoms.
type Cell struct {
	Atoms    []int // indices into Table.Atoms, ascending
	Subjects int64 // distinct over the whole cell, which is not the sum of its atoms'
	// Top is the largest contributions to the cell by subject, a subject's
	// contributions to several atoms added up.
	Top []Contribution
	// Withheld suppresses the cell whatever the rules say, for instance because
	// another measure of the same cell is suppressed. It asks for no protection.
	Withheld bool
}

// A Table is what is to be published: any mix of inner cells, margins and
// totals, of one measure.
type Table struct {
	Atoms []Atom
	Cells []Cell
}

// A Dimension of a cube has codes 0 to Size−1 and, if it is a hierarchy, coarser
// levels: Levels[l−1][code] is the code's group at level l, numbered from 0.
// Level 0 is the codes themselves. ZIP → ZIP3 is one map.
type Dimension struct {
	Size   int
	Levels [][]int
}

// All is the level at which a dimension is summed over.
const All = -1

// Margin lists the cells of one margin of the cube over these dimensions, each
// as the atoms in it: the atoms are the cube's inner cells in row-major order
// (the last dimension fastest), the cells are in row-major order of the groups.
// levels has a level or All for each dimension.
func Margin(dimensions []Dimension, levels []int) ([][]int, error) {
	if len(levels) != len(dimensions) {
		return nil, fmt.Errorf("%w: %d levels for %d dimensions", ErrTable, len(levels), len(dimensions))
	}
	atoms, cells := 1, 1
	groups := make([]int, len(dimensions))
	for i, d := range dimensions {
		if d.Size < 1 || d.Size > MaxAtoms || atoms*d.Size > MaxAtoms {
			return nil, fmt.Errorf("%w: dimension %d of %d codes, where a cube has at most %d inner cells", ErrTooLarge, i, d.Size, MaxAtoms)
		}
		atoms *= d.Size
		n, err := d.groups(levels[i])
		if err != nil {
			return nil, fmt.Errorf("dimension %d: %w", i, err)
		}
		groups[i] = n
		cells *= n
	}
	out := make([][]int, cells)
	for a := range atoms {
		cell, rest, stride := 0, a, 1
		for i := len(dimensions) - 1; i >= 0; i-- {
			code := rest % dimensions[i].Size
			rest /= dimensions[i].Size
			cell += stride * dimensions[i].group(levels[i], code)
			stride *= groups[i]
		}
		out[cell] = append(out[cell], a)
	}
	return out, nil
}

func (d Dimension) group(level, code int) int {
	switch level {
	case All:
		return 0
	case 0:
		return code
	}
	return d.Levels[level-1][code]
}

// groups counts the groups at a level, which have to be 0 to n−1, none empty.
func (d Dimension) groups(level int) (int, error) {
	if level < All || level > len(d.Levels) {
		return 0, fmt.Errorf("%w: there is no level %d", ErrTable, level)
	}
	switch level {
	case All:
		return 1, nil
	case 0:
		return d.Size, nil
	}
	of := d.Levels[level-1]
	if len(of) != d.Size {
		return 0, fmt.Errorf("%w: level %d maps %d codes, there are %d", ErrTable, level, len(of), d.Size)
	}
	seen, n := make([]bool, d.Size), 0
	for _, g := range of {
		if g < 0 || g >= d.Size {
			return 0, fmt.Errorf("%w: level %d has a group %d for %d codes", ErrTable, level, g, d.Size)
		}
		if !seen[g] {
			seen[g] = true
			n++
		}
	}
	for g := range n {
		if !seen[g] {
			return 0, fmt.Errorf("%w: level %d has %d groups but no group %d", ErrTable, level, n, g)
		}
	}
	return n, nil
}

// check holds a table against itself and the limits, and gives its cells' values.
func (t *Table) check() ([]int64, error) {
	if len(t.Atoms) > MaxAtoms || len(t.Cells) > MaxCells {
		return nil, fmt.Errorf("%w: %d atoms of at most %d, %d cells of at most %d", ErrTooLarge, len(t.Atoms), MaxAtoms, len(t.Cells), MaxCells)
	}
	total := int64(0)
	for i, a := range t.Atoms {
		if err := consistent(a.Value, a.Subjects, a.Top); err != nil {
			return nil, fmt.Errorf("atom %d: %w", i, err)
		}
		if total += a.Value; total > MaxValue {
			return nil, fmt.Errorf("%w: the atoms sum to more than %d", ErrTooLarge, int64(MaxValue))
		}
	}
	values, members := make([]int64, len(t.Cells)), 0
	for i, c := range t.Cells {
		if members += len(c.Atoms); members > MaxMembers {
			return nil, fmt.Errorf("%w: the cells have more than %d atoms together", ErrTooLarge, MaxMembers)
		}
		v, most, all, err := t.union(c.Atoms)
		if err == nil {
			err = consistent(v, c.Subjects, c.Top)
		}
		if err == nil && (c.Subjects < most || c.Subjects > all) {
			err = fmt.Errorf("%w: %d subjects, where its atoms have from %d to %d", ErrTable, c.Subjects, most, all)
		}
		if err == nil {
			err = t.addUp(&c)
		}
		if err != nil {
			return nil, fmt.Errorf("cell %d: %w", i, err)
		}
		values[i] = v
	}
	return values, nil
}

// union sums atoms, and says how many subjects they have at least and at most.
func (t *Table) union(atoms []int) (value, most, all int64, err error) {
	last := -1
	for _, a := range atoms {
		if a <= last || a >= len(t.Atoms) {
			return 0, 0, 0, fmt.Errorf("%w: atom %d after %d, of %d", ErrTable, a, last, len(t.Atoms))
		}
		last = a
		value += t.Atoms[a].Value
		most = max(most, t.Atoms[a].Subjects)
		all += t.Atoms[a].Subjects
	}
	return value, most, all, nil
}

// addUp refuses a cell whose contributions are less than those to its atoms are: as
// where a subject has one number here and another there, or is not added up, so
// that the rules would be applied to a cell that looks safer than it is.
func (t *Table) addUp(c *Cell) error {
	at := map[uint64]int64{}
	for _, a := range c.Atoms {
		for _, top := range t.Atoms[a].Top {
			at[top.Subject] += top.Value
		}
	}
	most := int64(0) // what a subject that is not listed may have at most
	if n := len(c.Top); int64(n) < c.Subjects {
		most = c.Top[n-1].Value
	}
	for _, top := range c.Top {
		if at[top.Subject] > top.Value {
			return fmt.Errorf("%w: a contribution of %d, where the same subject's to its atoms sum to %d", ErrTable, top.Value, at[top.Subject])
		}
		delete(at, top.Subject)
	}
	for _, v := range at {
		if v > most || int64(len(c.Top)) == c.Subjects {
			return fmt.Errorf("%w: a subject of its atoms that is not among its largest contributes more than they do", ErrTable)
		}
	}
	return nil
}

// consistent refuses contributions that cannot be the largest of a cell.
func consistent(value, subjects int64, top []Contribution) error {
	switch {
	case value < 0 || value > MaxValue:
		return fmt.Errorf("%w: value %d, which is from 0 to %d", ErrTable, value, int64(MaxValue))
	case subjects < 0 || subjects > MaxValue:
		return fmt.Errorf("%w: %d subjects", ErrTable, subjects)
	case subjects == 0 && value != 0:
		return fmt.Errorf("%w: value %d of nobody", ErrTable, value)
	case len(top) > MaxTop || int64(len(top)) > subjects:
		return fmt.Errorf("%w: %d contributions of %d subjects, of which at most %d are listed", ErrTable, len(top), subjects, MaxTop)
	case int64(len(top)) < min(subjects, MinTop):
		return fmt.Errorf("%w: %d contributions of %d subjects, where the %d largest are needed", ErrTable, len(top), subjects, MinTop)
	}
	sum := int64(0)
	for i, c := range top {
		if c.Value < 0 || c.Value > value || i > 0 && c.Value > top[i-1].Value {
			return fmt.Errorf("%w: contribution %d of value %d is out of order or above the total", ErrTable, i, c.Value)
		}
		for _, d := range top[:i] {
			if d.Subject == c.Subject {
				return fmt.Errorf("%w: a subject contributes twice", ErrTable)
			}
		}
		sum += c.Value
	}
	rest := subjects - int64(len(top))
	if sum > value || rest == 0 && sum != value {
		return fmt.Errorf("%w: its contributions sum to %d, its value is %d", ErrTable, sum, value)
	}
	if n := len(top); rest > 0 && (value-sum+rest-1)/rest > top[n-1].Value {
		return fmt.Errorf("%w: what %d subjects more contribute is above the smallest listed", ErrTable, rest)
	}
	return nil
}
