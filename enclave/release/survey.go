package release

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/sealed"
)

// Refusal is one reason why a table may not be made. What is stable, for
// messages in other languages; Rows is how many rows it concerns.
type Refusal struct {
	What   string // see the constants
	Column string // where it is one column's
	Rows   int64
	Limit  int64 // label-bits: the declared bound; Rows is then what was measured
}

// What can stand against a table.
const (
	RefusedBlankKey      = "key-blank"       // a key or claim is absent or blank
	RefusedDuplicateKey  = "key-duplicate"   // keys occur twice after encoding
	RefusedBadKey        = "key-unencodable" // a key or claim has characters that the rule does not know, or is too long
	RefusedLongLabel     = "label-long"      // a label does not fit labelBytes
	RefusedBadLabel      = "label-text"      // a label holds a control character
	RefusedUnbanded      = "label-unbanded"  // a value falls into no band
	RefusedLabelBits     = "label-bits"      // more distinct labels than release.maxLabelBits allows
	RefusedNoRecords     = "no-records"      // nothing is left to publish
	RefusedSpecification = "specification"
)

func (r Refusal) String() string {
	switch r.What {
	case RefusedLabelBits:
		return fmt.Sprintf("labels differ in %d bits, release.maxLabelBits allows %d", r.Rows, r.Limit)
	case RefusedNoRecords:
		return "no record is left to publish"
	}
	s := fmt.Sprintf("%s: %d rows", r.What, r.Rows)
	if r.Column != "" {
		s += " of column " + r.Column
	}
	return s
}

// RefusedError says why a table may not be made.
type RefusedError struct{ Refusals []Refusal }

func (e *RefusedError) Error() string {
	s := "release: refused:"
	for i, r := range e.Refusals {
		if i > 0 {
			s += ";"
		}
		s += " " + r.String()
	}
	return s
}

// maxDistinct bounds the labels that are told apart; a product with more has
// no label but a second copy of the data.
const maxDistinct = 1 << 20

// survey is what the rows hold, as far as the release rule asks.
type survey struct {
	rule    *rule
	rows    int64
	take    []uint64 // a bit per row: it becomes a record
	records int64
	skipped int64 // left out by a declared rule

	keys     map[[16]byte]int64 // hash of the encoded keys → row that stands for it
	labels   map[string]uint32  // distinct labels, numbered
	overflow bool               // more than maxDistinct of them

	refused map[[2]string]int64 // what, column → rows
}

// take one pass over the rows: nothing is evaluated before everything that can
// be refused is known.
func surveyRows(ctx context.Context, table *sealed.Table, r *rule, progress func(done, total int64)) (*survey, error) {
	s := &survey{rule: r, keys: map[[16]byte]int64{}, labels: map[string]uint32{}, refused: map[[2]string]int64{}}
	s.take = make([]uint64, (table.Rows()+63)/64)
	err := scan(ctx, table, r, func(fields []field) error {
		s.row(fields)
		if progress != nil && s.rows%progressRows == 0 {
			progress(s.rows, table.Rows())
		}
		return nil
	})
	return s, err
}

const progressRows = 4096

func (s *survey) row(fields []field) {
	row := s.rows
	s.rows++
	r := s.rule
	key, ok := s.encode(fields)
	if !ok {
		return
	}
	if _, ok := s.label(fields[r.keys+r.claims:]); !ok {
		return
	}
	before, twice := s.keys[key]
	switch {
	case !twice:
		s.keys[key] = row
		s.set(row, true)
		s.records++
	case r.verify.OnDuplicates() == "first":
		s.skipped++
	case r.verify.OnDuplicates() == "last":
		s.set(before, false)
		s.set(row, true)
		s.keys[key] = row
		s.skipped++
	default:
		s.refused[[2]string{RefusedDuplicateKey, ""}]++
	}
}

