package agent

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/sdk"
)

// A fork is no bad request of the program's, though the gateway says it as one.
func TestAForkIsUntrusted(t *testing.T) {
	err := fmt.Errorf("%w: it is shorter than what was seen: %w", sdk.ErrFork, &sdk.Error{Reason: ledger.ReasonBadRequest, Rule: "since"})
	if p := problemOf(err); p.Status != http.StatusBadGateway || p.Reason != "UNTRUSTED" {
		t.Errorf("got %d %s, want %d UNTRUSTED", p.Status, p.Reason, http.StatusBadGateway)
	}
}

// The log has the status of an answer whose handler names none.
func TestTheLogHasEveryStatus(t *testing.T) {
	var log bytes.Buffer
	token := strings.Repeat("t", minToken)
	a, err := New(Options{Client: new(sdk.Client), Token: token, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v1/openapi.yaml", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	a.ServeHTTP(httptest.NewRecorder(), r)
	if !strings.Contains(log.String(), "status=200") {
		t.Errorf("logged %q", log.String())
	}
}
