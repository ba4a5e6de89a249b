package release

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/disclosure"
	"github.com/yingbi/yingbi/compute/noise"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// cube is an aggregate product, said as what compute/cells makes cells by.
type cube struct {
	spec    Spec
	plan    *cells.Plan
	columns []string // all that is read, each reviewed but for the resource's subject
}

// newCube holds an aggregate product to its own release rule, and says it in
// values of the columns' types. It reads no row.
func newCube(spec Spec) (*cube, error) {
	p, a := spec.Product, spec.Product.Aggregate
	if a == nil || p.Resource != spec.Resource.ID {
		return nil, fmt.Errorf("%w: %s: it is no aggregate product over resource %s", ErrSpec, p.ID, spec.Resource.ID)
	}
	if (a.Disclosure == nil) == (a.Privacy == nil) || spec.Epoch < 1 || spec.Version != 1 {
		return nil, fmt.Errorf("%w: %s: a publication is a new epoch under one regime", ErrSpec, p.ID)
	}
	c := &cube{spec: spec, plan: &cells.Plan{Subject: a.SubjectOf(spec.Resource)}}
	steps := []func(*vocabulary.Aggregate) error{c.dimensions, c.filter, c.measures, c.subject}
	for _, step := range steps {
		if err := step(a); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrSpec, p.ID, err)
		}
	}
	c.groups(a)
	c.regime(a)
	return c, nil
}

// read takes a column that is used, which has to be reviewed.
func (c *cube) read(name string) (vocabulary.Column, error) {
	column, ok := c.spec.Resource.Column(name)
	switch {
	case !ok:
		return column, fmt.Errorf("%s is no column of %s", name, c.spec.Resource.ID)
	case column.Role == "hidden":
		return column, fmt.Errorf("column %s is hidden and is never used", name)
	case !slices.Contains(c.spec.Product.Release.Columns, name):
		return column, fmt.Errorf("column %s is used and is not in release.columns, which is what was reviewed", name)
	}
	c.take(name)
	return column, nil
}

func (c *cube) take(name string) {
	if !slices.Contains(c.columns, name) {
		c.columns = append(c.columns, name)
	}
}

func (c *cube) dimensions(a *vocabulary.Aggregate) error {
	rules := map[string]columnar.Rule{"refuse": columnar.Refuse, "keep": columnar.Keep, "drop": columnar.Drop}
	for _, d := range a.Dimensions {
		column, err := c.read(d.Column)
		if err != nil {
			return err
		}
		axis := cells.PlanDimension{Name: d.Name, Dimension: columnar.Dimension{
			Column: d.Column, Prefix: d.Prefix, Learn: d.Learn, Null: rules[a.OnBlank(d)], Other: rules[a.OnOther(d)]}}
		if axis.Codes, err = values(column, d.Codes); err != nil {
			return err
		}
		if axis.Edges, err = values(column, d.Edges); err != nil {
			return err
		}
		for _, l := range d.Levels {
			axis.Levels = append(axis.Levels, cells.PlanLevel{Name: l.Name, Prefix: l.Prefix})
		}
		c.plan.Dimensions = append(c.plan.Dimensions, axis)
	}
	return nil
}

// groups: the finest first, and the margins with their names in the order of the
// dimensions.
func (c *cube) groups(a *vocabulary.Aggregate) {
	place := map[string]int{}
	var finest []string
	for i, d := range a.Dimensions {
		place[d.Name] = i
		finest = append(finest, d.Name)
		for _, l := range d.Levels {
			place[l.Name] = i
		}
	}
	c.plan.Groups = [][]string{finest}
	for _, m := range a.Margins {
		by := slices.Clone(m.By)
		slices.SortFunc(by, func(x, y string) int { return place[x] - place[y] })
		c.plan.Groups = append(c.plan.Groups, by)
	}
}

func (c *cube) filter(a *vocabulary.Aggregate) error {
	ops := map[string]columnar.Op{"eq": columnar.Equal, "ne": columnar.NotEqual, "lt": columnar.Less, "le": columnar.LessEqual,
		"gt": columnar.Greater, "ge": columnar.GreaterEqual, "in": columnar.In, "null": columnar.IsNull, "notnull": columnar.NotNull}
	for _, f := range a.Filter {
		column, err := c.read(f.Column)
		if err != nil {
			return err
		}
		comparison := columnar.Comparison{Column: f.Column, Op: ops[f.Op]}
		if comparison.Values, err = values(column, f.Values); err != nil {
			return err
		}
		c.plan.Filter = append(c.plan.Filter, comparison)
	}
	return nil
}

