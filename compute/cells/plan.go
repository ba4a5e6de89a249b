package cells

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/disclosure"
	"github.com/yingbi/yingbi/compute/noise"
)

// ErrPlan refuses a plan by itself and the schema, before a row is read.
var ErrPlan = errors.New("cells: plan")

// ErrData refuses the data, with the number of rows or cells. Only disclosure
// control does: under privacy no refusal may depend on data.
var ErrData = errors.New("cells: data")

// Plan is what is to be computed and published: a product's declaration, in the
// terms of the columns of a source.
type Plan struct {
	Dimensions []PlanDimension
	// Groups are the published groupings, by names of dimensions or levels. The first
	// is all dimensions. An empty one is the total.
	Groups   [][]string
	Filter   []columnar.Comparison // all must hold
	Measures []PlanMeasure
	Subject  string // the column whose distinct values are the subjects
	MaxCells int    // of the finest grouping; 0 is columnar.DefaultMaxCells

	// One of the two.
	Disclosure *disclosure.Rules
	Privacy    *Privacy
}

// PlanDimension is an axis, under the name by which it is asked for.
type PlanDimension struct {
	Name string
	columnar.Dimension
	Levels []PlanLevel
}

// PlanLevel groups the text codes of a dimension by their first characters.
type PlanLevel struct {
	Name   string
	Prefix int
}

// PlanMeasure is a figure to compute. Bin is empty: a histogram becomes a Measure for
// each of its bins, for what is outside them, and for nulls.
type PlanMeasure struct {
	Measure
	// Bounds clamp every row's value before anything is computed, in units of
	// 10^-Decimals. Privacy needs them wherever values are added up.
	Bounds *[2]int64
	Edges  []columnar.Value // histogram: of the column's type
	Share  int              // privacy: its weight in the budget; 0 is 1
}

// Privacy are the parameters of noise.
type Privacy struct {
	Rho       noise.Rho // of one publication
	Mechanism string    // MechanismGaussian or MechanismLaplace
	Rows      int       // of a subject, at most
	Threshold int64     // cells with a smaller noised count are Below; 0: none are
	// NonNegative makes counts non-negative after noise (noise.NonNegative), and sums
	// of values that are bounded below by zero.
	NonNegative bool
}

// Release is what a regime made. Axes, Groups, Measures and Table are for
// publication; the report is for the operator.
type Release struct {
	Axes     []Axis
	Groups   []Group
	Measures []Measure
	Table    *Table
	Report   Report
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrPlan, fmt.Errorf(format, args...))
}

// check holds a plan to what columnar does not check by itself.
func (p *Plan) check(schema *arrow.Schema) error {
	switch {
	case (p.Disclosure == nil) == (p.Privacy == nil):
		return refuse("give one of disclosure control and privacy")
	case p.Subject == "":
		return refuse("name the column of the subjects: no regime works without")
	case len(p.Dimensions) == 0 || len(p.Dimensions) > MaxAxes:
		return refuse("%d dimensions: from 1 to %d", len(p.Dimensions), MaxAxes)
	case len(p.Groups) == 0 || len(p.Groups) > MaxGroups:
		return refuse("%d groupings: from 1 to %d", len(p.Groups), MaxGroups)
	case len(p.Measures) == 0:
		return refuse("no measures")
	}
	for _, d := range p.Dimensions {
		if len(d.Where) > 0 {
			return refuse("dimension %q: conditions belong into the filter", d.Name)
		}
	}
	if err := p.checkGroups(); err != nil {
		return err
	}
	for i := range p.Measures {
		if err := p.checkMeasure(&p.Measures[i], schema); err != nil {
			return err
		}
	}
	return nil
}

