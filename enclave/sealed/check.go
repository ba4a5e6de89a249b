package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"math/big"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// ErrNoRows refuses a file that has a header and nothing else.
var ErrNoRows = errors.New("sealed: the file has no rows")

// Report is what Check found.
type Report struct {
	Resource string
	Rows     int64
	Bytes    int64
	Digest   string // of the file, "sha256:" + hex
	Columns  []ledger.ColumnCounts
	Faults   []Fault // the first ten
	Counts   map[FaultKind]int64

	required int64  // columns that are required
	present  int64  // values of those that are there
	floor    string // Quality.Completeness; empty: none
}

// Total is the number of all faults.
func (r *Report) Total() int64 {
	n := int64(0)
	for _, c := range r.Counts {
		n += c
	}
	return n
}

// Err is nil if the data may be imported, and a *FaultsError otherwise. Any
// fault refuses it, but for absent values of required columns where the
// resource declares a floor of completeness: these only when they pass it.
func (r *Report) Err() error {
	faults := r.Total()
	if r.floor != "" {
		faults -= r.Counts[FaultEmpty]
	}
	if faults > 0 || r.belowFloor() {
		return &FaultsError{r}
	}
	return nil
}

// Completeness is how many values of the required columns are there, of how many.
func (r *Report) Completeness() (present, of int64) { return r.present, r.required * r.Rows }

var floorText = regexp.MustCompile(`^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$`)

// BelowFloor returns the floor of completeness that the resource declares and
// its required columns do not reach; empty where they do.
func (r *Report) BelowFloor() string {
	if r.belowFloor() {
		return r.floor
	}
	return ""
}

func (r *Report) belowFloor() bool {
	present, of := r.Completeness()
	if r.floor == "" || of == 0 {
		return false
	}
	floor, ok := new(big.Rat).SetString(r.floor)
	return !ok || big.NewRat(present, of).Cmp(floor) < 0
}

// Import is the ledger entry of the data, sealed.
func (r *Report) Import(version int, s Sealed) *ledger.Import {
	return &ledger.Import{Resource: r.Resource, Version: version, Rows: r.Rows, Columns: slices.Clone(r.Columns), Digest: s.Digest}
}

// Check reads a CSV file to its end and reports what is wrong with it. Its
// error is about the file as a whole: it cannot be read, its header is not the
// schema's (*HeaderError), it has no rows. Faults of the data are in the
// report; see [Report.Err]. Progress may be nil.
func Check(ctx context.Context, in io.Reader, res *vocabulary.Resource, progress func(bytes int64)) (*Report, error) {
	rows, err := newRows(&contextReader{ctx: ctx, in: in, progress: progress}, res)
	if err != nil {
		return nil, err
	}
	r := &Report{Resource: res.ID, Counts: make(map[FaultKind]int64)}
	if res.Quality != nil && res.Quality.Completeness != "" {
		if r.floor = res.Quality.Completeness; !floorText.MatchString(r.floor) {
			return nil, fmt.Errorf("sealed: resource %s: quality.completeness %.20q is not a decimal fraction from 0 to 1", res.ID, r.floor)
		}
	}
	rows.report = func(f Fault) {
		if r.Counts[f.Kind]++; len(r.Faults) < maxFaults {
			r.Faults = append(r.Faults, f)
		}
	}
	counts := newCounters(rows)
	row := make([]Value, len(rows.columns))
	for {
		err := rows.next(row)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the data, after line %d: %w", rows.csv.line-1, err)
		}
		counts.add(row)
	}
	if rows.row == 0 {
		return nil, fmt.Errorf("%w: it would empty resource %s", ErrNoRows, res.ID)
	}
	r.Rows, r.Bytes, r.Digest, r.Columns = rows.row, rows.csv.bytes, rows.csv.sum(), counts.columns
	for i, c := range rows.columns {
		if c.required {
			r.required++
			r.present += counts.columns[i].Present
		}
	}
	return r, nil
}

// CSV gives the rows of a CSV file, held to a resource's schema but for what
// only the whole file can show (unique columns, completeness). The first fault
// ends it, as an error that is a Fault.
type CSV struct {
	rows  *csvRows
	fault *Fault
	floor bool
}

