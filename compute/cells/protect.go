package cells

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/disclosure"
)

// An aspect is a magnitude that publications tell of: rows, sums of a field, or sums of
// its squares. Each is protected in a table of its own, where magnitudes add up.
type aspect struct {
	kind  kind // rowCount, sums or squares
	field *field
}

// told says which of a publication's measures tell of the aspect.
func (a aspect) told(m *PlanMeasure) bool {
	switch a.kind {
	case sums:
		return m.tellsSum() && m.Column == a.field.column
	case squares:
		return m.Is == IsVariance && m.Column == a.field.column
	}
	return m.tellsRows() || m.tellsValues()
}

// aspects are those that the plan tells of.
func (d *raw) aspects() []aspect {
	var out []aspect
	if slices.ContainsFunc(d.plan.Measures, func(m PlanMeasure) bool { return aspect{}.told(&m) }) {
		out = append(out, aspect{kind: rowCount})
	}
	for i, f := range d.fields {
		if f.summed(d.plan, d.fieldOf, i) {
			out = append(out, aspect{sums, f})
		}
		if f.squares {
			out = append(out, aspect{squares, f})
		}
	}
	return out
}

// A condition picks rows of a cell that something is told of.
type condition struct {
	axis    int // −1: all rows
	code    []bool
	measure int // the measure that tells the number; −1 where it follows from others
}

// protect decides what is suppressed, and for which rule.
func (d *raw) protect(ctx context.Context, source columnar.Source, before []*view, workers int) ([][]disclosure.Rule, error) {
	present := &view{form: d.form, plan: d.plan}
	rule := make([][]disclosure.Rule, len(d.groups))
	for g, n := range d.cells {
		rule[g] = make([]disclosure.Rule, n)
	}
	var checks []*check
	for _, a := range d.aspects() {
		c, err := a.check(ctx, source, append([]*view{present}, before...), workers)
		if err != nil {
			return nil, err
		}
		checks = append(checks, c)
		// What is sensitive in one aspect is withheld in all, from the start.
		sensitive, err := disclosure.Sensitive(c.table, *d.plan.Disclosure)
		if err != nil {
			return nil, err
		}
		for i, s := range sensitive {
			if s {
				rule[c.claims[i].group][c.claims[i].cell] = disclosure.Withheld
			}
		}
	}
	d.report.Narrowest = disclosure.Unbounded
	// What is suppressed after a table was proved leaves its proofs as they are: see
	// disclosure.ProtectAll. So once for each is enough.
	for _, c := range checks {
		for i, claim := range c.claims {
			c.table.Cells[i].Withheld = rule[claim.group][claim.cell] != disclosure.None
		}
		result, err := disclosure.Protect(ctx, c.table, *d.plan.Disclosure, c.earlier...)
		if err != nil {
			return nil, fmt.Errorf("protecting the %s in %d cells and what was published before, %d atoms in all: %w", c.aspect, len(c.table.Cells), len(c.table.Atoms), advised(err))
		}
		for i, cell := range result.Cells {
			at := &rule[c.claims[i].group][c.claims[i].cell]
			if cell.Rule != disclosure.None && (*at == disclosure.None || cell.Rule < *at) {
				*at = cell.Rule
			}
		}
		d.report.Narrowest = min(d.report.Narrowest, result.Report.Narrowest)
	}
	return rule, nil
}

// advised says with a refusal of a table what to do about it.
func advised(err error) error {
	switch {
	case errors.Is(err, disclosure.ErrTooLarge):
		return fmt.Errorf("%w: coarsen a dimension, or have fewer margins or fewer dimensions that the earlier products do not have", err)
	case errors.Is(err, disclosure.ErrExposed):
		return fmt.Errorf("%w: coarsen the dimension that tells such cells apart, or publish after newer data", err)
	}
	return err
}

// A check is an aspect's table with what was published of it before.
type check struct {
	aspect  aspect
	table   disclosure.Table
	claims  []claim // by cell of the table
	earlier []disclosure.Published
}

func (a aspect) String() string {
	switch a.kind {
	case sums:
		return "sums of " + a.field.column
	case squares:
		return "squares of " + a.field.column
	}
	return "numbers of rows"
}

// A claim is a cell of a publication, as the atoms of the refinement in it.
type claim struct {
	group, cell, condition int
	atoms                  []int
}

