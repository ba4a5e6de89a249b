package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// denied checks a refusal.
func (a *auditor) denied(e *ledger.Entry) {
	d := e.Denied
	a.report.Denied += d.Count
	if _, known := a.world.SigningKey(d.Enterprise); !known && !a.partial() {
		a.add("A34", e.Seq, "the refusal", "one of a registered enterprise: what others ask for makes no entry", d.Enterprise)
		return
	}
	if d.Header == nil {
		return // a count: there is nothing to decide again
	}
	a.same(e.Seq, "the enterprise", d.Header.Enterprise, d.Enterprise)
	if d.Key == "" || len(d.Signature) == 0 {
		a.add("A20", e.Seq, "the request's signature", "a signature of "+d.Header.Enterprise+" over this header", "none")
	} else {
		a.signed(e.Seq, d.Header, d.Key, d.Signature)
	}
	if d.Decision == nil {
		a.undecided(e.Seq, d, e.Time.Time)
		return
	}
	at, ok := decidedAt(d.Decision)
	if !ok || e.Time.Sub(at) > maxSettling || at.After(e.Time.Time) {
		a.add("A33", e.Seq, "the time of the refusal", "at most "+maxSettling.String()+" before "+e.Time.String(), "another, or none")
		return
	}
	if why := a.justified(e.Seq, d, at); why != nil {
		what := "the refusal"
		if why.Field != "" {
			what += "'s decision, " + why.Field
		}
		a.differs("A34", e.Seq, what, why)
	}
}

// undecided checks a refusal without a decision: one that came before the
// policies were asked, or by what is on no ledger. There are four, and the log
// shows for each that it had its reason, or may have had.
func (a *auditor) undecided(seq int64, d *ledger.Denied, logged time.Time) {
	h := d.Header
	expected, ok := "a decision that can be taken again", false
	switch {
	case d.Reason == ledger.ReasonWrongOrigin:
		expected, ok = "a header for another log", h.Origin != a.keys.Log.Name()
	case d.Reason == ledger.ReasonJobReused:
		_, settled := a.jobs.byID[jobID(h.Job)]
		expected, ok = "a job id that was settled before", settled || a.partial()
	case d.Reason == ledger.ReasonNotEntitled && d.Rule == admission.RuleEntitlement:
		// Which cells were asked for is in the query, of which the header has the digest.
		expected, ok = "a grant that is for some cells of "+h.Product, a.partial() || limited(a.world.Grants(h.Enterprise, h.Product, logged), h.Product)
	case d.Reason == ledger.ReasonBadRequest && d.Rule == admission.RuleRenewal:
		// The refusal's own time is not on record. What may not be renewed now
		// could not be before.
		expected = "a renewal that the rules do not allow"
		ok = h.Renews != "" && (a.partial() || a.renewable(h, logged.Add(-maxSettling)) != nil)
	}
	if !ok {
		a.add("A34", seq, "the refusal", expected, fmt.Sprintf("%s by %s", d.Reason, d.Rule))
	}
}

// limited says whether one of the grants is for some cells of a product.
func limited(grants []*vocabulary.Grant, product string) bool {
	return slices.ContainsFunc(grants, func(g *vocabulary.Grant) bool {
		return slices.ContainsFunc(g.Cells, func(e vocabulary.Entitlement) bool { return e.Product == product })
	})
}

// decidedAt is the time in a decision's request.
func decidedAt(d *ledger.Decision) (time.Time, bool) {
	var request struct {
		Context struct {
			Now int64 `json:"now"`
		} `json:"context"`
	}
	err := json.Unmarshal(d.Request, &request)
	return time.UnixMilli(request.Context.Now), err == nil && request.Context.Now > 0
}

// justified decides a refused job again.
func (a *auditor) justified(seq int64, d *ledger.Denied, at time.Time) *admission.Mismatch {
	engine := a.policies(seq)
	if engine == nil {
		return nil
	}
	o, err := engine.Decide(admission.FactsOf(d.Header, at))
	if err != nil {
		return &admission.Mismatch{Expected: "facts that can be decided", Got: err.Error()}
	}
	candidate, err := o.Match(*d.Decision)
	if differs := (*admission.Mismatch)(nil); errors.As(err, &differs) {
		return differs
	}
	got := fmt.Sprintf("%s by %s", d.Reason, d.Rule)
	switch {
	case !o.Admitted() && (o.Reason != d.Reason || o.Rule != d.Rule):
		return &admission.Mismatch{Expected: fmt.Sprintf("%s by %s", o.Reason, o.Rule), Got: got}
	case !o.Admitted(), a.partial(): // where entries are lost, whether there was quota left cannot be told
		return nil
	}
	for _, c := range o.Candidates { // refused by a quota: then none had any left
		if !a.exhausted(c) && !a.narrow(c.Grant, d.Header.Product) {
			return &admission.Mismatch{Expected: "a settled job: there was quota left", Got: got}
		}
	}
	for _, ch := range candidate.Charges {
		if ch.Rule == d.Rule && ch.Reason == d.Reason && a.passes(ch) {
			return nil
		}
	}
	return &admission.Mismatch{Expected: "the quota that was used up", Got: got}
}
