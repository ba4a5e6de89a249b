package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// Every reason that policy/ledger knows for callers has a code and a text in
// both languages.
func TestEveryReasonHasItsTexts(t *testing.T) {
	for _, r := range []ledger.Reason{
		ledger.ReasonNoGrant, ledger.ReasonGrantExpired, ledger.ReasonGrantRevoked, ledger.ReasonPurposeNotGranted, ledger.ReasonPurposeNoBasis,
		ledger.ReasonQuotaExhausted, ledger.ReasonShareExhausted, ledger.ReasonBatchTooLarge, ledger.ReasonNotEntitled, ledger.ReasonStanding, ledger.ReasonNotPublished,
		ledger.ReasonSuspended, ledger.ReasonWithdrawn, ledger.ReasonAssessmentExpired, ledger.ReasonGradeForbids, ledger.ReasonNegativeList,
		ledger.ReasonAuthorisationEnded, ledger.ReasonOutsideScope, ledger.ReasonConsentMissing, ledger.ReasonNoTariff, ledger.ReasonOperatorRule,
		ledger.ReasonPolicyError, ledger.ReasonEpochEnded, ledger.ReasonWrongOrigin, ledger.ReasonNotRegistered, ledger.ReasonWrongIdentity,
		ledger.ReasonBadSignature, ledger.ReasonBadRequest, ledger.ReasonJobReused, ledger.ReasonUnknownProduct, ledger.ReasonUnknownJob,
		ledger.ReasonLookupsExhausted, ledger.ReasonUploadsFull, ledger.ReasonRateLimited, ledger.ReasonUnavailable, ledger.ReasonInternal,
	} {
		w, ok := wires[r]
		if !ok || w.en == "" || w.zh == "" || w.code == codes.OK {
			t.Errorf("%s: %+v", r, w)
		}
	}
}

// Nothing of the inside leaves with an error.
func TestErrorsTellNothingOfTheInside(t *testing.T) {
	secret := errors.New("open /var/lib/yingbi/keyring.age: row 17 is 110101199003070011")
	for _, err := range []error{
		secret,
		fmt.Errorf("wrapped: %w", secret),
		&gateway.Error{Reason: ledger.ReasonInternal, Rule: "internal", Err: secret},
		&gateway.Error{Reason: ledger.ReasonUnavailable, Rule: "state", Err: secret},
		&gateway.Error{Reason: "SOMETHING_NEW", Err: secret},
	} {
		st, _ := status.FromError(toStatus(err))
		if text := fmt.Sprint(st.Message(), st.Details()); strings.Contains(text, "keyring") || strings.Contains(text, "1101") {
			t.Errorf("%v leaves as %s", err, text)
		}
		if st.Code() == codes.OK || st.Code() == codes.Unknown {
			t.Errorf("%v has code %s", err, st.Code())
		}
	}
}

func TestRefusalsCarryReasonRuleAndHint(t *testing.T) {
	err := toStatus(&gateway.Error{Reason: ledger.ReasonRateLimited, Rule: "limits.queue", Meta: map[string]string{"a": "b"}, Retry: 3e8})
	st, _ := status.FromError(err)
	var info *errdetails.ErrorInfo
	var retry *errdetails.RetryInfo
	locales := map[string]bool{}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		case *errdetails.LocalizedMessage:
			locales[d.Locale] = true
		}
	}
	if info == nil || info.Reason != "RATE_LIMITED" || info.Domain != Domain || info.Metadata["rule"] != "limits.queue" || info.Metadata["a"] != "b" {
		t.Errorf("info %v", info)
	}
	if retry == nil || retry.RetryDelay.AsDuration() != 3e8 || !locales["en"] || !locales["zh-CN"] {
		t.Errorf("retry %v, locales %v", retry, locales)
	}
	for _, canceled := range []error{context.Canceled, fmt.Errorf("x: %w", context.DeadlineExceeded)} {
		if c := status.Code(toStatus(canceled)); c != codes.Canceled && c != codes.DeadlineExceeded {
			t.Errorf("%v has code %s", canceled, c)
		}
	}
}

