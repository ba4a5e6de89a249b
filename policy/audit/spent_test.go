package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// What a budget entry takes from a counter is gone for calls: one that is
// settled all the same is found, whether it is a quota's or a share's. And only
// a log that stands in for another begins with such entries: in the middle of a
// log they are a finding of their own. (That such a log audits clean is a test of
// the restore.)
func TestSpentCounterIsHeldAgainstCalls(t *testing.T) {
	for name, id := range map[ledger.Reason]string{ledger.ReasonQuotaExhausted: "A27", ledger.ReasonShareExhausted: "A28"} {
		t.Run(id, func(t *testing.T) {
			l := busy(t)
			outcome, err := l.Engine().Decide(admission.FactsOf(new(l.Header(logtest.Product, vocabulary.Industry, 1)), l.Now))
			if err != nil {
				t.Fatal(err)
			}
			charges := outcome.Candidates[0].Charges
			c := charges[slices.IndexFunc(charges, func(c admission.Charge) bool { return c.Reason == name })]
			l.Append(ledger.Entry{Kind: ledger.KindBudget, Budget: &ledger.Budget{
				Resource: "licences", Product: logtest.Product, Per: "period", Window: c.Window, Units: ledger.AllUnits,
				Action: "spend", Counter: c.Counter,
			}})
			l.Checkpoint()
			if r := run(t, source{l}, audit.Options{}); len(r.Findings) != 1 || r.Findings[0].ID != "A35" {
				t.Fatalf("spending alone: %v", r.Findings)
			}
			l.Call(logtest.Product, vocabulary.Industry, 1)
			l.Checkpoint()
			r := run(t, source{l}, audit.Options{})
			if len(r.Findings) != 2 || r.Findings[1].ID != id {
				t.Errorf("found %v, want A35 and %s", r.Findings, id)
			}
		})
	}
}

// A log that says that it stands in for another is noted: what was settled in
// that one is not in this audit.
func TestFormerLogIsNoted(t *testing.T) {
	l := busy(t)
	l.Append(ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "restore", Object: "domain", Count: 7,
		Former: &ledger.Former{Origin: "former.example/log", Size: 7, Root: logtest.Digest("root")}}})
	l.Checkpoint()
	notes := run(t, source{l}, audit.Options{}).Notes
	if !slices.ContainsFunc(notes, func(n audit.Note) bool { return n.ID == "N05" && strings.Contains(n.What, "former.example/log") }) {
		t.Errorf("notes %v", notes)
	}
}
