package disclosure

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
)

// Status is all that is public of a cell besides its value.
type Status uint8

// The statuses. The zero value releases nothing.
const (
	Suppressed Status = iota
	Released
)

func (s Status) String() string {
	if s == Released {
		return "released"
	}
	return "suppressed"
}

// Published is what an earlier publication of the same measure over the same
// data told, as unions of the present table's atoms.
type Published struct {
	Cells []PublishedCell
}

// A PublishedCell is a cell of an earlier publication.
type PublishedCell struct {
	Atoms  []int
	Status Status
	// Low and High are the values that a released cell is publicly known to be
	// within: both the exact value, unless it was rounded.
	Low, High int64
	// Protection is what a suppressed cell was promised on either side; it is
	// promised still. Subjects are its distinct subjects.
	Protection, Subjects int64
}

// A Result says what may be published.
type Result struct {
	// Cells are in the order of Table.Cells.
	Cells []ResultCell
	// Report counts cells by rule. It is for the operator's eyes: the counts are not
	// protected by anything.
	Report  Report
	implied []PublishedCell // promises about what is not a cell
}

// A ResultCell is one cell's fate. Status and Value are public; the others are not.
type ResultCell struct {
	Status Status
	Value  int64 // rounded to Rules.Base; 0 if suppressed
	Rule   Rule  // why it is suppressed: the first rule it breaks
	// Protection is by how much, on either side, the cell's value may be off for
	// all that anyone can infer. 0 for released and complementary cells.
	Protection           int64
	published, low, high int64
	atoms                []int
	subjects             int64
}

// A Report counts the cells of a result.
type Report struct {
	Cells, Released                                     int
	Cohort, Dominance, Percent, Withheld, Complementary int
	// Witnesses is how many pairs of a cell's side and an attacker were proved.
	Witnesses int
	// Narrowest is the least width that interval propagation leaves of a cell with a
	// protection, in percent of its value (of 1, if that is 0), rounded down;
	// Unbounded if no such cell has an upper bound, or there is none.
	Narrowest int64
}

// Published is the result in the form that later calls take. Its atoms are those
// of the table it came from; a later and finer refinement has to say them anew.
// The cells of the table come first, in their order; promises about unions of
// atoms that are not cells follow, as suppressed.
func (r *Result) Published() Published {
	var p Published
	for _, c := range r.Cells {
		p.Cells = append(p.Cells, PublishedCell{Atoms: c.atoms, Status: c.Status, Low: c.low, High: c.high, Protection: c.Protection, Subjects: c.subjects})
	}
	p.Cells = append(p.Cells, r.implied...)
	return p
}

// Protect decides which cells of a table are released, so that with everything
// published before over the same data no suppressed cell can be inferred more
// closely than its protection. The package comment has the exact statement.
//
// The answer depends on the arguments alone. The errors are ErrTable,
// ErrTooLarge, ErrExposed, ErrBroken and those of ctx. A refusal depends on the data.
func Protect(ctx context.Context, table Table, rules Rules, earlier ...Published) (*Result, error) {
	p, err := protect(ctx, table, rules, earlier)
	if err != nil {
		return nil, err
	}
	return p.settle()
}

// protect decides and proves.
func protect(ctx context.Context, table Table, rules Rules, earlier []Published) (*protector, error) {
	if err := rules.check(); err != nil {
		return nil, err
	}
	values, err := table.check()
	if err != nil {
		return nil, err
	}
	p := &protector{table: table, earlier: earlier, work: &work{ctx: ctx, cells: len(table.Cells), atoms: len(table.Atoms), most: MaxWork}, result: &Result{Cells: make([]ResultCell, len(table.Cells))}}
	if err := p.judge(rules, values); err != nil {
		return nil, err
	}
	if err := p.remember(earlier); err != nil {
		return nil, err
	}
	p.meet()
	p.of = make([][]int, len(table.Atoms))
	for i, r := range p.relations {
		for _, a := range r.atoms {
			p.of[a] = append(p.of[a], i)
		}
	}
	if err := p.imply(rules, earlier); err != nil {
		return nil, err
	}
	// The widest protections first: what they suppress often serves the others.
	slices.SortStableFunc(p.targets, func(a, b target) int { return cmp.Compare(b.width, a.width) })
	for i := range p.targets {
		if err := p.prove(&p.targets[i]); err != nil {
			return nil, err
		}
	}
	p.relax()
	return p, nil
}

// settle counts the result and holds it to its promises once more.
func (p *protector) settle() (*Result, error) {
	p.count()
	if err := p.guard(); err != nil {
		return nil, err
	}
	return p.result, nil
}

// A protector is the state of one call of Protect.
type protector struct {
	table     Table
	earlier   []Published
	relations []relation // the table's cells first, one each, then earlier ones
	targets   []target
	attackers []attacker
	work      *work
	trial     bool // as if every cell of the table were suppressed, and no more can be
	result    *Result
	last      *witness // what seek found last
	system    *system  // of the present suppressions; nil after one more
	pool      []*witness
	of        [][]int // the relations of an atom
}