// A panic in a handler, or while a message is read, is that call's INTERNAL, and
// the operator's log has it.
func TestAPanicEndsOneCall(t *testing.T) {
	for _, method := range []string{"/grpc.health.v1.Health/Check", yingbipb.Gateway_Quote_FullMethodName} {
		var log strings.Builder
		e := &edge{log: slog.New(slog.NewTextHandler(&log, nil)), intake: newIntake(1<<20, 1<<20), message: 1 << 20, body: time.Minute}
		next := func(any, grpc.ServerStream) error { panic("an account number") }
		if method != yingbipb.Gateway_Quote_FullMethodName {
			next = func(_ any, ss grpc.ServerStream) error { return ss.RecvMsg(nil) }
		}
		err := e.stream(nil, panicking{}, &grpc.StreamServerInfo{FullMethod: method}, next)
		st, _ := status.FromError(err)
		if text := fmt.Sprint(st.Message(), st.Details()); st.Code() == codes.OK || st.Code() == codes.Unknown || strings.Contains(text, "account") {
			t.Errorf("%s: left as %v", method, st)
		}
		if st.Code() == codes.Internal && !strings.Contains(log.String(), "account") {
			t.Errorf("%s: log: %s", method, log.String())
		}
		if len(e.intake.callers) != 0 || e.intake.held != 0 {
			t.Errorf("%s: left behind: %v, %d bytes", method, e.intake.callers, e.intake.held)
		}
	}
}

type panicking struct{ grpc.ServerStream }

func (panicking) Context() context.Context { return context.Background() }
func (panicking) RecvMsg(any) error        { panic("an account number") }

func TestRequestsAreBounded(t *testing.T) {
	big := &yingbipb.QuoteRequest{Product: strings.Repeat("x", small)}
	if got := gateway.ReasonOf(checkSize(yingbipb.Gateway_Quote_FullMethodName, big)); got != ledger.ReasonBadRequest {
		t.Errorf("a quote of 8 KiB: %q", got)
	}
	for _, m := range yingbipb.Gateway_ServiceDesc.Methods {
		name := "/" + yingbipb.Gateway_ServiceDesc.ServiceName + "/" + m.MethodName
		if _, ok := largest[name]; !ok && name != yingbipb.Gateway_Lookup_FullMethodName {
			t.Errorf("%s has no bound of its own", name)
		}
	}
}

func TestIdentityOfACertificate(t *testing.T) {
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	good := "yingbi://enterprise/91330100MA2AXK7T8P"
	id, err := identityOf(&x509.Certificate{URIs: []*url.URL{parse(good)}})
	if err != nil || id != (vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: "91330100MA2AXK7T8P"}) {
		t.Errorf("%v, %v", id, err)
	}
	for name, uris := range map[string][]*url.URL{
		"none":                 nil,
		"two":                  {parse(good), parse("yingbi://auditor/a")},
		"another scheme":       {parse("spiffe://enterprise/91330100MA2AXK7T8P")},
		"another spelling":     {parse("yingbi://enterprise/91330100MA2AXK7T8P?x=1")},
		"an invalid code":      {parse("yingbi://enterprise/91330100MA2AXK7T8Q")},
		"a role that is none":  {parse("yingbi://root/a")},
		"a path below the id":  {parse(good + "/x")},
		"an empty id":          {parse("yingbi://enterprise/")},
		"a user in the URI":    {parse("yingbi://a@enterprise/91330100MA2AXK7T8P")},
		"a port in the URI":    {parse("yingbi://enterprise:1/91330100MA2AXK7T8P")},
		"an escaped character": {parse("yingbi://auditor/%61")},
	} {
		if id, err := identityOf(&x509.Certificate{URIs: uris}); gateway.ReasonOf(err) != ledger.ReasonWrongIdentity {
			t.Errorf("%s: %v, %v; want WRONG_IDENTITY", name, id, err)
		}
	}
}

// Why calls are put off is for the operator: no caller is told, so the log is,
// and a flood of such calls is no flood of lines.
func TestPutOffCallsAreLogged(t *testing.T) {
	var log strings.Builder
	e := &edge{log: slog.New(slog.NewTextHandler(&log, nil))}
	why := &gateway.Error{Reason: ledger.ReasonUnavailable, Rule: "state", Err: errors.New("the database was set back")}
	for range 1000 {
		if err := e.finish("Evaluate", nil, why); strings.Contains(err.Error(), "set back") {
			t.Fatalf("the caller is told %v", err)
		}
	}
	if n := strings.Count(log.String(), "the database was set back"); n < 1 || n > 10 {
		t.Errorf("%d lines", n)
	}
	log.Reset()
	if e.finish("Evaluate", nil, &gateway.Error{Reason: ledger.ReasonRateLimited, Rule: "limits.queue"}); log.Len() > 0 {
		t.Errorf("a limit is logged: %s", log.String())
	}
}
