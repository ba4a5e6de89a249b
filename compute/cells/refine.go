package cells

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/yingbi/yingbi/compute/columnar"
)

// MaxRefinement is how many cells the joint refinement of all publications over the
// same data may have, empty ones included.
const MaxRefinement = 1 << 22

// A view is a publication as it is read from a joint refinement: the present one or
// an earlier one.
type view struct {
	*form
	plan  *Plan
	table *Table // of an earlier one
}

// newView takes an earlier publication by its plan and its own axes.
func newView(e *Earlier, present *Plan, schema *arrow.Schema) (*view, error) {
	if e.Plan == nil || e.Table == nil || e.Plan.Disclosure == nil {
		return nil, refuse("it was not published under disclosure control, or its cells are not there")
	}
	if err := e.Plan.check(schema); err != nil {
		return nil, err
	}
	if e.Plan.Subject != present.Subject {
		return nil, refuse("its subjects are of column %q and those of this one of %q: nothing can be checked across them", e.Plan.Subject, present.Subject)
	}
	if len(e.Axes) != len(e.Plan.Dimensions) {
		return nil, refuse("it has %d axes, its plan %d", len(e.Axes), len(e.Plan.Dimensions))
	}
	var codes [][]columnar.Code
	for i := range e.Axes {
		c, err := codesAgain(&e.Plan.Dimensions[i], e.Axes[i].Codes, schema)
		if err != nil {
			return nil, err
		}
		codes = append(codes, c)
	}
	f, err := newForm(e.Plan, codes, schema)
	if err != nil {
		return nil, err
	}
	for g, n := range f.cells {
		if len(e.Table.Groups) != len(f.cells) || len(e.Table.Groups[g].Status) != n || len(e.Table.Groups[g].Values) != len(f.measures) {
			return nil, refuse("its cells are not those of its plan")
		}
	}
	return &view{form: f, plan: e.Plan, table: e.Table}, nil
}

// codesAgain are the codes of a dimension that was published with these labels.
func codesAgain(d *PlanDimension, labels []string, schema *arrow.Schema) ([]columnar.Code, error) {
	var out []columnar.Code
	values := d.Codes
	if d.Learn > 0 {
		learned := len(labels)
		if d.Null == columnar.Keep {
			learned--
		}
		if d.Other == columnar.Keep {
			learned--
		}
		for _, l := range labels[:max(learned, 0)] {
			v, err := parseLabel(schema, d.Column, l)
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		}
	}
	for _, v := range values {
		out = append(out, columnar.Code{Kind: columnar.CodeValue, Low: v})
	}
	for i := 1; i < len(d.Edges); i++ {
		out = append(out, columnar.Code{Kind: columnar.CodeBin, Low: d.Edges[i-1], High: d.Edges[i]})
	}
	if d.Other == columnar.Keep {
		out = append(out, columnar.Code{Kind: columnar.CodeOther})
	}
	if d.Null == columnar.Keep {
		out = append(out, columnar.Code{Kind: columnar.CodeNull})
	}
	if len(out) != len(labels) {
		return nil, refuse("dimension %q was published with %d codes, its plan has %d", d.Name, len(labels), len(out))
	}
	return out, nil
}

// A refinement is a cube whose axes distinguish all that some publications do.
type refinement struct {
	filter []columnar.Comparison // of all of them
	axes   []*refined
	codes  [][]columnar.Code // once the cube is there
}

// refined is an axis that several dimensions are read from.
type refined struct {
	columnar.Dimension
	complete bool // its codes are all that occur
}

// refine makes the axes for these publications; conditions are further ones, of columns
// whose bins or nulls are told.
func refine(views []*view, conditions []columnar.Dimension) *refinement {
	r := &refinement{}
	var wanted []refined
	for _, v := range views {
		for d := range v.plan.Dimensions {
			wanted = append(wanted, refined{v.dimension(d), v.plan.Dimensions[d].Learn > 0})
		}
	}
	for _, c := range conditions {
		wanted = append(wanted, refined{c, false})
	}
	if slices.ContainsFunc(views, func(v *view) bool { return !sameConditions(v.plan.Filter, views[0].plan.Filter) }) {
		for _, v := range views {
			if len(v.plan.Filter) > 0 {
				wanted = append(wanted, refined{columnar.Dimension{Where: v.plan.Filter}, false})
			}
		}
	} else {
		r.filter = views[0].plan.Filter
	}
	// The finest codes first, conditions last: what can be read from another axis is.
	slices.SortStableFunc(wanted, func(a, b refined) int { return cmp.Compare(a.coarseness(), b.coarseness()) })
	for _, w := range wanted {
		r.add(w)
	}
	return r
}

func (a *refined) coarseness() int {
	switch {
	case len(a.Where) > 0:
		return 1 << 20
	case a.Prefix == 0:
		return 0
	}
	return 1<<20 - 1 - min(a.Prefix, 1<<19)
}

// dimension is a dimension of a publication with its codes told, and no row dropped.
func (v *view) dimension(d int) columnar.Dimension {
	declared := v.plan.Dimensions[d].Dimension
	out := columnar.Dimension{Column: declared.Column, Prefix: declared.Prefix, Edges: slices.Clone(declared.Edges), Null: columnar.Keep, Other: columnar.Keep}
	if len(declared.Edges) > 0 {
		return out
	}
	for _, c := range v.form.codes[d] {
		if c.Kind == columnar.CodeValue {
			out.Codes = append(out.Codes, c.Low)
		}
	}
	return out
}

