package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Error is a gateway's refusal. Reason is stable; Message is for people.
type Error struct {
	Op        string            // what was being done
	Reason    ledger.Reason     // why, e.g. QUOTA_EXHAUSTED; INTERNAL where the gateway gave none
	Rule      string            // the policy, quota or check that refused
	Message   string            // English
	Localized map[string]string // Message in other languages, by locale (zh-CN), as the gateway sent it
	Retry     time.Duration     // when to try again; 0: trying again does not help
	Metadata  map[string]string
	cause     error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%s", e.Op, e.Message, e.Reason)
	if e.Rule != "" {
		fmt.Fprintf(&b, ", rule %s", e.Rule)
	}
	b.WriteString(")")
	return b.String()
}

// Unwrap returns the gRPC status error.
func (e *Error) Unwrap() error { return e.cause }

// Errors of the client's own checks. Any of them means that the gateway, or
// something between, is not what it claims to be: do not pay, report it.
var (
	// ErrUntrusted: a checkpoint, receipt, proof or descriptor did not verify.
	ErrUntrusted = errors.New("the gateway's answer does not verify")
	// ErrFork: the log is not a continuation of what this identity saw before.
	ErrFork = errors.New("the gateway's log is not a continuation of the one seen before")
)

// wireError turns an RPC's error into an *Error; context errors stay visible
// to errors.Is.
func wireError(op string, err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%s: %w", op, err)
	}
	switch st.Code() {
	case codes.Canceled:
		return fmt.Errorf("%s: %w", op, context.Canceled)
	case codes.DeadlineExceeded:
		return fmt.Errorf("%s: %w", op, context.DeadlineExceeded)
	}
	e := &Error{Op: op, Reason: ledger.ReasonInternal, Message: st.Message(), cause: err}
	if st.Code() == codes.Unavailable {
		e.Reason, e.Retry = ledger.ReasonUnavailable, time.Second
		if len(st.Details()) == 0 { // gRPC's own word, not the gateway's
			e.Message = "the gateway cannot be reached: " + innermost(st.Message())
		}
	}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == "yingbi" {
				e.Reason, e.Metadata, e.Rule = ledger.Reason(d.GetReason()), d.GetMetadata(), d.GetMetadata()["rule"]
			}
		case *errdetails.LocalizedMessage:
			if e.Localized == nil {
				e.Localized = map[string]string{}
			}
			e.Localized[d.GetLocale()] = d.GetMessage()
		case *errdetails.RetryInfo:
			e.Retry = d.GetRetryDelay().AsDuration()
		}
	}
	if e.Reason == ledger.ReasonBadRequest && e.Rule == sinceRule {
		return fmt.Errorf("%w: it is shorter than what was seen: %w", ErrFork, e)
	}
	return e
}

// sinceRule is the rule by which a gateway refuses to continue a tree that its
// log has not reached.
const sinceRule = "since"

// innermost is the cause in gRPC's account of a connection that failed, less
// what was tried to make it.
func innermost(message string) string {
	if _, cause, ok := strings.Cut(message, "desc = "); ok {
		return innermost(strings.Trim(cause, `"`))
	}
	return message
}