// check computes the joint refinement of everything that tells of the aspect; the
// present publication is the first.
func (a aspect) check(ctx context.Context, source columnar.Source, views []*view, workers int) (*check, error) {
	telling := views[:1:1]
	for _, v := range views[1:] {
		if tells, err := a.tells(v, source); err != nil {
			return nil, err
		} else if tells {
			telling = append(telling, v)
		}
	}
	r := refine(telling, a.conditions(telling))
	spec := columnar.Spec{Subject: views[0].plan.Subject}
	if a.kind != rowCount {
		source = a.field.derive(source, a.kind == squares)
		spec.Filter = []columnar.Comparison{{Column: a.field.unitsOf(), Op: columnar.NotNull}}
		m := columnar.Measure{Column: a.field.unitsOf(), Want: columnar.Sum, Bounds: a.field.clamps()}
		if a.kind == squares {
			m = columnar.Measure{Column: a.field.squaresOf(), Want: columnar.Sum}
		}
		spec.Measures = []columnar.Measure{m}
	}
	cube, err := r.run(ctx, spec, source, workers)
	if err != nil {
		return nil, err
	}
	return a.assemble(r, cube, telling)
}

// tells says whether an earlier publication tells of the aspect. It has to be the very
// same magnitude: with other bounds or decimals it is another, which this one narrows
// without adding up to it.
func (a aspect) tells(v *view, source columnar.Source) (bool, error) {
	all, of, err := fields(v.plan, source.Schema)
	if err != nil {
		return false, err
	}
	tells := false
	for i := range v.plan.Measures {
		m := &v.plan.Measures[i]
		if !a.told(m) {
			continue
		}
		tells = true
		if a.field == nil {
			continue
		}
		if f := all[of[i]]; f.clamp != a.field.clamp || f.low != a.field.low || f.high != a.field.high || f.decimals != a.field.decimals {
			return false, refuse("an earlier publication over the same data has the %s with other bounds or decimals: declare the same", a)
		}
	}
	return tells, nil
}

// conditions are the axes that tell rows with a value, and a histogram's bins, apart.
func (a aspect) conditions(views []*view) []columnar.Dimension {
	var out []columnar.Dimension
	if a.kind != rowCount {
		return nil
	}
	for _, v := range views {
		for _, m := range v.plan.Measures {
			switch {
			case m.Is == IsHistogram:
				out = append(out, columnar.Dimension{Column: m.Column, Edges: slices.Clone(m.Edges), Null: columnar.Keep, Other: columnar.Keep})
			case m.tellsValues():
				out = append(out, columnar.Dimension{Where: []columnar.Comparison{{Column: m.Column, Op: columnar.NotNull}}})
			}
		}
	}
	return out
}

// conditionsOf lists what a publication tells of the aspect in each of its cells.
func (a aspect) conditionsOf(r *refinement, v *view) []condition {
	all := condition{axis: -1, measure: -1}
	if a.kind != rowCount {
		for i, m := range v.measures {
			if a.kind == sums && m.Is == IsSum && m.Column == a.field.column {
				all.measure = i
			}
		}
		return []condition{all}
	}
	var out []condition
	rows := false
	for i := range v.measures {
		m := &v.plan.Measures[v.of[i]]
		switch {
		case m.Is == IsHistogram:
			rows = true
			out = append(out, r.bin(m, v.bin(i), i))
		case m.tellsValues():
			c := condition{axis: r.host(&columnar.Dimension{Where: []columnar.Comparison{{Column: m.Column, Op: columnar.NotNull}}}), measure: -1}
			if m.Is == IsCount {
				c.measure = i
			}
			for _, code := range r.codes[c.axis] {
				c.code = append(c.code, holds(code))
			}
			out = append(out, c)
		case m.tellsRows():
			rows, all.measure = true, i
		}
	}
	if rows {
		out = append(out, all)
	}
	return out
}

// bin is the condition that a row is in a bin of a histogram, outside its bins, or null.
func (r *refinement) bin(m *PlanMeasure, bin, measure int) condition {
	c := condition{axis: r.host(&columnar.Dimension{Column: m.Column, Edges: m.Edges}), measure: measure}
	for _, code := range r.codes[c.axis] {
		at := len(m.Edges) - 1 // outside
		switch code.Kind {
		case columnar.CodeNull:
			at = len(m.Edges)
		case columnar.CodeBin:
			for i := 1; i < len(m.Edges); i++ {
				if compareNumbers(m.Edges[i-1], code.Low) <= 0 && compareNumbers(code.Low, m.Edges[i]) < 0 {
					at = i - 1
				}
			}
		}
		c.code = append(c.code, at == bin)
	}
	return c
}