// host is the axis that a dimension can be read from, or −1.
func (r *refinement) host(d *columnar.Dimension) int {
	return slices.IndexFunc(r.axes, func(a *refined) bool {
		switch {
		case len(d.Where) > 0:
			return sameConditions(a.Where, d.Where) || isNotNull(d.Where) && a.Column == d.Where[0].Column
		case a.Column != d.Column || len(a.Where) > 0:
			return false
		case len(d.Edges) > 0 || len(a.Edges) > 0:
			return len(d.Edges) > 0 && len(a.Edges) > 0
		}
		return a.Prefix == d.Prefix || a.complete && (a.Prefix == 0 || d.Prefix > 0 && d.Prefix < a.Prefix)
	})
}

func isNotNull(c []columnar.Comparison) bool { return len(c) == 1 && c[0].Op == columnar.NotNull }

func (r *refinement) add(w refined) {
	i := r.host(&w.Dimension)
	if i < 0 {
		r.axes = append(r.axes, &w)
		return
	}
	a := r.axes[i]
	for _, e := range w.Edges {
		if !slices.Contains(a.Edges, e) {
			a.Edges = append(a.Edges, e)
		}
	}
	slices.SortFunc(a.Edges, func(x, y columnar.Value) int { return compareNumbers(x, y) })
	if len(w.Codes) > 0 && w.Prefix == a.Prefix {
		for _, c := range w.Codes {
			if !slices.Contains(a.Codes, c) {
				a.Codes = append(a.Codes, c)
			}
		}
		a.complete = a.complete || w.complete
	}
}

func compareNumbers(x, y columnar.Value) int {
	if a, ok := x.Any().(int64); ok {
		b, _ := y.Any().(int64)
		return cmp.Compare(a, b)
	}
	a, _ := x.Any().(float64)
	b, _ := y.Any().(float64)
	return cmp.Compare(a, b)
}

func sameConditions(a, b []columnar.Comparison) bool {
	return slices.EqualFunc(a, b, func(x, y columnar.Comparison) bool {
		return x.Column == y.Column && x.Op == y.Op && slices.Equal(x.Values, y.Values)
	})
}

// run counts the refinement: of each cell the rows and, of one measure, the sums.
func (r *refinement) run(ctx context.Context, spec columnar.Spec, source columnar.Source, workers int) (*columnar.Cube, error) {
	for _, a := range r.axes {
		spec.Dimensions = append(spec.Dimensions, a.Dimension)
	}
	spec.Filter = append(slices.Clone(r.filter), spec.Filter...)
	spec.MaxCells, spec.Largest = MaxRefinement, 1
	cube, err := columnar.Run(ctx, &spec, source, workers)
	if many := new(columnar.TooManyCells); errors.As(err, &many) {
		return nil, fmt.Errorf("the joint refinement with what was published over the same data is too large: have fewer or coarser dimensions, or the dimensions of the earlier products: %w", err)
	}
	if err != nil {
		return nil, err
	}
	r.codes = codesOf(cube)
	return cube, nil
}

// A lens is how a publication is read from a refinement.
type lens struct {
	*view
	where int     // the axis of its filter, or −1
	axis  []int   // by dimension
	to    [][]int // by dimension: the axis's code → its own, or −1
}

// read says how a publication is read. It is one of those that were refined.
func (r *refinement) read(v *view) *lens {
	out := &lens{view: v, where: -1}
	if len(v.plan.Filter) > 0 && len(r.filter) == 0 {
		out.where = r.host(&columnar.Dimension{Where: v.plan.Filter})
	}
	for d := range v.plan.Dimensions {
		dim := v.dimension(d)
		i := r.host(&dim)
		out.axis = append(out.axis, i)
		var to []int
		for _, c := range r.codes[i] {
			to = append(to, v.place(d, c))
		}
		out.to = append(out.to, to)
	}
	return out
}

// place finds the code of a dimension that a finer code is part of, or −1.
func (v *view) place(d int, c columnar.Code) int {
	codes := v.form.codes[d]
	of := func(kind columnar.CodeKind) int {
		return slices.IndexFunc(codes, func(x columnar.Code) bool { return x.Kind == kind })
	}
	if c.Kind == columnar.CodeNull {
		return of(columnar.CodeNull)
	}
	i := slices.IndexFunc(codes, func(x columnar.Code) bool {
		switch {
		case x.Kind == columnar.CodeBin && c.Kind == columnar.CodeBin:
			return compareNumbers(x.Low, c.Low) <= 0 && compareNumbers(c.Low, x.High) < 0
		case x.Kind == columnar.CodeValue && c.Kind == columnar.CodeValue:
			text, ok := c.Low.Any().(string)
			if n := v.plan.Dimensions[d].Prefix; ok && n > 0 {
				return x.Low.String() == prefix(text, n)
			}
			return x.Low == c.Low
		}
		return false
	})
	if i < 0 {
		return of(columnar.CodeOther)
	}
	return i
}

// holds says whether a code is of rows that satisfy the condition of its axis, which is
// one of its own or that the column of codes or bins is not null.
func holds(c columnar.Code) bool { return c.Kind != columnar.CodeFails && c.Kind != columnar.CodeNull }

// cell gives the finest cell of the publication that a cell of the refinement is part
// of, or −1.
func (v *lens) cell(r *refinement, position []int) int {
	if v.where >= 0 && !holds(r.codes[v.where][position[v.where]]) {
		return -1
	}
	cell := 0
	for d, i := range v.axis {
		at := v.to[d][position[i]]
		if at < 0 {
			return -1
		}
		cell = cell*len(v.form.codes[d]) + at
	}
	return cell
}
