package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Sizes of encoded values.
const (
	MaxEntry  = 1 << 20  // an entry
	MaxHeader = 64 << 10 // a job's header
)

// Encode validates the entry and returns its canonical bytes, which are what is
// logged.
func (e *Entry) Encode() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("encoding a ledger entry: %w", err)
	}
	b, err := encode(e, MaxEntry)
	if err != nil {
		return nil, fmt.Errorf("encoding a ledger entry: %w", err)
	}
	return b, nil
}

// Decode reads an entry's canonical bytes. Unknown and repeated fields, other
// spellings, trailing data, deep nesting, numbers beyond 2^53 and whatever
// Validate refuses are errors: b decodes only if Encode gives b again.
func Decode(b []byte) (*Entry, error) {
	e := new(Entry)
	if err := decode(b, e, MaxEntry, e.Validate); err != nil {
		return nil, fmt.Errorf("decoding a ledger entry: %w", err)
	}
	return e, nil
}

// Encode validates the header and returns the canonical bytes that are signed.
func (h *Header) Encode() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("encoding a job header: %w", err)
	}
	b, err := encode(h, MaxHeader)
	if err != nil {
		return nil, fmt.Errorf("encoding a job header: %w", err)
	}
	return b, nil
}

// DecodeHeader reads a header's canonical bytes, as strictly as Decode.
func DecodeHeader(b []byte) (*Header, error) {
	h := new(Header)
	if err := decode(b, h, MaxHeader, h.Validate); err != nil {
		return nil, fmt.Errorf("decoding a job header: %w", err)
	}
	return h, nil
}

func encode(v any, most int) ([]byte, error) {
	b, err := Canonical(v)
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(b), most)
	}
	return b, nil
}

// decode reads b into v, and holds b to the bytes that v encodes to. That last
// comparison catches what encoding/json is lax about: keys in another case,
// nulls, empty fields that are left out, missing fields.
func decode(b []byte, v any, most int, validate func() error) error {
	if len(b) > most {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(b), most)
	}
	if err := checkCanonical(b); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return jsonFault(err)
	}
	if err := validate(); err != nil {
		return err
	}
	again, err := encode(v, most)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%w: a field is missing, empty where it should be left out, or spelled in another case", ErrMalformed)
	}
	return nil
}

// jsonFault keeps the place of a decoding error and drops the value.
func jsonFault(err error) error {
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return &FieldError{Path: wrong.Field, Want: "JSON of type " + wrong.Type.String()}
	}
	if errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: unknown field or wrong type", ErrMalformed)
}
