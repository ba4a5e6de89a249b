package lookup

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Seeds are what the public polynomials A, w and v are expanded from, each from
// its own.
type Seeds struct {
	A Hex32 `json:"a"`
	W Hex32 `json:"w"`
	V Hex32 `json:"v"`
}

// NewSeeds draws seeds.
func NewSeeds() Seeds {
	var s Seeds
	for _, seed := range []*Hex32{&s.A, &s.W, &s.V} {
		rand.Read(seed[:]) // never fails: crypto/rand aborts the program instead
	}
	return s
}

// Validate refuses seeds that are not separate.
func (s Seeds) Validate() error {
	if s.A == s.W || s.A == s.V || s.W == s.V {
		return fmt.Errorf("%w: two of the seeds are equal, expected three independent ones", ErrPublic)
	}
	return nil
}

// Public is the lattice part of a descriptor: all that a client needs besides
// the public answer part, and all that a table file is held to.
type Public struct {
	Params    string `json:"params"`    // ParamsID
	Columns   int    `json:"columns"`   //
	Rows      int    `json:"rows"`      // bytes of a column
	SubTables int    `json:"subTables"` // 1
	Seeds     Seeds  `json:"seeds"`     //
	Table     string `json:"table"`     // digest of the table's bytes, column-major
	Answer    string `json:"answer"`    // digest of the public answer part â

	QueryBytes  int `json:"queryBytes"`
	AnswerBytes int `json:"answerBytes"`
	PublicBytes int `json:"publicBytes"`
}

// Shape returns the parameters that p names. They are valid if p is.
func (p Public) Shape() Params {
	return Params{ID: p.Params, Columns: p.Columns, Rows: p.Rows}
}

// Validate checks every field. It does not know whether the digests are right.
func (p Public) Validate() error {
	shape := p.Shape()
	if err := shape.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrPublic, err)
	}
	if p.SubTables != 1 {
		return fmt.Errorf("%w: subTables is %d, expected 1", ErrPublic, p.SubTables)
	}
	if err := p.Seeds.Validate(); err != nil {
		return err
	}
	for _, d := range []struct{ field, digest string }{{"table", p.Table}, {"answer", p.Answer}} {
		if _, err := parseDigest(d.digest); err != nil {
			return fmt.Errorf("%w: %s: %v", ErrPublic, d.field, err)
		}
	}
	for _, s := range []struct {
		field     string
		got, want int
	}{
		{"queryBytes", p.QueryBytes, shape.QueryBytes()},
		{"answerBytes", p.AnswerBytes, shape.AnswerBytes()},
		{"publicBytes", p.PublicBytes, shape.PublicBytes()},
	} {
		if s.got != s.want {
			return fmt.Errorf("%w: %s is %d, expected %d for %d × %d", ErrPublic, s.field, s.got, s.want, p.Columns, p.Rows)
		}
	}
	return nil
}

// newPublic describes a table whose digests are known.
func newPublic(p Params, seeds Seeds, table, answer [sha256.Size]byte) Public {
	return Public{
		Params: p.ID, Columns: p.Columns, Rows: p.Rows, SubTables: 1, Seeds: seeds,
		Table: formatDigest(table), Answer: formatDigest(answer),
		QueryBytes: p.QueryBytes(), AnswerBytes: p.AnswerBytes(), PublicBytes: p.PublicBytes(),
	}
}

// binding is a digest of everything that two tables can differ in, for the
// derivation of secrets. Every field has a fixed length but the last.
func (p Public) binding() [sha256.Size]byte {
	h := sha256.New()
	for _, n := range []int{p.Columns, p.Rows, p.SubTables} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	}
	for _, seed := range []Hex32{p.Seeds.A, p.Seeds.W, p.Seeds.V} {
		h.Write(seed[:])
	}
	h.Write([]byte(p.Table)) // 71 bytes, as Validate has checked
	h.Write([]byte(p.Answer))
	h.Write([]byte(p.Params))
	return [sha256.Size]byte(h.Sum(nil))
}

const digestPrefix = "sha256:"

func formatDigest(d [sha256.Size]byte) string { return digestPrefix + hex.EncodeToString(d[:]) }

// parseDigest reads "sha256:" and 64 lower-case hexadecimal digits.
func parseDigest(s string) (d [sha256.Size]byte, err error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(digits) != 2*len(d) || strings.ToLower(digits) != digits {
		return d, fmt.Errorf("digest %.80q, expected sha256: and 64 lower-case hexadecimal digits", s)
	}
	if _, err := hex.Decode(d[:], []byte(digits)); err != nil {
		return d, fmt.Errorf("digest %.80q: %w", s, err)
	}
	return d, nil
}
