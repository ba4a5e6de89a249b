package vocabulary

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Position is a place in a file. Line and Column count from 1, columns in
// characters; 0 is unknown. A document out of a ledger entry has no File.
type Position struct {
	File         string
	Line, Column int
}

func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.File == "":
		return fmt.Sprintf("%d:%d", p.Line, p.Column)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Fault is one thing wrong with a document: where, what was got, what was
// expected and what to do. ID is stable, for messages in another language and
// for callers that act on it.
type Fault struct {
	ID string
	Position
	Path               string // the field, e.g. quotas[0].limit; empty: the whole document
	Got, Expected, Fix string
}

func (f Fault) Error() string {
	var b strings.Builder
	if at := f.Position.String(); at != "" {
		b.WriteString(at + ": ")
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString("got " + f.Got)
	if f.Expected != "" {
		b.WriteString("; expected " + f.Expected)
	}
	if f.Fix != "" {
		b.WriteString("; " + f.Fix)
	}
	return b.String()
}

// Faults are all the faults found, in the order of their places.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes each fault reachable by errors.As.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, fault := range f {
		errs[i] = fault
	}
	return errs
}

// maxFaults bounds a report: past it, more lines help nobody.
const maxFaults = 200

// report collects faults.
type report struct {
	faults  Faults
	dropped int
}

func (r *report) add(f Fault) {
	if len(r.faults) >= maxFaults {
		r.dropped++
		return
	}
	f.Path, f.Got, f.Expected, f.Fix = visible(f.Path), visible(f.Got), visible(f.Expected), visible(f.Fix)
	r.faults = append(r.faults, f)
}

// addAll adds the faults of an error, or the error as one.
func (r *report) addAll(err error) {
	var faults Faults
	if !errors.As(err, &faults) {
		faults = Faults{{ID: "error", Got: err.Error()}}
	}
	for _, f := range faults {
		r.add(f)
	}
}

// done returns the faults in the order of their places, nil if there are none.
func (r *report) done() Faults {
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if r.dropped > 0 {
		last := r.faults[len(r.faults)-1].Position
		r.faults = append(r.faults, Fault{
			ID: "too-many-faults", Position: last,
			Got: fmt.Sprintf("%d more faults", r.dropped), Fix: "repair these first",
		})
		r.dropped = 0
	}
	return r.faults
}

// quote shows a value in a fault: short, on one line, without surprises for a
// terminal.
func quote(s string) string {
	const most = 60
	runes := []rune(s)
	if len(runes) > most {
		return fmt.Sprintf("%q…", string(runes[:most]))
	}
	return fmt.Sprintf("%q", s)
}

// visible escapes what a terminal would not show as it is: whatever of a file
// gets into a fault, it stays on its line and moves no cursor.
func visible(s string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// list shows alternatives: a, b or c. Long lists are cut.
func list(names []string) string {
	const most = 12
	switch n := len(names); {
	case n == 0:
		return "none"
	case n == 1:
		return names[0]
	case n > most:
		return fmt.Sprintf("%s … (%d in all)", strings.Join(names[:most], ", "), n)
	default:
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
}

// nearest returns the name that a mistyped one most likely meant, or "".
func nearest(name string, names []string) string {
	best, bestAt := "", max(2, len(name)/3)+1
	for _, candidate := range names {
		if strings.EqualFold(candidate, name) {
			return candidate
		}
		if d := distance(name, candidate); d < bestAt && d < len(candidate) {
			best, bestAt = candidate, d
		}
	}
	return best
}

// distance is the Damerau-Levenshtein distance (adjacent letters swapped count
// once), over bytes of at most 64.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
