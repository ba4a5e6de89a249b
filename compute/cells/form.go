package cells

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/yingbi/yingbi/compute/columnar"
)

// form is the shape of a publication: what follows from the plan and the codes.
type form struct {
	axes     []Axis
	groups   []Group
	measures []Measure
	of       []int // plan measure of each measure
	codes    [][]columnar.Code
	to       [][]int // by group: finest cell → cell of the group
	cells    []int   // by group
}

// labels of a histogram's buckets beside its bins, and of axes' codes.
const (
	labelOther = "other"
	labelNull  = "null"
)

// newForm makes the form for these codes of the dimensions, in a source's columns.
func newForm(p *Plan, codes [][]columnar.Code, schema *arrow.Schema) (*form, error) {
	f := &form{codes: codes}
	for d := range p.Dimensions {
		a, err := newAxis(&p.Dimensions[d], codes[d], typeOf(schema, p.Dimensions[d].Column))
		if err != nil {
			return nil, err
		}
		f.axes = append(f.axes, a)
	}
	for i, m := range p.Measures {
		for _, bin := range bins(&m) {
			out := m.Measure
			out.Bin = bin
			f.measures, f.of = append(f.measures, out), append(f.of, i)
		}
	}
	if len(f.measures) > MaxMeasures {
		return nil, refuse("%d measures, bins of histograms included: at most %d", len(f.measures), MaxMeasures)
	}
	all := make([]int, len(f.measures))
	for i := range all {
		all[i] = i
	}
	total := 0
	for g := range p.Groups {
		by, to, n := f.group(p.Groups[g])
		f.groups = append(f.groups, Group{By: by, Measures: slices.Clone(all)})
		f.to, f.cells = append(f.to, to), append(f.cells, n)
		if total += n; total > MaxCells {
			return nil, refuse("more than %d cells in all groupings", MaxCells)
		}
	}
	return f, nil
}

// bins are the labels of a measure's parts: one without a label but for histograms.
func bins(m *PlanMeasure) []string {
	if m.Is != IsHistogram {
		return []string{""}
	}
	var out []string
	for i := 1; i < len(m.Edges); i++ {
		out = append(out, label(columnar.Code{Kind: columnar.CodeBin, Low: m.Edges[i-1], High: m.Edges[i]}, arrow.Null))
	}
	return append(out, labelOther, labelNull)
}

// label shows a code of a column of that type.
func label(c columnar.Code, of arrow.DataType) string {
	switch c.Kind {
	case columnar.CodeBin:
		return fmt.Sprintf("[%s,%s)", show(c.Low, of), show(c.High, of))
	case columnar.CodeOther:
		return labelOther
	case columnar.CodeNull:
		return labelNull
	}
	return show(c.Low, of)
}

// show writes a value as people do: a day as 2006-01-02, a boolean as true or false.
func show(v columnar.Value, of arrow.DataType) string {
	n, ok := v.Any().(int64)
	switch {
	case ok && of.ID() == arrow.DATE32:
		return time.Unix(n*secondsPerDay, 0).UTC().Format(time.DateOnly)
	case ok && of.ID() == arrow.BOOL:
		return strconv.FormatBool(n != 0)
	}
	return v.String()
}

const secondsPerDay = 24 * 60 * 60

// newAxis labels the codes and groups them into the levels, in the order in which the
// groups occur.
func newAxis(d *PlanDimension, codes []columnar.Code, of arrow.DataType) (Axis, error) {
	a := Axis{Name: d.Name, Column: d.Column}
	seen := make(map[string]bool)
	for _, c := range codes {
		l := label(c, of)
		if seen[l] || len(l) > MaxLabel {
			return Axis{}, refuse("dimension %q: two codes are shown as %.40q, or it is longer than %d bytes: declare other codes", d.Name, l, MaxLabel)
		}
		seen[l] = true
		a.Codes = append(a.Codes, l)
	}
	for _, l := range d.Levels {
		level := Level{Name: l.Name}
		kindOf := make(map[string]columnar.CodeKind)
		for _, c := range codes {
			name := label(c, of)
			if c.Kind == columnar.CodeValue {
				name = prefix(name, l.Prefix)
			}
			if k, ok := kindOf[name]; !ok {
				kindOf[name] = c.Kind
				level.Groups = append(level.Groups, name)
			} else if k != c.Kind {
				return Axis{}, refuse("level %q: a code begins like %q, which stands for something else", l.Name, name)
			}
			level.Of = append(level.Of, slices.Index(level.Groups, name))
		}
		a.Levels = append(a.Levels, level)
	}
	return a, nil
}

// prefix gives the first n characters, as columnar.Dimension.Prefix has it.
func prefix(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// group gives a grouping's names in the order of the axes, where each finest cell
// goes, and how many cells it has.
func (f *form) group(names []string) (by []string, to []int, cells int) {
	by, cells = []string{}, 1
	type side struct {
		of   []int // nil: the codes themselves
		size int
	}
	sides := make([]*side, len(f.axes))
	finest := 1
	for d, a := range f.axes {
		finest *= len(a.Codes)
		if slices.Contains(names, a.Name) {
			by, sides[d] = append(by, a.Name), &side{size: len(a.Codes)}
		}
		for _, l := range a.Levels {
			if slices.Contains(names, l.Name) {
				by, sides[d] = append(by, l.Name), &side{l.Of, len(l.Groups)}
			}
		}
		if sides[d] != nil {
			cells *= sides[d].size
		}
	}
	to = make([]int, finest)
	for cell := range to {
		rest, stride := cell, 1
		for d, a := range slices.Backward(f.axes) {
			at := rest % len(a.Codes)
			rest /= len(a.Codes)
			if s := sides[d]; s != nil {
				if s.of != nil {
					at = s.of[at]
				}
				to[cell] += at * stride
				stride *= s.size
			}
		}
	}
	return by, to, cells
}

// table is an empty table of the form, with intervals if asked for.
func (f *form) table(intervals bool) *Table {
	t := &Table{Groups: make([]Cells, len(f.groups))}
	for g, n := range f.cells {
		figures := func() [][]int64 {
			out := make([][]int64, len(f.measures))
			for i := range out {
				out[i] = make([]int64, n)
			}
			return out
		}
		c := &t.Groups[g]
		c.Status, c.Values = make([]Status, n), figures()
		if intervals {
			c.Low, c.High = figures(), figures()
		}
	}
	return t
}

// published is the range of a measure's released values: what it declares and, where
// it is weighed, what weights can take.
func published(m *Measure) (low, high int64) {
	low, high = -MaxValue, MaxValue
	if m.Scale > 0 {
		low, high = m.Offset, m.Offset+m.Scale<<20
		if m.Round > 1 {
			high -= ((high % m.Round) + m.Round) % m.Round
		}
	}
	if m.Low != nil {
		low = max(low, *m.Low)
	}
	if m.High != nil {
		high = min(high, *m.High)
	}
	return low, high
}
