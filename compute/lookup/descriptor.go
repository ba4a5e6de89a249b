package lookup

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/gowebpki/jcs"

	"github.com/yingbi/yingbi/compute/oprf"
)

// Descriptor is what a publish entry says about one version of a masked
// table: all that a client needs to look something up in it, and all that
// binds a gateway to what it published. It holds nothing secret. A client
// accepts one only with the ledger's inclusion proof under a checkpoint.
//
// A descriptor is written in one way only (RFC 8785), so that its digest is
// the digest of its meaning.
type Descriptor struct {
	V          int      `json:"v"`                // DescriptorVersion
	Product    string   `json:"product"`          //
	Document   string   `json:"document"`         // digest of the reviewed product document
	Answer     string   `json:"answer"`           // exists, equals, label
	Epoch      int      `json:"epoch"`            // from 1; one OPRF key, one meaning
	Version    int      `json:"version"`          // from 1 within the epoch
	Population int64    `json:"population"`       // records in the table
	Encoding   Encoding `json:"encoding"`         // how identifiers become OPRF inputs
	OPRF       OPRFKey  `json:"oprf"`             //
	Labels     []string `json:"labels,omitempty"` // answered columns, in the order of the label's fields
	LabelBytes int      `json:"labelBytes"`       // 0 where the answer is a bit
	Slots      int      `json:"slots"`            // slots a column
	Salt       Hex32    `json:"salt"`             // of the hash from OPRF output to column
	Table      Hex32    `json:"table"`            // the table id that tags and masks are bound to
	Lattice    Public   `json:"lattice"`          //
}

// Encoding names the rule by which the fields of an identifier become one
// OPRF input.
type Encoding struct {
	Rule    string   `json:"rule"`    // e.g. text-v1
	Unicode string   `json:"unicode"` // version of the Unicode tables that the rule was applied with
	Domain  string   `json:"domain"`  // product/answer: one key, one meaning
	Fields  []string `json:"fields"`  // key columns, then claimed columns
}

// OPRFKey is the public half of the key that an epoch evaluates under.
type OPRFKey struct {
	Suite string `json:"suite"` // ristretto255-SHA512, VOPRF mode of RFC 9497
	Key   Hex32  `json:"key"`   //
}

// Limits and fixed values of descriptors.
const (
	DescriptorVersion = 1
	MaxDescriptor     = 16 << 10 // bytes of canonical JSON
	MaxLabelBytes     = oprf.MaxLabelBytes
	MaxFields         = oprf.MaxFields
	SuiteRistretto255 = "ristretto255-SHA512"
)

// Answer kinds of a verify product.
const (
	AnswerExists = "exists"
	AnswerEquals = "equals"
	AnswerLabel  = "label"
)

// ErrDescriptor is under every error about a descriptor that does not hold.
var ErrDescriptor = errors.New("lookup: descriptor")

// Hex32 is 32 bytes, in JSON as 64 lower-case hexadecimal digits.
type Hex32 [32]byte

// MarshalText implements encoding.TextMarshaler.
func (h Hex32) MarshalText() ([]byte, error) {
	return []byte(hex.EncodeToString(h[:])), nil
}

// UnmarshalText implements encoding.TextUnmarshaler, strictly.
func (h *Hex32) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) || strings.ToLower(string(text)) != string(text) {
		return fmt.Errorf("%w: expected 64 lower-case hexadecimal digits", ErrDescriptor)
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("%w: expected 64 lower-case hexadecimal digits", ErrDescriptor)
	}
	return nil
}

// Encode returns the canonical bytes of a valid descriptor.
func (d *Descriptor) Encode() ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return d.canonical()
}

func (d *Descriptor) canonical() ([]byte, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDescriptor, err)
	}
	b, err = jcs.Transform(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDescriptor, err)
	}
	if len(b) > MaxDescriptor {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrDescriptor, len(b), MaxDescriptor)
	}
	return b, nil
}

// DecodeDescriptor reads canonical bytes. An unknown or repeated field,
// another way of writing the same, or a value out of range is refused.
func DecodeDescriptor(b []byte) (*Descriptor, error) {
	if len(b) > MaxDescriptor {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrDescriptor, len(b), MaxDescriptor)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	d := new(Descriptor)
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDescriptor, err)
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	again, err := d.canonical()
	if err != nil {
		return nil, err
	}
	// Whatever the decoder forgives (order, spaces, repeated names, trailing
	// data, letter case) shows as a difference here.
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrDescriptor)
	}
	return d, nil
}

var (
	productPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)
	columnPattern  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	digestPattern  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	namePattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)
)

const maxOrdinal = 1 << 30 // epochs and versions travel as int32

