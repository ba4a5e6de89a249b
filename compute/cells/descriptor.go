package cells

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gowebpki/jcs"
)

// ErrDescriptor is under every error about a descriptor that does not hold.
var ErrDescriptor = errors.New("cells: descriptor")

// Encode returns the canonical bytes of a valid descriptor.
func (d *Descriptor) Encode() ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return d.canonical()
}

func (d *Descriptor) canonical() ([]byte, error) {
	whole := *d
	whole.Groups = append([]Group(nil), d.Groups...)
	for g := range whole.Groups {
		if whole.Groups[g].By == nil {
			whole.Groups[g].By = []string{} // the total is written []
		}
	}
	b, err := canonicalJSON(&whole)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDescriptor, err)
	}
	if len(b) > MaxDescriptor {
		return nil, fmt.Errorf("%w: %d bytes, at most %d: declare fewer codes", ErrDescriptor, len(b), MaxDescriptor)
	}
	return b, nil
}

// DecodeDescriptor reads canonical bytes. An unknown or repeated field, another
// way of writing the same, or a value out of range is refused.
func DecodeDescriptor(b []byte) (*Descriptor, error) {
	if len(b) > MaxDescriptor {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrDescriptor, len(b), MaxDescriptor)
	}
	d := new(Descriptor)
	if err := strictJSON(b, d); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDescriptor, err)
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	again, err := d.canonical()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrDescriptor)
	}
	return d, nil
}

func canonicalJSON(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(b)
}

// strictJSON refuses unknown fields. What it forgives besides (order, spaces,
// repeated names, trailing data, letter case) shows as a difference when the
// caller writes the value again.
func strictJSON(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

const upperHex = "0123456789ABCDEF"

// isPlain says whether the byte stands for itself in a label's JSON.
func isPlain(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '%' }

// MarshalJSON implements json.Marshaler.
func (l Labels) MarshalJSON() ([]byte, error) {
	escaped := make([]string, len(l))
	for i, s := range l {
		escaped[i] = escapeLabel(s)
	}
	return json.Marshal(escaped)
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Labels) UnmarshalJSON(b []byte) error {
	var escaped []string
	if err := json.Unmarshal(b, &escaped); err != nil {
		return err
	}
	out := make(Labels, len(escaped))
	for i, s := range escaped {
		label, ok := unescapeLabel(s)
		if !ok {
			return fmt.Errorf("%.80q is no label: expected %%XX for what is not printable ASCII", s)
		}
		out[i] = label
	}
	*l = out
	return nil
}

func escapeLabel(s string) string {
	plain := 0
	for plain < len(s) && isPlain(s[plain]) {
		plain++
	}
	if plain == len(s) {
		return s
	}
	out := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		if c := s[i]; isPlain(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(out)
}

// unescapeLabel takes what escapeLabel writes. Other escapes of the same text are
// found out by writing it again.
func unescapeLabel(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			high, low := bytes.IndexByte([]byte(upperHex), s[i+1]), bytes.IndexByte([]byte(upperHex), s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		} else if !isPlain(c) {
			return "", false
		}
		out = append(out, c)
	}
	return string(out), true
}