// ReadCSV begins to read a CSV file: its header.
func ReadCSV(in io.Reader, res *vocabulary.Resource) (*CSV, error) {
	rows, err := newRows(in, res)
	if err != nil {
		return nil, err
	}
	c := &CSV{rows: rows, floor: res.Quality != nil && res.Quality.Completeness != ""}
	rows.report = func(f Fault) {
		if c.fault == nil && !(c.floor && f.Kind == FaultEmpty) {
			c.fault = &f
		}
	}
	return c, nil
}

// Next implements [Rows].
func (c *CSV) Next(row []Value) error {
	if c.fault != nil {
		return *c.fault
	}
	if err := c.rows.next(row); err != nil {
		return err
	}
	if c.fault != nil {
		return *c.fault
	}
	return nil
}

// Digest is the digest of the file, "sha256:" + hex, once Next gave io.EOF.
func (c *CSV) Digest() string { return c.rows.csv.sum() }

// csvRows turns records into rows.
type csvRows struct {
	csv     *csvReader
	columns []column // as in the schema
	target  []int    // of each field of a record: its column
	row     int64    // of the last row
	rec     record
	report  func(Fault)
}

func newRows(in io.Reader, res *vocabulary.Resource) (*csvRows, error) {
	columns, err := newSchema(res)
	if err != nil {
		return nil, err
	}
	r := &csvRows{csv: newCSVReader(in), columns: columns}
	if r.csv.skipBOM() {
		return nil, errors.New("the file is UTF-16 text: save it as UTF-8")
	}
	err = r.csv.read(&r.rec)
	switch {
	case err == io.EOF:
		return nil, fmt.Errorf("%w, not even a header: the first line must be: %s", ErrNoRows, bytes.Join(toBytes(names(columns)), []byte(",")))
	case err != nil:
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	r.target, err = matchHeader(&r.rec, columns, res.ID)
	return r, err
}

func toBytes(s []string) [][]byte {
	out := make([][]byte, len(s))
	for i := range s {
		out[i] = []byte(s[i])
	}
	return out
}

func matchHeader(rec *record, columns []column, resource string) ([]int, error) {
	e := &HeaderError{Resource: resource, Expected: names(columns)}
	found := make([]bool, len(columns))
	target := make([]int, len(rec.ends))
	for i := range rec.ends {
		name := string(rec.field(i))
		target[i] = slices.Index(e.Expected, name)
		switch j := target[i]; {
		case j < 0:
			e.Unknown = append(e.Unknown, fmt.Sprintf("%.70q", name))
		case found[j]:
			e.Duplicate = append(e.Duplicate, name)
		default:
			found[j] = true
		}
	}
	for j, ok := range found {
		if !ok {
			e.Missing = append(e.Missing, columns[j].name)
		}
	}
	if len(e.Missing) == len(columns) {
		e.NoHeader, e.Unknown = true, nil
	}
	const most = 20 // unknown names told
	if len(e.Unknown) > most {
		e.Unknown = append(e.Unknown[:most:most], fmt.Sprintf("and %d more", len(e.Unknown)-most))
	}
	if rec.fault != syntaxOK || rec.count != len(rec.ends) || len(e.Missing)+len(e.Unknown)+len(e.Duplicate) > 0 {
		return nil, e
	}
	return target, nil
}

// next reads the next row, reporting its faults. What has a fault is null.
func (r *csvRows) next(row []Value) error {
	for {
		if err := r.csv.read(&r.rec); err != nil {
			return err
		}
		// An empty line is a row only where there is a single column.
		if !r.rec.blank() || len(r.columns) == 1 {
			break
		}
	}
	r.row++
	for i := range row {
		row[i] = Value{Null: true}
	}
	if r.rec.fault != syntaxOK {
		r.syntaxFault()
		return nil
	}
	if r.rec.count != len(r.target) {
		r.fault("", FaultFields, fmt.Sprintf("%d fields, as in the header", len(r.target)), fmt.Sprintf("%d", r.rec.count))
		return nil
	}
	for i, j := range r.target {
		row[j] = r.value(&r.columns[j], r.rec.field(i))
	}
	return nil
}

func (r *csvRows) fault(column string, kind FaultKind, expected, got string) {
	r.report(Fault{Line: r.rec.line, Row: r.row, Column: column, Kind: kind, Expected: expected, Got: got})
}

func (r *csvRows) syntaxFault() {
	column, kind, limit := "", FaultQuoting, maxField
	if r.rec.at < len(r.target) {
		c := &r.columns[r.target[r.rec.at]]
		column, limit = c.name, c.maxBytes
	}
	var expected, got string
	switch r.rec.fault {
	case syntaxQuote:
		expected, got = `a field with a quote in it to be quoted, and the quote doubled ("a ""b"" c")`, "a quote within an unquoted field"
	case syntaxAfterQuote:
		expected, got = "a comma or the line's end after a closing quote", "something else (is a quote within the field not doubled?)"
	case syntaxOpen:
		expected, got = "every quote to be closed", "the file's end within a quoted field that begins here"
	case syntaxCR:
		expected, got = "lines to end in LF or CRLF", "a CR alone"
	case syntaxLong:
		kind = FaultLength
		expected, got = fmt.Sprintf("a value of at most %d bytes and a record of at most %d", limit, maxRecord), "a longer one (is a quote before it not closed?)"
	}
	r.fault(column, kind, expected, got)
}

// value checks one field. Empty and all-white-space fields are null.
func (r *csvRows) value(c *column, text []byte) Value {
	null := Value{Null: true}
	if len(text) > c.maxBytes {
		r.fault(c.name, FaultLength, fmt.Sprintf("at most %d bytes", c.maxBytes), fmt.Sprintf("%d", len(text)))
		return null
	}
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		r.fault(c.name, FaultEncoding, "UTF-8 text (of a file in GB 18030: iconv -f GB18030 -t UTF-8)", fmt.Sprintf("%d bytes that are not", len(text)))
		return null
	}
	if len(bytes.TrimSpace(text)) == 0 {
		if c.required {
			r.fault(c.name, FaultEmpty, "a value", "none")
		}
		return null
	}
	v, ok := c.typ.parse(text)
	if !ok {
		r.fault(c.name, FaultType, c.typ.expected(), shape(text, c.typ))
		return null
	}
	if c.pattern != nil && !c.pattern.Match(text) {
		r.fault(c.name, FaultPattern, "a value that matches "+c.source, shape(text, String))
		return null
	}
	return v
}