// Validate checks every range and every relation between fields.
func (d *Descriptor) Validate() error {
	fail := func(field string, got any, expected string) error {
		return fmt.Errorf("%w: %s is %v, expected %s", ErrDescriptor, field, got, expected)
	}
	switch {
	case d.V != DescriptorVersion:
		return fail("v", d.V, fmt.Sprint(DescriptorVersion))
	case !productPattern.MatchString(d.Product):
		return fail("product", fmt.Sprintf("%.64q", d.Product), "a product id")
	case !digestPattern.MatchString(d.Document):
		return fail("document", fmt.Sprintf("%.80q", d.Document), "sha256: and 64 hexadecimal digits")
	case d.Epoch < 1 || d.Epoch > maxOrdinal:
		return fail("epoch", d.Epoch, "1 or more")
	case d.Version < 1 || d.Version > maxOrdinal:
		return fail("version", d.Version, "1 or more")
	case !namePattern.MatchString(d.Encoding.Rule):
		return fail("encoding.rule", fmt.Sprintf("%.64q", d.Encoding.Rule), "a rule's name")
	case !namePattern.MatchString(d.Encoding.Unicode):
		return fail("encoding.unicode", fmt.Sprintf("%.64q", d.Encoding.Unicode), "a Unicode version")
	case d.Encoding.Domain != d.Product+"/"+d.Answer:
		return fail("encoding.domain", fmt.Sprintf("%.128q", d.Encoding.Domain), "product/answer")
	case d.OPRF.Suite != SuiteRistretto255:
		return fail("oprf.suite", fmt.Sprintf("%.64q", d.OPRF.Suite), SuiteRistretto255)
	}
	if err := checkColumns("encoding.fields", d.Encoding.Fields, 1); err != nil {
		return err
	}
	if err := d.validateAnswer(); err != nil {
		return err
	}
	if id := oprf.NewTableID(d.Product, d.Answer, d.Epoch); d.Table != Hex32(id) {
		return fail("table", "another", "the id of this product, answer and epoch")
	}
	if _, err := oprf.ParsePublicKey(d.OPRF.Key[:]); err != nil {
		return fmt.Errorf("%w: oprf.key: %w", ErrDescriptor, err)
	}
	return d.validateShape()
}

func (d *Descriptor) validateAnswer() error {
	switch d.Answer {
	case AnswerExists, AnswerEquals:
		if d.LabelBytes != 0 || d.Labels != nil {
			return fmt.Errorf("%w: the answer %s has no label", ErrDescriptor, d.Answer)
		}
		return nil
	case AnswerLabel:
		if d.LabelBytes < 1 || d.LabelBytes > MaxLabelBytes {
			return fmt.Errorf("%w: labelBytes is %d, expected 1 to %d", ErrDescriptor, d.LabelBytes, MaxLabelBytes)
		}
		return checkColumns("labels", d.Labels, 1)
	}
	return fmt.Errorf("%w: answer is %.32q, expected exists, equals or label", ErrDescriptor, d.Answer)
}

func (d *Descriptor) validateShape() error {
	if err := d.Lattice.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	layout := oprf.Layout{ColumnBytes: d.Lattice.Rows, LabelBytes: d.LabelBytes}
	if slots := layout.Slots(); d.Slots != slots {
		return fmt.Errorf("%w: slots is %d, expected %d for columns of %d bytes", ErrDescriptor, d.Slots, slots, d.Lattice.Rows)
	}
	if room := int64(d.Lattice.Columns) * int64(d.Slots); d.Population < 0 || d.Population > room {
		return fmt.Errorf("%w: population is %d, expected 0 to %d", ErrDescriptor, d.Population, room)
	}
	return nil
}

func checkColumns(field string, names []string, least int) error {
	if len(names) < least || len(names) > MaxFields {
		return fmt.Errorf("%w: %s has %d names, expected %d to %d", ErrDescriptor, field, len(names), least, MaxFields)
	}
	for _, n := range names {
		if !columnPattern.MatchString(n) {
			return fmt.Errorf("%w: %s names %.64q, expected a column", ErrDescriptor, field, n)
		}
	}
	return nil
}

// labelSeparator stands between the fields of a label. No field holds it:
// EncodeLabel refuses control characters.
const labelSeparator = "\t"

// ErrLabel is under every error about a label's encoding.
var ErrLabel = errors.New("lookup: label")

// EncodeLabel writes a label's fields as text, zero-padded to size bytes.
// Control characters and text that is too long are refused; the error names
// the field by its place and never its value.
func EncodeLabel(fields []string, size int) ([]byte, error) {
	if size < 1 || len(fields) < 1 || len(fields) > MaxFields {
		return nil, fmt.Errorf("%w: %d fields in %d bytes, expected 1 to %d fields in at least a byte", ErrLabel, len(fields), size, MaxFields)
	}
	for i, f := range fields {
		if strings.ContainsFunc(f, unicode.IsControl) {
			return nil, fmt.Errorf("%w: field %d has a control character", ErrLabel, i+1)
		}
	}
	label, err := oprf.PadLabel(strings.Join(fields, labelSeparator), size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLabel, err)
	}
	return label, nil
}

// DecodeLabel returns the fields that EncodeLabel wrote. It refuses what
// EncodeLabel cannot have written.
func DecodeLabel(label []byte, fields int) ([]string, error) {
	text, err := oprf.TrimLabel(label)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLabel, err)
	}
	parts := strings.Split(text, labelSeparator)
	if len(parts) != fields {
		return nil, fmt.Errorf("%w: %d fields, expected %d", ErrLabel, len(parts), fields)
	}
	if _, err := EncodeLabel(parts, len(label)); err != nil {
		return nil, err
	}
	return parts, nil
}
