package agent

import (
	"fmt"
	"net/http"
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
