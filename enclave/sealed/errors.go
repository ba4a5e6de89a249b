package sealed

import (
	"errors"
	"fmt"
	"runtime"
)

// Errors that callers act on.
var (
	ErrExists   = errors.New("sealed: there is such a file already")
	ErrKey      = errors.New("sealed: the key cannot be had")
	ErrCorrupt  = errors.New("sealed: the file is damaged or was altered")
	ErrOther    = errors.New("sealed: the file holds another resource or version")
	ErrLayout   = errors.New("sealed: the file has another layout version")
	ErrShredded = errors.New("sealed: the column's key was destroyed")
	ErrColumn   = errors.New("sealed: no such column")
	ErrChanged  = errors.New("sealed: the file was changed while it was imported")
)

// guard calls into the Parquet library, and turns what it panics with into an
// error. It must not be put around anything else: a panic of our own has to
// stay one. The library's messages name offsets and paths, never values.
func guard(what string, f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("%s: %w", what, p)
		case error:
			err = fmt.Errorf("%s: %w", what, p)
		default:
			err = fmt.Errorf("%s: %v", what, p)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
