package ledger

import (
	"errors"
	"fmt"
)

// Errors that callers act on. Everything that does not decode wraps
// ErrMalformed, the more special ones included.
var (
	// ErrMalformed: the bytes are not what this package writes.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge: a size limit is passed. Wraps ErrMalformed.
	ErrTooLarge = fmt.Errorf("%w: too large", ErrMalformed)
	// ErrNotCanonical: JSON, but not its RFC 8785 form. Wraps ErrMalformed.
	ErrNotCanonical = fmt.Errorf("%w: not canonical JSON (RFC 8785)", ErrMalformed)
	// ErrVersion: another schema version; a newer program may read it. Wraps ErrMalformed.
	ErrVersion = fmt.Errorf("%w: unknown schema version", ErrMalformed)
	// ErrSignature: a signature does not verify, or the expected key did not sign.
	ErrSignature = errors.New("signature does not verify")
	// ErrInclusion: an entry is not at its place in the tree.
	ErrInclusion = errors.New("entry is not in the tree at its index")
	// ErrInconsistent: two tree heads do not belong to one growing log.
	ErrInconsistent = errors.New("tree heads are not of one growing log")
)

// FieldError says which field breaks which rule. It wraps ErrMalformed and
// carries no value.
type FieldError struct {
	Path string // e.g. "call.header.job"; empty for the whole
	Want string // e.g. "a UUID in lower case"
}

// Error names the field and what belongs there.
func (e *FieldError) Error() string {
	if e.Path == "" {
		return "expected " + e.Want
	}
	return e.Path + ": expected " + e.Want
}

// Unwrap returns ErrMalformed.
func (e *FieldError) Unwrap() error { return ErrMalformed }
