package cells

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a query.
const (
	MaxQuery = 256 << 10 // bytes of canonical JSON

	maxListed = 12 // of published names in an error
)

// ErrQuery is under every error about a query.
var ErrQuery = errors.New("cells: query")

// Problem says why a query is refused.
type Problem string

const (
	UnknownName   Problem = "unknown-name"    // no axis, level or measure is called so
	UnknownCode   Problem = "unknown-code"    //
	Twice         Problem = "twice"           // named twice, or two names of one axis
	NoCodes       Problem = "no-codes"        // a condition that keeps nothing
	NotPublished  Problem = "not-published"   // the grouping is not, and nothing may be summed
	NotInGrouping Problem = "not-in-grouping" // the measure is not published for it
	DoesNotAddUp  Problem = "does-not-add-up" // the measure, over cells
	BeyondEnd     Problem = "beyond-end"      // a page that begins behind the last cell
	OutOfRange    Problem = "out-of-range"    // first or count
	NotTheFinest  Problem = "not-the-finest"  // weights are for cells of the finest grouping
	NotWeighable  Problem = "not-weighable"   // the measure has no scale
)

// QueryError refuses a query: what it asked for, and what there is instead.
type QueryError struct {
	Problem   Problem
	Field     string   // by, where, measures, first, count
	Name      string   // what was asked for
	Published []string // what there is; at most a dozen
}

func (e *QueryError) Error() string {
	if len(e.Published) == 0 {
		return fmt.Errorf("%w: %s: %w", ErrQuery, e.Field, e.refusal()).Error()
	}
	return fmt.Errorf("%w: %s: %w; there is: %s", ErrQuery, e.Field, e.refusal(), strings.Join(e.Published, "; ")).Error()
}

// Unwrap gives ErrQuery and what is refused.
func (e *QueryError) Unwrap() []error { return []error{ErrQuery, e.refusal()} }

func (e *QueryError) refusal() error {
	switch e.Problem {
	case UnknownName:
		return fmt.Errorf("nothing published is called %.64q", e.Name)
	case UnknownCode:
		return fmt.Errorf("there is no code %.64q", e.Name)
	case Twice:
		return fmt.Errorf("%.64q repeats what is named already", e.Name)
	case NoCodes:
		return fmt.Errorf("no code of %.64q is left", e.Name)
	case NotPublished:
		return fmt.Errorf("%.128q is not published, and suppressed cells do not add up", e.Name)
	case NotInGrouping:
		return fmt.Errorf("%.64q is not published for this grouping", e.Name)
	case DoesNotAddUp:
		return fmt.Errorf("%.64q does not add up over cells: name other measures, or a published grouping", e.Name)
	case BeyondEnd:
		return fmt.Errorf("the selection ends before cell %s", e.Name)
	case OutOfRange:
		return fmt.Errorf("%s is out of range", e.Name)
	case NotTheFinest:
		return fmt.Errorf("weights are for cells of the finest grouping, not of %.128q", e.Name)
	case NotWeighable:
		return fmt.Errorf("%.64q has no scale, so that it is not weighed", e.Name)
	}
	return errors.New(string(e.Problem))
}

// listed cuts a list of names.
func listed(names []string) []string {
	if len(names) > maxListed {
		return append(slices.Clone(names[:maxListed]), "…")
	}
	return names
}

// Encode returns the canonical bytes (RFC 8785) of a query.
func (q *Query) Encode() ([]byte, error) {
	if err := q.validate(); err != nil {
		return nil, err
	}
	whole := *q
	if whole.By == nil {
		whole.By = []string{} // the total is written []
	}
	b, err := canonicalJSON(&whole)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrQuery, err)
	}
	if len(b) > MaxQuery {
		return nil, fmt.Errorf("%w: %d bytes, at most %d: name fewer codes", ErrQuery, len(b), MaxQuery)
	}
	return b, nil
}

// DecodeQuery reads canonical bytes, and refuses everything else.
func DecodeQuery(b []byte) (*Query, error) {
	if len(b) > MaxQuery {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrQuery, len(b), MaxQuery)
	}
	q := new(Query)
	if err := strictJSON(b, q); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrQuery, err)
	}
	again, err := q.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrQuery)
	}
	return q, nil
}

// validate checks what can be without a descriptor.
func (q *Query) validate() error {
	for _, list := range []struct {
		field string
		names []string
		most  int
	}{{"by", q.By, MaxAxes}, {"measures", q.Measures, MaxMeasures}} {
		if len(list.names) > list.most {
			return &QueryError{Problem: OutOfRange, Field: list.field, Name: fmt.Sprintf("a list of %d", len(list.names))}
		}
		if err := checkNames(list.field, list.names); err != nil {
			return err
		}
	}
	if len(q.Where) > MaxAxes*(1+MaxLevels) {
		return &QueryError{Problem: OutOfRange, Field: "where", Name: fmt.Sprintf("a list of %d", len(q.Where))}
	}
	for _, name := range q.conditions() {
		if err := checkNames("where", []string{name}); err != nil {
			return err
		}
		if len(q.Where[name]) == 0 {
			return &QueryError{Problem: NoCodes, Field: "where", Name: name}
		}
	}
	for _, page := range []struct {
		field string
		n     int
	}{{"first", q.First}, {"count", q.Count}} {
		if page.n < 0 || page.n > MaxCells {
			return &QueryError{Problem: OutOfRange, Field: page.field, Name: fmt.Sprint(page.n)}
		}
	}
	return nil
}

func checkNames(field string, names []string) error {
	for i, n := range names {
		if !namePattern.MatchString(n) {
			return &QueryError{Problem: UnknownName, Field: field, Name: n}
		}
		if slices.Contains(names[:i], n) {
			return &QueryError{Problem: Twice, Field: field, Name: n}
		}
	}
	return nil
}

// conditions names the conditions in order.
func (q *Query) conditions() []string {
	names := make([]string, 0, len(q.Where))
	for n := range q.Where {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
