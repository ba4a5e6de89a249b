package lookup

import "errors"

// Errors that callers act on. They are wrapped with what was wrong and where.
var (
	ErrParams   = errors.New("lookup: parameters")                 // not a shape that is served
	ErrPublic   = errors.New("lookup: public part")                // descriptor or answer part malformed or not matching
	ErrQuery    = errors.New("lookup: malformed query")            //
	ErrAnswer   = errors.New("lookup: malformed answer")           //
	ErrLayout   = errors.New("lookup: not a table of this layout") // another file or another version of yingbi: build it again
	ErrCorrupt  = errors.New("lookup: table file is damaged")      // restore it or build it again
	ErrMismatch = errors.New("lookup: another table")              // whole, but not the one that was published
	ErrClosed   = errors.New("lookup: table is closed")            //
	ErrSpent    = errors.New("lookup: decoder was zeroed")         //
)
