package dot

import "errors"

// Errors that callers act on. They are wrapped with what was wrong and where.
var (
	ErrParams  = errors.New("dot: parameters")        // no such set, beyond its ranges, or not protected
	ErrCells   = errors.New("dot: cells")             // beyond the published bounds
	ErrWeights = errors.New("dot: weights")           // not one a cell, out of range, or the sum could wrap
	ErrQuery   = errors.New("dot: malformed query")   //
	ErrOperand = errors.New("dot: another operand")   // the query was made for other cells or bounds: make it again
	ErrAnswer  = errors.New("dot: malformed answer")  // or not the answer to this query
	ErrSpent   = errors.New("dot: secret was zeroed") //
	ErrSecret  = errors.New("dot: secret is not set") // all zeros: everybody knows it
)