func (c *cube) measures(a *vocabulary.Aggregate) error {
	for _, s := range a.Measures {
		m := cells.PlanMeasure{Share: s.Weight(), Measure: cells.Measure{
			Name: s.Name, Is: s.Is, Column: s.Column, Decimals: s.Decimals, Round: s.Base(), Scale: s.Scale, Offset: s.Offset}}
		if s.Column != "" {
			column, err := c.read(s.Column)
			if err != nil {
				return err
			}
			if m.Edges, err = values(column, s.Edges); err != nil {
				return err
			}
			if err := bound(&m, s); err != nil {
				return err
			}
		}
		c.plan.Measures = append(c.plan.Measures, m)
	}
	return nil
}

// bound sets what values are clamped to. What a mean or an extreme of such values
// can be is within it too, which is published.
func bound(m *cells.PlanMeasure, s vocabulary.Statistic) error {
	if s.Low == "" {
		return nil
	}
	m.Bounds = new([2]int64)
	for i, text := range []string{s.Low, s.High} {
		var d apd.Decimal
		_, _, err := d.SetString(text)
		if err == nil {
			d.Exponent += int32(s.Decimals)
			m.Bounds[i], err = d.Int64()
		}
		if err != nil {
			return fmt.Errorf("measure %s: its bound %.64q is no number with at most %d decimals, the measure's", s.Name, text, s.Decimals)
		}
	}
	if s.Is == cells.IsMean || s.Is == cells.IsMin || s.Is == cells.IsMax {
		m.Low, m.High = &m.Bounds[0], &m.Bounds[1]
	}
	return nil
}

// subject: the resource's own is counted and is in no figure, so that it need
// not be reviewed.
func (c *cube) subject(a *vocabulary.Aggregate) error {
	if a.Subject != "" {
		_, err := c.read(a.Subject)
		return err
	}
	if _, ok := c.spec.Resource.Column(c.plan.Subject); !ok {
		return fmt.Errorf("subject %q is no column of %s", c.plan.Subject, c.spec.Resource.ID)
	}
	c.take(c.plan.Subject)
	return nil
}

// regime: released values are exact until they are delivered, so that the check
// of disclosure counts on no rounding.
func (c *cube) regime(a *vocabulary.Aggregate) {
	if p := a.Privacy; p != nil {
		c.plan.Privacy = &cells.Privacy{Rho: noise.Rho(p.Rho), Mechanism: p.Mechanism, Rows: p.Rows, Threshold: p.Threshold, NonNegative: p.NonNegative}
		return
	}
	c.plan.Disclosure = &disclosure.Rules{MinSubjects: a.Disclosure.MinSubjects, P: a.Disclosure.Percent}
	if d := a.Disclosure.Dominance; d != nil {
		c.plan.Disclosure.N, c.plan.Disclosure.K = d.N, d.K
	}
}

// values are texts of the manifest in the type of a column.
func values(column vocabulary.Column, texts []string) ([]columnar.Value, error) {
	var out []columnar.Value
	for _, text := range texts {
		v, err := value(column.Type, text)
		if err != nil {
			return nil, fmt.Errorf("%.64q is no value of column %s, which is of type %s", text, column.Name, column.Type)
		}
		out = append(out, v)
	}
	return out, nil
}

// value is as enclave/sealed keeps the type in a record: days from 1970-01-01
// for a date.
func value(typ, text string) (columnar.Value, error) {
	switch typ {
	case "integer":
		n, err := strconv.ParseInt(text, 10, 64)
		return columnar.Int(n), err
	case "number":
		f, err := strconv.ParseFloat(text, 64)
		return columnar.Float(f), err
	case "date":
		day, err := time.Parse(time.DateOnly, text)
		return columnar.Int(day.Unix() / (24 * 60 * 60)), err
	case "boolean":
		b, err := strconv.ParseBool(text)
		if b {
			return columnar.Int(1), err
		}
		return columnar.Int(0), err
	}
	return columnar.Text(text), nil
}
