// Package text holds every sentence that the command line shows a person,
// each under a stable id, in one file per language.
//
// A message is a format in the manner of package fmt. An id that is missing
// from a language is a failing test, not a surprise at a user's terminal.
package text

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed en.json
var enJSON []byte

var en = load(enJSON)

func load(b []byte) map[string]string {
	m := map[string]string{}
	if err := json.Unmarshal(b, &m); err != nil {
		panic("text: the embedded catalogue is broken: " + err.Error())
	}
	return m
}

// T returns the message id, formatted with args. An id that nobody wrote
// shows itself, so that nothing is ever silent.
func T(id string, args ...any) string {
	format, ok := en[id]
	if !ok {
		return fmt.Sprintf("[%s] %v", id, args)
	}
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

// Error is an error whose text is a message of the catalogue.
type Error struct {
	ID    string
	Args  []any
	Cause error
}

// E makes an Error. A cause among args is also what errors.Is and As see.
func E(id string, args ...any) *Error {
	e := &Error{ID: id, Args: args}
	for _, a := range args {
		if err, ok := a.(error); ok {
			e.Cause = err
		}
	}
	return e
}

func (e *Error) Error() string { return T(e.ID, e.Args...) }

// Unwrap returns the cause, if any.
func (e *Error) Unwrap() error { return e.Cause }
