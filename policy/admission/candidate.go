package admission

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Grounds of an exemption.
const (
	GroundPurpose = "purpose" // a free purpose, under a grant that states its basis
	GroundSandbox = "sandbox" // made-up data
	GroundRenewal = "renewal" // the epoch of a paid job has ended
)

// Candidate is a way to settle an admitted job: under which grant, at which
// price, charging what. Its fields go into the entry as they are.
type Candidate struct {
	Grant    string // "" for the sandbox
	Decision ledger.Decision
	Ground   string // of an exemption; "" for a call that is paid
	Price    ledger.Price
	Charges  []Charge // all of them must hold, in one transaction

	Contract string // digest, from the grant
	GrantDoc string // exemption by purpose or renewal: digest of the grant document
	Evidence string // exemption by purpose: digest, from the grant
	Until    string // exemption by purpose: its last day
}

// Charge adds units to a counter's window, up to a limit. Where it would pass
// the limit the job is refused with Reason and Rule.
type Charge struct {
	Counter, Window string
	Unit, Per       string // what is counted, and by which period: for people
	Units, Limit    int64
	Reason          ledger.Reason
	Rule            string
}

// Terms are the unit and the period that a charge counts by.
func (c Charge) Terms() (unit, per string) { return c.Unit, c.Per }

// Refused is the candidate's decision after a charge did not hold: what a denied
// entry carries.
func (c Candidate) Refused(by Charge) ledger.Decision {
	d := c.Decision
	d.Allow, d.Policy = false, by.Rule
	return d
}

// Exemption is the body of the candidate's entry, around the settled call.
func (c Candidate) Exemption(call ledger.Call) *ledger.Exemption {
	return &ledger.Exemption{Call: call, Ground: c.Ground, Grant: c.GrantDoc, Evidence: c.Evidence, Until: c.Until}
}

// admit makes the candidates of the permits that hold.
func (e *Engine) admit(d ledger.Decision, f Facts, of pair, live Live, permits []cedar.DiagnosticReason) (Outcome, error) {
	shares := sharesOf(of.product.doc, f, live.Population)
	d.Allow = true
	if slices.ContainsFunc(permits, func(r cedar.DiagnosticReason) bool { return r.PolicyID == ruleSandbox }) {
		d.Policy = ruleSandbox
		return Outcome{Decision: d, Candidates: []Candidate{{
			Decision: d, Ground: GroundSandbox, Price: fees.Free(f.Units), Charges: shares,
		}}}, nil
	}
	price, ground, refusal, err := e.price(f)
	if err != nil {
		return Outcome{}, err
	}
	if refusal != "" {
		d.Allow = false
		return refuse(d, refusal, ruleTariff), nil
	}
	var out Outcome
	for _, g := range of.enterprise.grants {
		if !slices.ContainsFunc(permits, func(r cedar.DiagnosticReason) bool { return r.PolicyID == g.policy.id }) {
			continue
		}
		c := Candidate{Grant: g.doc.ID, Decision: d, Ground: ground, Price: price,
			Charges: append(quotasOf(g, of.product.doc, f), shares...), Contract: g.doc.Contract}
		c.Decision.Policy, c.Decision.Grant, c.Decision.GrantDoc = string(g.policy.id), g.doc.ID, g.digest
		switch ground {
		case GroundPurpose:
			c.GrantDoc, c.Evidence, c.Until = g.digest, g.doc.Evidence, string(g.doc.Until)
		case GroundRenewal:
			c.GrantDoc = g.digest
		}
		out.Candidates = append(out.Candidates, c)
	}
	out.Decision = out.Candidates[0].Decision
	return out, nil
}

// price is what a job costs under any grant, and why it is free if it is. A
// refusal means that nothing prices it.
func (e *Engine) price(f Facts) (price ledger.Price, ground string, refusal ledger.Reason, err error) {
	switch {
	case f.Renewal:
		return fees.Free(f.Units), GroundRenewal, "", nil
	case f.Purpose.Free():
		return fees.Free(f.Units), GroundPurpose, "", nil
	}
	t, ok := e.world.Tariff(f.Product, f.Now)
	if !ok {
		return ledger.Price{}, "", ledger.ReasonNoTariff, nil
	}
	price, err = fees.Price(t, f.Units, 1)
	return price, "", "", err
}

// quotasOf are the charges of a grant's quotas, one per unit and period: of two
// limits on the same the lower holds. A quota of what the product does not count
// is another product's.
func quotasOf(g *grant, p *vocabulary.Product, f Facts) []Charge {
	var out []Charge
	for _, q := range g.doc.Quotas {
		if q.Unit != p.Unit() && q.Unit != vocabulary.UnitCalls {
			continue
		}
		c := Charge{
			Unit:   q.Unit,
			Per:    q.Per,
			Units:  f.Units,
			Limit:  q.Limit,
			Reason: ledger.ReasonQuotaExhausted,
			Rule:   g.doc.ID + "/" + q.Unit + "/" + q.Per,
		}
		c.Counter, c.Window = QuotaCounter(g.doc, f.Product, q, f.Now)
		if q.Unit == vocabulary.UnitCalls {
			c.Units = 1
		}
		if at := slices.IndexFunc(out, func(o Charge) bool { return o.Counter == c.Counter }); at >= 0 {
			out[at].Limit = min(out[at].Limit, c.Limit)
			continue
		}
		out = append(out, c)
	}
	return out
}

