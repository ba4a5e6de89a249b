package agent

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/sdk"
)

// problem is an RFC 9457 problem. Reason is stable: the gateway's own, or one
// of the agent's (BAD_TOKEN, BAD_REQUEST, BAD_SUBJECTS, BUSY, …).
type problem struct {
	Title      string         `json:"title"`
	Status     int            `json:"status"`
	Detail     string         `json:"detail"`
	Reason     string         `json:"reason"`
	Rule       string         `json:"rule,omitempty"`
	RetryAfter int64          `json:"retryAfter,omitempty"` // seconds
	Resume     bool           `json:"resume,omitempty"`     // the same request goes on where this one stopped; what was paid is not paid again
	Subjects   []subjectFault `json:"subjects,omitempty"`
}

// subjectFault is one subject that cannot be asked about. It does not repeat
// the value.
type subjectFault struct {
	Index int    `json:"index"` // in the request's list, from 0
	Field string `json:"field"`
	What  string `json:"what"`
}

func (p *problem) Error() string { return p.Detail }

func newProblem(status int, reason, detail string) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Reason: reason, Detail: detail}
}

func badRequest(detail string) *problem {
	return newProblem(http.StatusBadRequest, "BAD_REQUEST", detail)
}

// shownFaults bounds the faults in one problem.
const shownFaults = 1000

// problemOf says what an error of the sdk is to a program.
func problemOf(err error) *problem {
	var own *problem
	var refused *sdk.Error
	var malformed *sdk.SubjectError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &malformed):
		p := newProblem(http.StatusUnprocessableEntity, "BAD_SUBJECTS", malformed.Error())
		for _, f := range malformed.Faults[:min(len(malformed.Faults), shownFaults)] {
			p.Subjects = append(p.Subjects, subjectFault{f.Index, f.Field, f.Err.Error()})
		}
		return p
	case errors.Is(err, sdk.ErrUntrusted), errors.Is(err, sdk.ErrFork): // before the refusal by which a log that was set back shows
		return newProblem(http.StatusBadGateway, "UNTRUSTED", err.Error())
	case errors.As(err, &refused):
		return gatewayProblem(refused, err)
	case errors.Is(err, sdk.ErrUnderWay):
		return newProblem(http.StatusConflict, "UNDER_WAY", err.Error())
	case errors.Is(err, sdk.ErrUnanswered):
		return newProblem(http.StatusConflict, "UNANSWERED", err.Error())
	case errors.Is(err, sdk.ErrNotKept):
		return newProblem(http.StatusNotFound, "NOT_KEPT", err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return newProblem(http.StatusGatewayTimeout, "TIMEOUT", err.Error())
	}
	return newProblem(http.StatusInternalServerError, string(ledger.ReasonInternal), err.Error())
}

// statusOf maps the reasons that a program treats apart; any other refusal is
// a 403.
var statusOf = map[ledger.Reason]int{
	ledger.ReasonUnavailable:    http.StatusServiceUnavailable,
	ledger.ReasonUploadsFull:    http.StatusTooManyRequests,
	ledger.ReasonRateLimited:    http.StatusTooManyRequests,
	ledger.ReasonInternal:       http.StatusBadGateway,
	ledger.ReasonBadRequest:     http.StatusBadRequest,
	ledger.ReasonUnknownProduct: http.StatusNotFound,
	ledger.ReasonUnknownJob:     http.StatusNotFound,
}

func gatewayProblem(refused *sdk.Error, err error) *problem {
	status, ok := statusOf[refused.Reason]
	if !ok {
		status = http.StatusForbidden
	}
	p := newProblem(status, string(refused.Reason), err.Error())
	p.Rule = refused.Rule
	if refused.Retry > 0 {
		p.RetryAfter = int64(math.Ceil(refused.Retry.Seconds()))
	}
	return p
}

// writeProblem answers with a problem. The program may be gone: then nobody
// reads it.
func writeProblem(w http.ResponseWriter, err error) {
	p := problemOf(err)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(p.RetryAfter, 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
