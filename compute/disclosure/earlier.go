package disclosure

import "fmt"

// An EarlierCell is a cell of an earlier publication, said anew over the present
// table's atoms.
type EarlierCell struct {
	Cell   // Withheld does not matter here
	Status Status
	// Low and High are the values that a released cell is publicly known to be
	// within; both the exact value, unless it was rounded.
	Low, High int64
}

// Earlier makes anew what an earlier publication told and promised, for callers
// who kept only the cells' statuses but still have the data: the atoms are those
// of the present Table, whose refinement may be finer than it was then, and the
// rules are those of the earlier publication. A suppressed cell that breaks a rule
// is promised the protection it was promised then; a complementary one is promised
// none.
//
// Promises of Result.Published about unions of atoms that are not cells are not
// made anew: Protect finds the sensitive atoms and differences, those between two
// earlier publications too, by itself and by its own rules.
//
// Atoms that nobody is in may be left out of Table.Atoms, here and in Protect, and
// then out of all cells: that an atom is empty is taken to be known either way. A
// cell of no atoms is an empty one.
//
// ErrTable refuses cells that contradict the atoms: other data than it was then.
func Earlier(atoms []Atom, cells []EarlierCell, rules Rules) (Published, error) {
	if err := rules.check(); err != nil {
		return Published{}, err
	}
	table := Table{Atoms: atoms, Cells: make([]Cell, len(cells))}
	for i, c := range cells {
		table.Cells[i] = c.Cell
	}
	values, err := table.check()
	if err != nil {
		return Published{}, fmt.Errorf("an earlier publication: %w", err)
	}
	p := Published{Cells: make([]PublishedCell, len(cells))}
	for i, c := range cells {
		out := PublishedCell{Atoms: c.Atoms, Status: c.Status, Subjects: c.Subjects}
		rule, protection, err := rules.sensitive(&c.Cell, values[i])
		switch {
		case err != nil:
		case c.Status != Released:
			out.Protection = protection
		case values[i] < c.Low || values[i] > c.High:
			err = fmt.Errorf("%w: it was released as something from %d to %d, which it is not", ErrTable, c.Low, c.High)
		case rule != None:
			err = fmt.Errorf("%w: it was released and breaks the rules it was published under", ErrTable)
		default:
			out.Low, out.High = c.Low, c.High
		}
		if err != nil {
			return Published{}, fmt.Errorf("cell %d of an earlier publication: %w", i, err)
		}
		p.Cells[i] = out
	}
	return p, nil
}