func (s *survey) set(row int64, on bool) {
	if on {
		s.take[row/64] |= 1 << (row % 64)
	} else {
		s.take[row/64] &^= 1 << (row % 64)
	}
}

func (s *survey) taken(row int64) bool { return s.take[row/64]&(1<<(row%64)) != 0 }

// encode is the hash of the row's keys, without claims: those identify it. The
// whole input, claims included, has to encode too.
func (s *survey) encode(fields []field) (key [16]byte, ok bool) {
	r := s.rule
	input := fields[:r.keys+r.claims]
	for i, f := range input {
		if f.absent {
			s.blank(i)
			return key, false
		}
	}
	values := texts(input)
	b, err := oprf.Encode(r.verify.Normalise, r.domain, values...)
	if err == nil && r.claims > 0 {
		b, err = oprf.Encode(r.verify.Normalise, r.domain, values[:r.keys]...)
	}
	switch {
	case errors.Is(err, oprf.ErrBlank):
		s.blank(firstBlank(r.verify.Normalise, values))
		return key, false
	case err != nil:
		s.refused[[2]string{RefusedBadKey, ""}]++
		return key, false
	}
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16]), true
}

func firstBlank(rule string, values []string) int {
	for i, v := range values {
		if text, err := oprf.Normalise(rule, v); err == nil && text == "" {
			return i
		}
	}
	return 0
}

func (s *survey) blank(column int) {
	if s.rule.verify.OnBlanks() == "skip" {
		s.skipped++
		return
	}
	s.refused[[2]string{RefusedBlankKey, s.rule.columns[column]}]++
}

// label numbers the row's label.
func (s *survey) label(fields []field) (uint32, bool) {
	if len(s.rule.labels) == 0 {
		return 0, true
	}
	label, what, column := s.rule.label(fields)
	if what != "" {
		s.refused[[2]string{what, column}]++
		return 0, false
	}
	n, known := s.labels[string(label)]
	if !known {
		if len(s.labels) == maxDistinct {
			s.overflow = true
			return 0, true
		}
		n = uint32(len(s.labels))
		s.labels[string(label)] = n
	}
	return n, true
}

// label makes a row's label, or says what stands against it, in which column.
func (r *rule) label(fields []field) (label []byte, what, column string) {
	parts := make([]string, len(fields))
	for i, f := range fields {
		text, err := r.labels[i].text(f.text, f.absent)
		if err != nil {
			return nil, RefusedUnbanded, r.labels[i].column
		}
		parts[i] = text
	}
	label, err := lookup.EncodeLabel(parts, r.labelBytes())
	switch {
	case errors.Is(err, oprf.ErrLabel):
		return nil, RefusedLongLabel, ""
	case err != nil:
		return nil, RefusedBadLabel, ""
	}
	return label, "", ""
}

// labelBits is ⌈log2 of the number of distinct labels⌉.
func (s *survey) labelBits() int {
	n := len(s.labels)
	if s.overflow {
		n++
	}
	if n <= 1 {
		return 0
	}
	return bits.Len(uint(n - 1))
}

// refusals are what stands against a table, in a fixed order.
func (s *survey) refusals() []Refusal {
	var out []Refusal
	for _, what := range []string{RefusedBlankKey, RefusedBadKey, RefusedDuplicateKey, RefusedLongLabel, RefusedBadLabel, RefusedUnbanded} {
		for _, column := range append([]string{""}, s.rule.columns...) {
			if n := s.refused[[2]string{what, column}]; n > 0 {
				out = append(out, Refusal{What: what, Column: column, Rows: n})
			}
		}
	}
	if most := s.rule.spec.Product.Release.MaxLabelBits; len(s.rule.labels) > 0 && s.labelBits() > most {
		out = append(out, Refusal{What: RefusedLabelBits, Rows: int64(s.labelBits()), Limit: int64(most)})
	}
	if s.records == 0 && len(out) == 0 {
		out = append(out, Refusal{What: RefusedNoRecords})
	}
	return out
}
