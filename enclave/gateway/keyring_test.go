package gateway

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
)

// What another try can cure says when; nothing else does.
func TestStateErrors(t *testing.T) {
	for _, tc := range []struct {
		err    error
		reason ledger.Reason
		rule   string
		retry  time.Duration
	}{
		{keyring.ErrSealed, ledger.ReasonUnavailable, "keyring", keyringRetry},
		{keyring.ErrUnavailable, ledger.ReasonUnavailable, "keyring", keyringRetry},
		{keyring.ErrDenied, ledger.ReasonUnavailable, "keyring", keyringRetry},
		{keyring.ErrRateLimited, ledger.ReasonUnavailable, "keyring", keyringRetry},
		{fmt.Errorf("%w: %w", state.ErrUnconfirmed, keyring.ErrSealed), ledger.ReasonUnavailable, "keyring", keyringRetry},
		{state.ErrUnconfirmed, ledger.ReasonUnavailable, "state", retryAfter},
		{state.ErrBusy, ledger.ReasonUnavailable, "state", retryAfter},
		{state.ErrBelowMark, ledger.ReasonUnavailable, "state", 0},
		{keyring.ErrCorrupt, ledger.ReasonInternal, "internal", 0},
		{errors.New("odd"), ledger.ReasonInternal, "internal", 0},
	} {
		var e *Error
		if err := stateError("settling", fmt.Errorf("advancing the mark: %w", tc.err)); !errors.As(err, &e) || e.Reason != tc.reason || e.Rule != tc.rule || e.Retry != tc.retry || !errors.Is(err, tc.err) {
			t.Errorf("%v: %+v", tc.err, err)
		}
	}
	if err := stateError("settling", context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller's own: %v", err)
	}
}
