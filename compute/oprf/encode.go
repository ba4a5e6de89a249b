package oprf

import (
	"encoding/binary"
	"fmt"
)

// Limits of an encoding.
const (
	// MaxEncoded bounds an encoding in bytes. RFC 9497 allows 65,535.
	MaxEncoded = 4096
	// MaxFields bounds the fields of one key.
	MaxFields = 16
	maxDomain = 256
)

// Encode returns the OPRF input for the fields of one key 主键, in their declared
// order: the fields normalised by the rule, every part prefixed with its length,
// so that no two lists of fields share an encoding. domain says what the answer
// means, as "product/answer": an output of one product says nothing in another.
//
//	u16 ‖ rule ‖ u16 ‖ domain ‖ u16 number of fields ‖ (u16 ‖ field)…   big-endian
//
// For the answer kind "equals" the claim is a field like the others.
func Encode(rule, domain string, fields ...string) ([]byte, error) {
	if _, err := RuleInfo(rule); err != nil {
		return nil, err
	}
	if err := checkDomain(domain); err != nil {
		return nil, err
	}
	if len(fields) == 0 || len(fields) > MaxFields {
		return nil, fmt.Errorf("oprf: encoding: %w: %d, want 1 to %d", ErrFields, len(fields), MaxFields)
	}
	out := appendPart(nil, rule)
	out = appendPart(out, domain)
	out = binary.BigEndian.AppendUint16(out, uint16(len(fields)))
	for i, f := range fields {
		s, err := normaliseText(f)
		if err != nil {
			return nil, fmt.Errorf("oprf: encoding field %d: %w", i+1, err)
		}
		if s == "" {
			return nil, fmt.Errorf("oprf: encoding field %d: %w", i+1, ErrBlank)
		}
		out = appendPart(out, s)
	}
	if len(out) > MaxEncoded {
		return nil, fmt.Errorf("oprf: encoding: %w: %d bytes, at most %d", ErrTooLong, len(out), MaxEncoded)
	}
	return out, nil
}

// checkDomain wants printable ASCII: a domain is made of identifiers, and one
// that could be written in two ways would make two keys of one.
func checkDomain(domain string) error {
	if domain == "" || len(domain) > maxDomain {
		return fmt.Errorf("oprf: encoding: %w: %d bytes, want 1 to %d", ErrDomain, len(domain), maxDomain)
	}
	for i := range len(domain) {
		if c := domain[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("oprf: encoding: %w: not printable ASCII at byte %d", ErrDomain, i)
		}
	}
	return nil
}

// appendPart writes a part that is known to be at most MaxField bytes long.
func appendPart(dst []byte, part string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(part)))
	return append(dst, part...)
}
