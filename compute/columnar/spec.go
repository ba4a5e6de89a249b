package columnar

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of a specification. A cell's index has 24 bits, and each dimension a bit
// beside it.
const (
	MaxDimensions   = 8
	MaxMeasures     = 64
	MaxLargest      = 8
	MaxBoundRows    = 1 << 10
	MaxBins         = 1 << 12
	LimitCells      = 1<<24 - 1
	DefaultMaxCells = 1 << 20
)

// ErrSpec refuses a specification; ErrData refuses the data, and says how many rows.
var (
	ErrSpec = errors.New("columnar: specification")
	ErrData = errors.New("columnar: data")
)

// TooManyCells refuses a cube whose dimensions multiply beyond the limit.
type TooManyCells struct {
	Cells     string // how many there would be, in decimal
	Limit     int
	Dimension string // the one with the most codes, by its column: the one to coarsen
	Codes     int    // of that dimension
}

func (e *TooManyCells) Error() string {
	return fmt.Sprintf("columnar: %s cells, at most %d are allowed: coarsen %q, which has %d codes",
		e.Cells, e.Limit, e.Dimension, e.Codes)
}

// Spec declares a cube.
type Spec struct {
	Dimensions []Dimension
	Filter     []Comparison // all must hold
	Measures   []Measure
	// Subject is the column whose distinct values are the subjects (主体), integer or
	// text; empty where none are counted.
	Subject string
	// Largest is how many of the largest contributions by subject a cell gives, for
	// dominance and p% rules; 0 where none are asked for.
	Largest  int
	Bound    *Bound // nil: every row counts
	MaxCells int    // 0: DefaultMaxCells
}

// Rule says what becomes of a row that a dimension has no code for.
type Rule uint8

const (
	Refuse Rule = iota // the cube is refused, with the number of such rows
	Keep               // a code of its own, after the others
	Drop               // left out and counted
)

// Dimension is an axis of the cube. Exactly one of Codes, Edges, Learn and Where is given.
type Dimension struct {
	Column string // empty with Where, whose comparisons name their own
	// Prefix takes the first characters of a text (ZIP to ZIP3: 3); 0 takes it whole. A
	// shorter text stands for itself.
	Prefix int
	Codes  []Value // declared codes, integer or text, in the order of the cells
	// Edges e0 < e1 < … declare half-open bins [e0, e1), [e1, e2), …, over integers or
	// floating-point numbers. What lies outside, or is NaN, is Other.
	Edges []Value
	// Learn takes the codes that occur in the column, in ascending order and before the
	// filter, up to so many. It costs a scan of its own, and does not go with a Bound.
	Learn int
	// Where makes a condition an axis of two codes: a row is at 1 if all hold, and at 0
	// otherwise, as a null satisfies no comparison but IsNull. A filter can so be an
	// axis of a cube that refines what was published under it. There is no row that it has no
	// code for: Null and Other are not given.
	Where []Comparison
	Null  Rule
	Other Rule
}

// name tells the dimension in an error.
func (d *Dimension) name() string {
	if len(d.Where) == 0 {
		return d.Column
	}
	names := make([]string, len(d.Where))
	for i, c := range d.Where {
		names[i] = c.Column
	}
	return "where " + strings.Join(names, ", ")
}

// Op compares a column with values.
type Op uint8

const (
	Equal Op = iota + 1
	NotEqual
	Less
	LessEqual
	Greater
	GreaterEqual
	In
	IsNull
	NotNull
)

// Comparison is one condition on rows. The values are of the column's type: one, or
// any number for In, or none for IsNull and NotNull. Texts compare by bytes.
type Comparison struct {
	Column string
	Op     Op
	Values []Value
}

// Want says what a measure computes, beside the number of its values.
type Want uint8

const (
	Sum      Want = 1 << iota // and the mean
	Squares                   // and, with Sum, the variance
	Extremes                  // minimum and maximum; not with a Bound
)

// Measure is a column that is added up: an integer or floating-point one.
type Measure struct {
	Column string
	Want   Want
	// Edges ask for a histogram: bucket i counts the values with exactly i edges at or
	// below them, so that the first and the last are those outside.
	Edges []Value
	// Bounds clamps values to [Bounds[0], Bounds[1]] before anything is computed; clamped
	// values are counted. With a Bound it has to be given.
	Bounds *[2]Value
}

// Bound limits what a subject contributes, for differential privacy: of each subject's
// rows that pass the filter, those Rows are kept which have the smallest
// HMAC-SHA-256(Key, subject ‖ cell ‖ the measures' clamped values). Equal rows have equal
// ranks and are kept as often as there is room; which of them makes no
// difference. Rows also bounds the cells that a subject is in; with bounds [a, b] on a
// measure it changes sums by at most Rows × max(|a|, |b|) in all.
type Bound struct {
	Rows int
	Key  [32]byte
}

// Value is an integer, a floating-point number or a text.
type Value struct {
	kind kind
	i    int64
	f    float64
	s    string
}

type kind uint8

const (
	integer kind = iota + 1
	floating
	text
)

func (k kind) String() string {
	return [...]string{"nothing", "an integer", "a floating-point number", "a text"}[k]
}

// Int is an integer: also of a date, in days, of a timestamp, in its column's unit, and
// of a boolean, as 0 and 1.
func Int(v int64) Value { return Value{kind: integer, i: v} }

// Float is a floating-point number.
func Float(v float64) Value { return Value{kind: floating, f: v} }

// Text is a text.
func Text(v string) Value { return Value{kind: text, s: v} }

// Any gives the value as int64, float64 or string; nil where it is none.
func (v Value) Any() any {
	switch v.kind {
	case integer:
		return v.i
	case floating:
		return v.f
	case text:
		return v.s
	}
	return nil
}

func (v Value) String() string { return fmt.Sprint(v.Any()) }