// counters counts present and distinct values, and finds repeated ones.
type counters struct {
	rows    *csvRows
	columns []ledger.ColumnCounts
	sets    []hashSet
	seed    maphash.Seed
}

func newCounters(rows *csvRows) *counters {
	c := &counters{rows: rows, sets: make([]hashSet, len(rows.columns)), seed: maphash.MakeSeed()}
	for _, col := range rows.columns {
		c.columns = append(c.columns, ledger.ColumnCounts{Name: col.name})
	}
	return c
}

func (c *counters) add(row []Value) {
	for i := range row {
		v, col := &row[i], &c.rows.columns[i]
		if v.Null {
			continue
		}
		c.columns[i].Present++
		if c.sets[i].add(c.hash(col.typ, v)) {
			c.columns[i].Distinct++
		} else if col.unique {
			c.rows.fault(col.name, FaultDuplicate, "a value that is in no other row", "one that an earlier row has")
		}
	}
}

func (c *counters) hash(t Type, v *Value) uint64 {
	switch t {
	case String:
		return maphash.Bytes(c.seed, v.Text)
	case Number:
		return maphash.Comparable(c.seed, math.Float64bits(v.Float))
	}
	return maphash.Comparable(c.seed, v.Int)
}

// hashSet is a set of 64-bit hashes, under a key drawn for each check: open
// addressing, at most three quarters full, 11 to 22 bytes a member.
//
// Two different values meet with probability 2^-64; among n, any two with at
// most n²/2^65: 3·10^-6 for ten million, 3·10^-4 for a hundred million. Then
// the count is one too low, or a unique column has one fault too many, which
// another run, with another key, does not have.
type hashSet struct {
	slots []uint64 // 0: free
	n     int
}

// add says whether h is new.
func (s *hashSet) add(h uint64) bool {
	if h == 0 {
		h = 1
	}
	if 4*(s.n+1) > 3*len(s.slots) {
		old := s.slots
		s.slots = make([]uint64, max(64, 2*len(old)))
		for _, o := range old {
			if o != 0 {
				s.slots[s.find(o)] = o
			}
		}
	}
	i := s.find(h)
	if s.slots[i] == h {
		return false
	}
	s.slots[i] = h
	s.n++
	return true
}

// find gives the slot that holds h, or the free one where it belongs.
func (s *hashSet) find(h uint64) int {
	mask := len(s.slots) - 1 // a power of two
	i := int(h) & mask
	for s.slots[i] != 0 && s.slots[i] != h {
		i = (i + 1) & mask
	}
	return i
}
