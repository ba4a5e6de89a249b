package gateway

import (
	"errors"
	"fmt"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Error is why the gateway did not do what it was asked. Reason, Rule, Meta
// and Retry may go to the caller; Err is the operator's alone and never
// leaves the domain.
type Error struct {
	Reason ledger.Reason     // stable, see policy/ledger
	Rule   string            // the policy, quota or check that refused
	Meta   map[string]string // numbers and names that help the caller; no raw value
	Retry  time.Duration     // how long to wait before trying again; 0: do not
	Err    error             // what happened inside
}

// Error is for the operator's eyes.
func (e *Error) Error() string {
	s := "gateway: " + string(e.Reason)
	if e.Rule != "" {
		s += " by " + e.Rule
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns what happened inside.
func (e *Error) Unwrap() error { return e.Err }

// Is matches another *Error of the same reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == e.Reason
}

// ReasonOf returns the reason under err: INTERNAL where nobody said, "" for nil.
func ReasonOf(err error) ledger.Reason {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ledger.ReasonInternal
}

func refuse(r ledger.Reason, rule string, meta ...string) *Error {
	e := &Error{Reason: r, Rule: rule}
	for i := 0; i+1 < len(meta); i += 2 {
		if e.Meta == nil {
			e.Meta = map[string]string{}
		}
		e.Meta[meta[i]] = meta[i+1]
	}
	return e
}

func badRequest(format string, args ...any) *Error {
	return refuse(ledger.ReasonBadRequest, "request", "detail", fmt.Sprintf(format, args...))
}

func internal(doing string, err error) *Error {
	return &Error{Reason: ledger.ReasonInternal, Rule: "internal", Err: fmt.Errorf("%s: %w", doing, err)}
}

func unavailable(rule string, retry time.Duration, err error) *Error {
	return &Error{Reason: ledger.ReasonUnavailable, Rule: rule, Retry: retry, Err: err}
}