// checkGroups holds the groupings to the dimensions; their order is made that of the
// dimensions later.
func (p *Plan) checkGroups() error {
	names := make(map[string]int)
	for d, dim := range p.Dimensions {
		all := []string{dim.Name}
		for _, l := range dim.Levels {
			if l.Prefix < 1 || dim.Prefix > 0 && l.Prefix >= dim.Prefix {
				return refuse("level %q: a prefix of %d characters of codes of %d", l.Name, l.Prefix, dim.Prefix)
			}
			all = append(all, l.Name)
		}
		for _, n := range all {
			if _, ok := names[n]; ok || n == "" {
				return refuse("two dimensions or levels are called %q, or one is called nothing", n)
			}
			names[n] = d
		}
	}
	for g, by := range p.Groups {
		used := make(map[int]bool)
		for _, n := range by {
			d, ok := names[n]
			if !ok || used[d] {
				return refuse("grouping %d: %q is no dimension or level, or its dimension is there twice", g, n)
			}
			used[d] = true
			if g == 0 && p.Dimensions[d].Name != n {
				return refuse("the first grouping is of all dimensions, and not of level %q", n)
			}
		}
		if g == 0 && len(used) != len(p.Dimensions) {
			return refuse("the first grouping is of %d dimensions, there are %d", len(used), len(p.Dimensions))
		}
	}
	return nil
}

func (p *Plan) checkMeasure(m *PlanMeasure, schema *arrow.Schema) error {
	adds := m.Is == IsSum || m.Is == IsMean || m.Is == IsVariance
	switch {
	case !slices.Contains([]string{IsCount, IsSum, IsMean, IsVariance, IsHistogram, IsMin, IsMax}, m.Is):
		return refuse("measure %q: there is no %q", m.Name, m.Is)
	case m.Bin != "":
		return refuse("measure %q: bins follow from the edges", m.Name)
	case m.Column == "" && m.Is != IsCount:
		return refuse("measure %q: name its column", m.Name)
	case m.Decimals < 0 || m.Decimals > MaxDecimals || m.Decimals > 0 && (m.Is == IsCount || m.Is == IsHistogram):
		return refuse("measure %q: %d decimals: from 0 to %d, and none of a count", m.Name, m.Decimals, MaxDecimals)
	case m.Round < 1:
		return refuse("measure %q: rounding to multiples of %d", m.Name, m.Round)
	case (len(m.Edges) > 0) != (m.Is == IsHistogram):
		return refuse("measure %q: a histogram has edges, and nothing else does", m.Name)
	case m.Bounds != nil && (m.Is == IsCount || m.Is == IsHistogram):
		return refuse("measure %q: bounds are of values that are added up or compared", m.Name)
	case m.Bounds != nil && (m.Bounds[0] > m.Bounds[1] || m.Bounds[0] < -MaxValue || m.Bounds[1] > MaxValue):
		return refuse("measure %q: bounds [%d, %d] are empty or beyond 53 bits", m.Name, m.Bounds[0], m.Bounds[1])
	case m.Share < 0 || m.Share > 1<<20:
		return refuse("measure %q: a share of %d", m.Name, m.Share)
	case p.Privacy != nil && (m.Is == IsMin || m.Is == IsMax):
		return refuse("measure %q: there is no %s under privacy: it rests on one row", m.Name, m.Is)
	case p.Privacy != nil && adds && m.Bounds == nil:
		return refuse("measure %q: under privacy a %s needs bounds", m.Name, m.Is)
	}
	if m.Column == "" {
		return nil
	}
	at := schema.FieldIndices(m.Column)
	if len(at) != 1 {
		return refuse("measure %q: the schema has %d columns %q", m.Name, len(at), m.Column)
	}
	if !isReal(schema, m.Column) && !isInteger(schema, m.Column) {
		return refuse("measure %q: %q is not a column of numbers", m.Name, m.Column)
	}
	return nil
}

func isReal(schema *arrow.Schema, column string) bool {
	return arrow.IsFloating(typeOf(schema, column).ID()) && typeOf(schema, column).ID() != arrow.FLOAT16
}

func isInteger(schema *arrow.Schema, column string) bool {
	switch id := typeOf(schema, column).ID(); id {
	case arrow.BOOL, arrow.DATE32, arrow.DATE64, arrow.TIMESTAMP:
		return true
	default:
		return arrow.IsInteger(id) && id != arrow.UINT64
	}
}

func typeOf(schema *arrow.Schema, column string) arrow.DataType {
	if at := schema.FieldIndices(column); len(at) == 1 {
		return schema.Field(at[0]).Type
	}
	return arrow.Null
}
