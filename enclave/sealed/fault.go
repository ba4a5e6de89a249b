package sealed

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// FaultKind is what is wrong with a value or a record.
type FaultKind string

// The kinds of faults.
const (
	FaultQuoting   FaultKind = "quoting"   // the record is not well-formed CSV
	FaultFields    FaultKind = "fields"    // the record has more or fewer fields than the header
	FaultLength    FaultKind = "length"    // a value is too long
	FaultEncoding  FaultKind = "encoding"  // a value is not UTF-8 text
	FaultEmpty     FaultKind = "empty"     // a required value is absent
	FaultType      FaultKind = "type"      // a value is not one of the column's type
	FaultPattern   FaultKind = "pattern"   // a value does not match the column's pattern
	FaultDuplicate FaultKind = "duplicate" // a value of a unique column was there before
)

// Fault is one fault of the data. It never holds the value, only its shape.
type Fault struct {
	Line     int64     // of the file, where the record begins; the header is on line 1
	Row      int64     // of the data, from 1
	Column   string    // empty where it is about the whole record
	Kind     FaultKind //
	Expected string    //
	Got      string    //
}

func (f Fault) Error() string {
	where := fmt.Sprintf("line %d (row %d)", f.Line, f.Row)
	if f.Column != "" {
		where += ", column " + f.Column
	}
	return fmt.Sprintf("%s: expected %s, got %s", where, f.Expected, f.Got)
}

// maxFaults is how many faults are told one by one. The rest are counted.
const maxFaults = 10

// HeaderError says how a file's first line differs from the schema.
type HeaderError struct {
	Resource  string
	Expected  []string
	Missing   []string
	Unknown   []string
	Duplicate []string
	NoHeader  bool // the first line names no column at all; it is not repeated here, it may be data
}

func (e *HeaderError) Error() string {
	header := strings.Join(e.Expected, ",")
	if e.NoHeader {
		return fmt.Sprintf("the first line is no header of resource %s: it names none of its columns: put this line first: %s", e.Resource, header)
	}
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"missing", e.Missing}, {"not in the schema", e.Unknown}, {"named twice", e.Duplicate}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+": "+strings.Join(p.names, ", "))
		}
	}
	return fmt.Sprintf("the header does not match resource %s: %s: it must name exactly these columns, in any order: %s", e.Resource, strings.Join(parts, "; "), header)
}

// FaultsError refuses an import. Its text is the first faults and the counts
// of all.
type FaultsError struct{ Report *Report }

func (e *FaultsError) Error() string {
	r := e.Report
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults in %d rows of %s", r.Total(), r.Rows, r.Resource)
	for _, kind := range slices.Sorted(maps.Keys(r.Counts)) {
		fmt.Fprintf(&b, "; %s: %d", kind, r.Counts[kind])
	}
	if r.belowFloor() {
		fmt.Fprintf(&b, "; completeness of the required columns is below %s", r.floor)
	}
	b.WriteString(": nothing was imported: correct the source and import again")
	for _, f := range r.Faults {
		b.WriteString("\n  " + f.Error())
	}
	if n := r.Total() - int64(len(r.Faults)); n > 0 {
		fmt.Fprintf(&b, "\n  and %d more", n)
	}
	return b.String()
}

// shape tells what a value looks like without telling it: its length and, for
// types whose values are not words, where it has digits and letters.
func shape(text []byte, t Type) string {
	n := utf8.RuneCount(text)
	s := fmt.Sprintf("%d characters", n)
	if n == 1 {
		s = "1 character"
	}
	if t == String || n == 0 || n > 24 || !utf8.Valid(text) {
		return s
	}
	mask := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return '0'
		case unicode.IsSpace(r):
			return '_'
		case r < utf8.RuneSelf && unicode.IsPunct(r) || r == '+':
			return r
		}
		return 'a'
	}, string(text))
	return s + " like " + mask
}
