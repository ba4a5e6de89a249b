package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
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
	b, err := encode(planEntry, e, MaxEntry)
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
	if err := versioned(b, decode(planEntry, b, e, MaxEntry, e.Validate)); err != nil {
		return nil, fmt.Errorf("decoding a ledger entry: %w", err)
	}
	return e, nil
}

// Encode validates the header and returns the canonical bytes that are signed.
func (h *Header) Encode() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("encoding a job header: %w", err)
	}
	b, err := encode(planHeader, h, MaxHeader)
	if err != nil {
		return nil, fmt.Errorf("encoding a job header: %w", err)
	}
	return b, nil
}

// DecodeHeader reads a header's canonical bytes, as strictly as Decode.
func DecodeHeader(b []byte) (*Header, error) {
	h := new(Header)
	if err := versioned(b, decode(planHeader, b, h, MaxHeader, h.Validate)); err != nil {
		return nil, fmt.Errorf("decoding a job header: %w", err)
	}
	return h, nil
}

// encode writes *v, which the caller has validated.
func encode(p *plan, v any, most int) ([]byte, error) {
	b, err := p.append(make([]byte, 0, 2<<10), reflect.ValueOf(v).Elem())
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(b), most)
	}
	return b, nil
}

// decode reads b into *v and validates it.
func decode(p *plan, b []byte, v any, most int, validate func() error) error {
	if len(b) > most {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(b), most)
	}
	s := scanner{b: b}
	if err := p.read(&s, reflect.ValueOf(v).Elem()); err != nil {
		return err
	}
	if s.at != len(b) {
		return s.fail("something follows the value")
	}
	return validate()
}

// versioned says that b is of another schema version, if that is why it did not
// decode: fields of a later version are unknown to this one.
func versioned(b []byte, err error) error {
	if err == nil || errors.Is(err, ErrTooLarge) || checkCanonical(b) != nil {
		return err
	}
	var probe struct {
		V *int `json:"v"`
	}
	if json.Unmarshal(b, &probe) == nil && probe.V != nil && *probe.V != Version {
		return ErrVersion
	}
	return err
}