// QuotaCounter is the counter and the window in which a grant's quota of a
// product is counted at a time.
func QuotaCounter(of *vocabulary.Grant, product string, q vocabulary.Quota, at time.Time) (counter, in string) {
	return "grant/" + of.ID + "/" + product + "/" + q.Unit + "/" + q.Per, window(q.Per, at, of.ID)
}

// sharesOf is the charge of the release rule: the largest part of the population
// that one enterprise may look up in one period, under whatever grants. Cells have
// none: whoever has all of them has what was released.
func sharesOf(doc *vocabulary.Product, f Facts, population int64) []Charge {
	share := doc.Release.MaxShare
	if share == (vocabulary.Share{}) {
		return nil
	}
	return []Charge{{
		Counter: "share/" + f.Enterprise + "/" + f.Product + "/" + share.Per,
		Window:  window(share.Per, f.Now, "term"),
		Unit:    "subjects",
		Per:     share.Per,
		Units:   f.Units,
		Limit:   share.Of(population),
		Reason:  ledger.ReasonShareExhausted,
		Rule:    f.Product + "/share/" + share.Per,
	}}
}

// window names the period that a time falls into: days and months in China
// Standard Time, a term by a name of its own.
func window(per string, at time.Time, term string) string {
	switch per {
	case "day":
		return fees.Day(at)
	case "month":
		return fees.Month(at)
	}
	return term
}

// Mismatch says in what a logged decision differs from the same decision taken
// again.
type Mismatch struct{ Field, Expected, Got string }

func (m *Mismatch) Error() string {
	return fmt.Sprintf("admission: decided again, %s is %s; the entry has %s", m.Field, m.Expected, m.Got)
}

// Redecide decides the facts again and compares with a logged decision: a
// *Mismatch says what differs.
func (e *Engine) Redecide(d ledger.Decision, f Facts) error {
	o, err := e.Decide(f)
	if err != nil {
		return err
	}
	_, err = o.Match(d)
	return err
}

// Match finds the candidate that a logged decision took, or confirms a refusal.
func (o Outcome) Match(d ledger.Decision) (Candidate, error) {
	if !o.Admitted() {
		return Candidate{}, differ(o.Decision, d)
	}
	at := slices.IndexFunc(o.Candidates, func(c Candidate) bool { return c.Grant == d.Grant })
	if at < 0 {
		return Candidate{}, &Mismatch{"grant", "one of those that permit", "grant " + d.Grant}
	}
	c := o.Candidates[at]
	if !d.Allow { // a charge did not hold
		by := slices.IndexFunc(c.Charges, func(ch Charge) bool { return ch.Rule == d.Policy })
		if by < 0 {
			return c, &Mismatch{"allow", "true", "false, by " + d.Policy}
		}
		return c, differ(c.Refused(c.Charges[by]), d)
	}
	return c, differ(c.Decision, d)
}

func differ(want, got ledger.Decision) error {
	allow := map[bool]string{true: "true", false: "false"}
	for _, field := range []struct{ name, want, got string }{
		{"allow", allow[want.Allow], allow[got.Allow]},
		{"request", string(want.Request), string(got.Request)},
		{"policies", want.Policies, got.Policies},
		{"entities", want.Entities, got.Entities},
		{"policy", want.Policy, got.Policy},
		{"grant", want.Grant, got.Grant},
		{"grantDoc", want.GrantDoc, got.GrantDoc},
	} {
		if field.want != field.got {
			return &Mismatch{field.name, field.want, field.got}
		}
	}
	return nil
}

// Past is what is known of a settled job that another one would renew.
type Past struct {
	Enterprise, Product string
	Purpose             vocabulary.Purpose
	Epoch               int
	Units               int64
	Renewal             bool // it was itself a renewal
	Renewed             bool // it has been renewed
}

// ErrNotRenewable is wrapped by the errors of Renewable.
var ErrNotRenewable = errors.New("admission: the job cannot be renewed")

// RuleEntitlement is the rule that keeps a grant to the cells that it names, with
// ledger.ReasonNotEntitled. What a job asks for is in no entry but as a digest, so
// that it is for whoever has the query to decide.
const RuleEntitlement = "yingbi/entitlement"

// RuleRenewal is the rule that refuses a renewal, with ledger.ReasonBadRequest.
const RuleRenewal = "yingbi/renewal"

// Renewable says whether a header may renew a settled job for free: the same
// enterprise, product and purpose, no more subjects, an epoch that is no longer
// served, and once.
func (w *World) Renewable(old Past, h *ledger.Header, now time.Time) error {
	switch {
	case old.Enterprise != h.Enterprise || old.Product != h.Product || string(old.Purpose) != h.Purpose:
		return fmt.Errorf("%w: it is of another enterprise, product or purpose", ErrNotRenewable)
	case h.Units > old.Units:
		return fmt.Errorf("%w: it had %d subjects, not %d", ErrNotRenewable, old.Units, h.Units)
	case old.Renewal:
		return fmt.Errorf("%w: it is itself a renewal", ErrNotRenewable)
	case old.Renewed:
		return fmt.Errorf("%w: it has been renewed", ErrNotRenewable)
	}
	if _, served := w.Served(old.Product, old.Epoch, now); served {
		return fmt.Errorf("%w: its epoch %d is still served", ErrNotRenewable, old.Epoch)
	}
	return nil
}