// A relation bounds the change of a union of atoms that nobody could notice.
type relation struct {
	atoms     []int
	low, high int64
	cell      int // of the table; −1 for an earlier one, which cannot be taken back
	cost      int64
}

// A target is a suppressed cell that has to stay uncertain by width.
type target struct {
	atoms        []int
	value, width int64
	subjects     int64
}

// An attacker is a subject with what it knows: its own contributions.
type attacker struct {
	subject uint64
	own     []contribution
}

// descending orders contributions, the largest first.
func descending(a, b Contribution) int {
	return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Subject, b.Subject))
}

type contribution struct {
	atom  int
	value int64
}

// weight is what suppressing a cell costs: a heuristic that prefers small cells
// to large ones and inner cells to margins.
func weight(value int64, atoms int) int64 {
	return int64((1 + bits.Len64(uint64(value))) * (1 + bits.Len(uint(atoms))))
}

func (p *protector) suppress(cell int, rule Rule) {
	c := &p.result.Cells[cell]
	c.Status, c.Value, c.Rule = Suppressed, 0, rule
	p.system = nil
}

func (p *protector) aim(atoms []int, value, width, subjects int64) {
	if width > 0 {
		p.targets = append(p.targets, target{atoms: atoms, value: value, width: width, subjects: subjects})
	}
}

// judge applies the rules to the table's cells and makes their relations.
func (p *protector) judge(rules Rules, values []int64) error {
	for i, c := range p.table.Cells {
		rule, protection, err := rules.sensitive(&c, values[i])
		if err != nil {
			return fmt.Errorf("cell %d: %w", i, err)
		}
		if rule == None && c.Withheld {
			rule = Withheld
		}
		published, low, high := rules.round(values[i])
		p.result.Cells[i] = ResultCell{Status: Released, Value: published, published: published, Rule: rule, Protection: protection, low: low, high: high, atoms: c.Atoms, subjects: c.Subjects}
		p.relations = append(p.relations, relation{atoms: c.Atoms, low: low - values[i], high: high - values[i], cell: i, cost: weight(values[i], len(c.Atoms))})
		if rule != None {
			p.suppress(i, rule)
			p.aim(c.Atoms, values[i], protection, c.Subjects)
		}
	}
	return nil
}

// remember takes in what was published before: its relations and its promises.
func (p *protector) remember(earlier []Published) error {
	cells, members := 0, 0
	for i, e := range earlier {
		for j, c := range e.Cells {
			if cells, members = cells+1, members+len(c.Atoms); cells > MaxCells || members > MaxMembers {
				return fmt.Errorf("%w: earlier publications have more than %d cells, or %d atoms in them", ErrTooLarge, MaxCells, MaxMembers)
			}
			value, _, _, err := p.table.union(c.Atoms)
			switch {
			case err != nil:
			case c.Status != Released && (c.Protection < 0 || c.Protection > maxWidth):
				err = fmt.Errorf("%w: a protection of %d", ErrTable, c.Protection)
			case c.Status == Released && (value < c.Low || value > c.High || c.Low < 0 || c.High > 1<<50):
				err = fmt.Errorf("%w: it was released as something from %d to %d, which it is not", ErrTable, c.Low, c.High)
			}
			if err != nil {
				return fmt.Errorf("cell %d of earlier publication %d: %w", j, i, err)
			}
			if c.Status == Released {
				p.relations = append(p.relations, relation{atoms: c.Atoms, low: c.Low - value, high: c.High - value, cell: -1})
			} else {
				p.aim(c.Atoms, value, c.Protection, c.Subjects)
			}
		}
	}
	return nil
}

// meet lists the attackers: the subjects whose contributions are listed.
func (p *protector) meet() {
	at := map[uint64]int{}
	for i, a := range p.table.Atoms {
		for _, c := range a.Top {
			if c.Value == 0 {
				continue
			}
			k, ok := at[c.Subject]
			if !ok {
				k = len(p.attackers)
				at[c.Subject] = k
				p.attackers = append(p.attackers, attacker{subject: c.Subject})
			}
			p.attackers[k].own = append(p.attackers[k].own, contribution{i, c.Value})
		}
	}
}

// relax releases again what no proof rests on, the costliest first.
func (p *protector) relax() {
	var order []relation
	for i, c := range p.result.Cells {
		if c.Rule == Complementary {
			order = append(order, p.relations[i])
		}
	}
	slices.SortStableFunc(order, func(a, b relation) int { return cmp.Compare(b.cost, a.cost) })
	for _, r := range order {
		if !slices.ContainsFunc(p.pool, func(w *witness) bool { return w.used && !w.keeps(&r) }) {
			c := &p.result.Cells[r.cell]
			c.Status, c.Rule, c.Value = Released, None, c.published
		}
	}
}

func (p *protector) count() {
	r := &p.result.Report
	*r = Report{Cells: len(p.result.Cells), Witnesses: r.Witnesses}
	for _, c := range p.result.Cells {
		switch c.Rule {
		case None:
			r.Released++
		case Cohort:
			r.Cohort++
		case Dominance:
			r.Dominance++
		case Percent:
			r.Percent++
		case Withheld:
			r.Withheld++
		case Complementary:
			r.Complementary++
		}
	}
}
