package oprf

import "errors"

// Errors that callers act on. They are wrapped with the place (which element,
// which field, at which byte), never with the value.
var (
	// ErrRule: the descriptor names a normalisation rule this build does not
	// know. A newer yingbi is needed; guessing would look up the wrong person.
	ErrRule = errors.New("unknown normalisation rule")
	// ErrText: a field is not valid UTF-8, or holds a control character or a
	// code point that the rule's Unicode version does not assign.
	ErrText = errors.New("text not acceptable to the normalisation rule")
	// ErrBlank: nothing is left of a field after normalising.
	ErrBlank = errors.New("blank field")
	// ErrTooLong: a field or the whole encoding exceeds its limit.
	ErrTooLong = errors.New("input too long")
	// ErrDomain: the domain of an encoding is empty, too long or not plain text.
	ErrDomain = errors.New("domain not acceptable")
	// ErrFields: no fields, or more than MaxFields.
	ErrFields = errors.New("number of fields out of range")

	// ErrBatch: no elements, more than MaxBatch, or not the number expected.
	ErrBatch = errors.New("batch size out of range")
	// ErrElement: bytes that are not the canonical encoding of a group element.
	ErrElement = errors.New("not a canonical ristretto255 element")
	// ErrIdentity: the identity element, which RFC 9497 forbids everywhere.
	ErrIdentity = errors.New("identity element")
	// ErrProof: the evaluation was not made with the published key. Do not use
	// or retry it silently: it is evidence.
	ErrProof = errors.New("proof does not verify under the public key")
	// ErrKey: a key of the wrong size, zero, not canonical, or already zeroed.
	ErrKey = errors.New("key not acceptable")
	// ErrBlinds: the reader of blinds failed, belongs to other inputs, or was
	// used before.
	ErrBlinds = errors.New("randomness for blinds not acceptable")
	// ErrZeroed: the batch was zeroed.
	ErrZeroed = errors.New("batch already zeroed")

	// ErrLayout: sizes of a column or slot that do not fit together.
	ErrLayout = errors.New("column layout not acceptable")
	// ErrLabel: a label that is not text of the layout's length.
	ErrLabel = errors.New("label not acceptable")
	// ErrColumnFull: more members than slots. Draw the public salt again.
	ErrColumnFull = errors.New("column full")
	// ErrDuplicate: one output twice in a column: a key that is not unique.
	ErrDuplicate = errors.New("duplicate member of a column")
)