// assemble makes the tables of a refinement that was counted. Atoms without rows are
// left out: that they are empty is taken to be known.
func (a aspect) assemble(r *refinement, cube *columnar.Cube, views []*view) (*check, error) {
	lenses, conditions := make([]*lens, len(views)), make([][]condition, len(views))
	claims := make([]map[[3]int][]int, len(views))
	for i, v := range views {
		lenses[i], conditions[i] = r.read(v), a.conditionsOf(r, v)
		claims[i] = make(map[[3]int][]int)
	}
	out := &check{aspect: a}
	var shares []map[uint64]int64
	for cell := range cube.Cells() {
		if cube.Rows(cell) == 0 {
			continue
		}
		position, inside := cube.Position(cell), false
		for i, l := range lenses {
			finest := l.cell(r, position)
			if finest < 0 {
				continue
			}
			for k, c := range conditions[i] {
				if c.axis >= 0 && !c.code[position[c.axis]] {
					continue
				}
				inside = true
				for g := range l.groups {
					at := [3]int{g, l.form.to[g][finest], k}
					claims[i][at] = append(claims[i][at], len(shares))
				}
			}
		}
		if !inside {
			continue
		}
		share, err := a.shares(cube, cell)
		if err != nil {
			return nil, err
		}
		shares = append(shares, share)
		whole := cellOf([]int{0}, []map[uint64]int64{share})
		out.table.Atoms = append(out.table.Atoms, disclosure.Atom{Value: sumOf(share), Subjects: whole.Subjects, Top: whole.Top})
	}
	for i := range views {
		var told []disclosure.EarlierCell
		for _, at := range slices.SortedFunc(maps.Keys(claims[i]), func(x, y [3]int) int { return slices.Compare(x[:], y[:]) }) {
			c := claim{at[0], at[1], at[2], claims[i][at]}
			cell := cellOf(c.atoms, shares)
			if i == 0 {
				out.claims, out.table.Cells = append(out.claims, c), append(out.table.Cells, cell)
				continue
			}
			value := int64(0)
			for _, atom := range c.atoms {
				value += out.table.Atoms[atom].Value
			}
			e, err := a.again(views[i], &c, conditions[i][c.condition].measure, cell, value)
			if err != nil {
				return nil, err
			}
			told = append(told, e)
		}
		if i > 0 {
			p, err := disclosure.Earlier(out.table.Atoms, told, *views[i].plan.Disclosure)
			if err != nil {
				return nil, fmt.Errorf("checking the %s: %w", a, err)
			}
			out.earlier = append(out.earlier, p)
		}
	}
	return out, nil
}

// again is a cell as an earlier publication told it. What it told is computed anew, and
// compared where it is there in figures.
func (a aspect) again(v *view, c *claim, measure int, cell disclosure.Cell, value int64) (disclosure.EarlierCell, error) {
	e := disclosure.EarlierCell{Cell: cell, Low: value, High: value}
	published := &v.table.Groups[c.group]
	if published.Status[c.cell] != Released {
		return e, nil
	}
	e.Status = disclosure.Released
	if measure < 0 {
		return e, nil
	}
	unit := 0
	if a.field != nil {
		unit = a.field.decimals
	}
	if was := published.Values[measure][c.cell]; rescale(big.NewInt(value), unit, v.measures[measure].Decimals).Cmp(big.NewInt(was)) != 0 {
		return e, fmt.Errorf("%w: an earlier publication of it has other %s: it is not of the same data", ErrData, a)
	}
	return e, nil
}

// shares are what each subject has in a cell of the refinement.
func (a aspect) shares(cube *columnar.Cube, cell int) (map[uint64]int64, error) {
	out, all := make(map[uint64]int64), int64(0)
	for _, s := range cube.Shares(cell) {
		v, ok := s.Rows, true
		if a.kind != rowCount {
			v, ok = s.Sums[0].Int64()
		}
		if all += min(v, disclosure.MaxValue+1); !ok || all > disclosure.MaxValue {
			return nil, fmt.Errorf("%w: the %s add up to more than %d: declare bounds or fewer decimals", ErrData, a, int64(disclosure.MaxValue))
		}
		out[s.Subject] = v
	}
	return out, nil
}

func sumOf(share map[uint64]int64) (sum int64) {
	for _, v := range share {
		sum += v
	}
	return sum
}

// cellOf makes a cell of atoms, with what its subjects have in all of them. It lists
// as many as can be: whoever is listed is held off as an attacker who knows what is
// listed of it, and one that is large in a cell may be no more than third in another.
func cellOf(atoms []int, shares []map[uint64]int64) disclosure.Cell {
	all := shares[atoms[0]]
	if len(atoms) > 1 {
		all = make(map[uint64]int64)
		for _, a := range atoms {
			for s, v := range shares[a] {
				all[s] += v
			}
		}
	}
	listed := make([]disclosure.Contribution, 0, len(all))
	for s, v := range all {
		listed = append(listed, disclosure.Contribution{Subject: s, Value: v})
	}
	slices.SortFunc(listed, func(x, y disclosure.Contribution) int {
		return cmp.Or(cmp.Compare(y.Value, x.Value), cmp.Compare(x.Subject, y.Subject))
	})
	return disclosure.Cell{Atoms: atoms, Subjects: int64(len(all)), Top: listed[:min(disclosure.MaxTop, len(listed))]}
}
