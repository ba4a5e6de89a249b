package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// maxSettling is the longest time between admission and entry. Admission's time
// chooses tariff and quota window, so it may not lie anywhere.
const maxSettling = 15 * time.Minute

// call checks a settled job.
func (a *auditor) call(e *ledger.Entry) {
	c := e.TheCall()
	h := &c.Header
	if e.Kind == ledger.KindCall {
		a.report.Calls++
		a.addMoney(e.Seq, c.Price.Amount)
	} else {
		a.report.Exemptions++
	}
	a.report.Units += h.Units
	admitted := c.Settled.Admitted.Time
	if e.Time.Sub(admitted) > maxSettling || admitted.After(e.Time.Time) {
		a.add("A33", e.Seq, "the time of admission", "at most "+maxSettling.String()+" before "+e.Time.String(), c.Settled.Admitted.String())
	}
	a.signed(e.Seq, h, c.Key, c.Signature)
	a.consistent(e, c, admitted)
	a.once(e.Seq, h, admitted)
	a.decided(e, c, admitted)
}

// signed checks who signed a request.
func (a *auditor) signed(seq int64, h *ledger.Header, text string, signature []byte) {
	registered, known := a.world.SigningKey(h.Enterprise)
	if known && ledger.FormatKey(registered) != text {
		a.add("A21", seq, "the request's key", "the registered key of "+h.Enterprise+", "+ledger.FormatKey(registered), text)
	}
	a.listed(seq, h.Enterprise, text)
	if a.opts.SkipSignatures {
		return
	}
	key, err := ledger.ParseKey(text)
	if err != nil {
		a.add("A20", seq, "the request's key", "an Ed25519 public key", text)
		return
	}
	header, err := h.Encode()
	if err != nil || !ledger.Verify(key, ledger.ContextRequest, header, signature) {
		a.add("A20", seq, "the request's signature", "a signature of "+h.Enterprise+" over this header", "one that does not verify")
	}
}

// listed compares with the auditor's own list of keys, once per enterprise.
func (a *auditor) listed(seq int64, enterprise, key string) {
	if a.unlisted[enterprise] {
		return
	}
	given, ok := a.keys.Enterprises[enterprise]
	switch {
	case a.keys.Enterprises == nil:
		a.note("N01", "the key of "+enterprise+" is known from the log alone: "+key)
	case !ok:
		a.add("A22", seq, "the enterprise", "one whose key was given", enterprise+" with the unknown key "+key)
	case !bytes.Equal(given, keyBytes(key)):
		a.add("A22", seq, "the key of "+enterprise, ledger.FormatKey(given)+", as given", key)
	default:
		return
	}
	a.unlisted[enterprise] = true
}

func keyBytes(text string) ed25519.PublicKey {
	key, err := ledger.ParseKey(text)
	if err != nil {
		return nil
	}
	return key
}

// consistent holds an entry to its header and to what was live.
func (a *auditor) consistent(e *ledger.Entry, c *ledger.Call, at time.Time) {
	h := &c.Header
	a.same(e.Seq, "the header's origin", a.keys.Log.Name(), h.Origin)
	a.same(e.Seq, "the epoch", strconv.Itoa(h.Epoch), strconv.Itoa(c.Epoch))
	a.same(e.Seq, "the units used", strconv.FormatInt(h.Units, 10), strconv.FormatInt(c.Usage.Units, 10))
	live, ok := a.world.Served(h.Product, h.Epoch, at)
	if !ok {
		return // admission says so
	}
	a.same(e.Seq, "the table's version", strconv.Itoa(live.Version), strconv.Itoa(c.Version))
	a.same(e.Seq, "the descriptor", live.Digest(), c.Descriptor)
}

func (a *auditor) same(seq int64, what, want, got string) {
	if want != got {
		a.add("A24", seq, what, want, got)
	}
}

// decided takes the decision again and holds the entry to it.
func (a *auditor) decided(e *ledger.Entry, c *ledger.Call, at time.Time) {
	engine := a.policies(e.Seq)
	if engine == nil {
		return
	}
	o, err := engine.Decide(admission.FactsOf(&c.Header, at))
	if err != nil {
		a.add("A25", e.Seq, "the decision", "facts that can be decided", err.Error())
		return
	}
	if !o.Admitted() {
		a.add("A25", e.Seq, "the decision", fmt.Sprintf("a refusal, %s by %s", o.Reason, o.Rule), "a settled job")
		a.priced(e.Seq, c, at)
		return
	}
	candidate, err := o.Match(c.Decision)
	if differs := (*admission.Mismatch)(nil); errors.As(err, &differs) {
		a.differs("A25", e.Seq, "the decision's "+differs.Field, differs)
	}
	if candidate.Decision.Request == nil { // no such grant: the one that should have been
		candidate = o.Candidates[0]
	}
	a.charged(e.Seq, o, candidate)
	a.settled(e, c, candidate)
	a.underCeiling(e.Seq, c, at)
}

// differs adds a decision that is another when taken again. A document that is
// not what it was shows in every decision that rests on it: those are one
// finding, at the first, with a count.
func (a *auditor) differs(id string, seq int64, what string, m *admission.Mismatch) {
	if m.Field == "policies" || m.Field == "entities" {
		key := m.Expected + m.Got
		if first, ok := a.cascades[key]; ok {
			first.more++
			a.cascades[key] = first
			return
		}
		if len(a.list) < a.most {
			a.cascades[key] = cascade{at: len(a.list)}
		}
	}
	a.add(id, seq, what, m.Expected, m.Got)
}

// cascade is a finding that later entries repeat.
type cascade struct {
	at   int // in the list of findings
	more int64
}

// charged counts what a job charges, and whether the grant was the right one:
// the earliest to expire that had quota left.
func (a *auditor) charged(seq int64, o admission.Outcome, taken admission.Candidate) {
	for _, earlier := range o.Candidates {
		if earlier.Grant == taken.Grant || a.partial() {
			break
		}
		if _, full := a.exhausted(earlier); !full {
			a.add("A26", seq, "the grant charged", earlier.Grant+", the earliest to expire that has quota left", taken.Grant)
			break
		}
	}
	for _, ch := range taken.Charges {
		at := counter{ch.Counter, ch.Window}
		a.used[at] += ch.Units
		if used := a.used[at]; used > ch.Limit {
			id := "A27"
			if ch.Reason == ledger.ReasonShareExhausted {
				id = "A28"
			}
			a.add(id, seq, ch.Rule+" in "+ch.Window, "at most "+strconv.FormatInt(ch.Limit, 10), strconv.FormatInt(used, 10))
		}
	}
}

// exhausted says whether a candidate's charges would not hold now, and by which.
func (a *auditor) exhausted(c admission.Candidate) (admission.Charge, bool) {
	for _, ch := range c.Charges {
		if a.used[counter{ch.Counter, ch.Window}]+ch.Units > ch.Limit {
			return ch, true
		}
	}
	return admission.Charge{}, false
}

// settled compares price and ground with the candidate's.
func (a *auditor) settled(e *ledger.Entry, c *ledger.Call, want admission.Candidate) {
	a.same(e.Seq, "the contract", want.Contract, c.Contract)
	if paid := e.Kind == ledger.KindCall; paid != (want.Ground == "") {
		if paid {
			a.add("A31", e.Seq, "the entry", "an exemption, ground "+want.Ground, "a paid call")
		} else {
			a.add("A31", e.Seq, "the entry", "a paid call", "an exemption, ground "+e.Exemption.Ground)
		}
	} else if !paid {
		x := e.Exemption
		for _, field := range []struct{ what, want, got string }{
			{"ground", want.Ground, x.Ground}, {"grant", want.GrantDoc, x.Grant},
			{"evidence", want.Evidence, x.Evidence}, {"last day", want.Until, x.Until},
		} {
			if field.want != field.got {
				a.add("A31", e.Seq, "the exemption's "+field.what, field.want, field.got)
			}
		}
	}
	a.samePrice(e.Seq, want.Price, c.Price)
}

func (a *auditor) samePrice(seq int64, want, got ledger.Price) {
	for _, field := range []struct{ what, want, got string }{
		{"tariff", want.Tariff, got.Tariff},
		{"tariff's entry", strconv.FormatInt(want.Seq, 10), strconv.FormatInt(got.Seq, 10)},
		{"basis", want.Basis, got.Basis},
		{"unit price", want.Unit, got.Unit},
		{"units charged", strconv.FormatInt(want.Units, 10), strconv.FormatInt(got.Units, 10)},
		{"amount", want.Amount, got.Amount},
	} {
		if field.want != field.got {
			a.add("A29", seq, "the "+field.what, field.want, field.got)
		}
	}
}

// priced checks the price of a job that should not have been: it follows from a
// tariff all the same.
func (a *auditor) priced(seq int64, c *ledger.Call, at time.Time) {
	if c.Price.Tariff == "" {
		return
	}
	t, ok := a.world.Tariff(c.Header.Product, at)
	if !ok {
		a.add("A29", seq, "the tariff", "one in force", c.Price.Tariff)
		return
	}
	if want, err := fees.Price(t, c.Header.Units, 1); err == nil {
		a.samePrice(seq, want, c.Price)
	}
}

// ceiling is a product's ceiling on a day.
type ceiling struct {
	amount fees.Money
	id     string
}

// underCeiling: what is charged is at most the ceiling in force, whatever was
// applied after the tariff.
func (a *auditor) underCeiling(seq int64, c *ledger.Call, at time.Time) {
	if c.Price.Tariff == "" {
		return
	}
	key := c.Header.Product + " " + c.Price.Basis + " " + fees.Day(at)
	top, ok := a.ceilings[key]
	if !ok {
		top = a.ceilingOf(c.Header.Product, c.Price.Basis, at)
		if a.ceilings == nil {
			a.ceilings = map[string]ceiling{}
		}
		a.ceilings[key] = top
	}
	unit, err := fees.ParseMoney(c.Price.Unit)
	switch {
	case err != nil: // a price that does not follow from its tariff, and found so
	case top.id == "":
		a.add("A30", seq, "the unit price", "a ceiling "+c.Price.Basis+" in force", c.Price.Unit+" without one")
	case unit.Cmp(top.amount) > 0:
		a.add("A30", seq, "the unit price", "at most "+top.amount.String()+", the ceiling "+top.id, c.Price.Unit)
	}
}

// ceilingOf is the newest ceiling that has begun.
func (a *auditor) ceilingOf(product, basis string, at time.Time) ceiling {
	var top ceiling
	for _, held := range a.world.Catalogue().Ceilings(product) {
		if held.Doc.Basis != basis || held.Doc.From > vocabulary.Date(fees.Day(at)) {
			continue
		}
		if amount, err := fees.ParseMoney(held.Doc.Amount); err == nil {
			top = ceiling{amount: amount, id: held.Doc.ID}
		}
	}
	return top
}

// jobs are the settled jobs, in as few bytes as renewals need.
type jobs struct {
	byID  map[[16]byte]past
	names map[string]uint32
	texts []string
}

type past struct {
	seq                          int64
	units                        int64
	enterprise, product, purpose uint32
	epoch                        int32
	renewal, renewed             bool
}

func newJobs() jobs { return jobs{byID: map[[16]byte]past{}, names: map[string]uint32{}} }

func (j *jobs) name(s string) uint32 {
	n, ok := j.names[s]
	if !ok {
		n = uint32(len(j.texts))
		j.names[s] = n
		j.texts = append(j.texts, s)
	}
	return n
}

// once checks that a job is settled once, and that what it renews may be.
func (a *auditor) once(seq int64, h *ledger.Header, at time.Time) {
	id := jobID(h.Job)
	if old, twice := a.jobs.byID[id]; twice {
		a.add("A23", seq, "job "+h.Job, "settled once, by entry "+strconv.FormatInt(old.seq, 10), "settled again")
		return
	}
	a.jobs.byID[id] = past{
		seq: seq, units: h.Units, epoch: int32(h.Epoch), renewal: h.Renews != "",
		enterprise: a.jobs.name(h.Enterprise), product: a.jobs.name(h.Product), purpose: a.jobs.name(h.Purpose),
	}
	if h.Renews != "" {
		a.renews(seq, h, at)
	}
}

func (a *auditor) renews(seq int64, h *ledger.Header, at time.Time) {
	id := jobID(h.Renews)
	old, ok := a.jobs.byID[id]
	if !ok || old.seq == seq {
		if a.partial() && !ok {
			return // it may be one of the lost
		}
		a.add("A32", seq, "the renewal", "a settled job", "the unknown job "+h.Renews)
		return
	}
	known := admission.Past{
		Enterprise: a.jobs.texts[old.enterprise], Product: a.jobs.texts[old.product],
		Purpose: vocabulary.Purpose(a.jobs.texts[old.purpose]), Epoch: int(old.epoch), Units: old.units,
		Renewal: old.renewal, Renewed: old.renewed,
	}
	if err := a.world.Renewable(known, h, at); err != nil {
		a.add("A32", seq, "the renewal of job "+h.Renews, "one that the rules allow", err.Error())
	}
	old.renewed = true
	a.jobs.byID[id] = old
}

// jobID packs a UUID. Entries that decode have no other ids.
func jobID(s string) (id [16]byte) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err == nil {
		copy(id[:], b)
	}
	return id
}

// denied checks a refusal.
func (a *auditor) denied(e *ledger.Entry) {
	d := e.Denied
	a.report.Denied += d.Count
	if d.Header == nil {
		return // a count: there is nothing to decide again
	}
	unproven := d.Reason == ledger.ReasonBadSignature || d.Reason == ledger.ReasonWrongIdentity
	if d.Key != "" && !unproven {
		a.signed(e.Seq, d.Header, d.Key, d.Signature)
	}
	if d.Decision == nil {
		return // refused before admission, or by what the log does not hold
	}
	at, ok := decidedAt(d.Decision)
	if !ok || e.Time.Sub(at) > maxSettling || at.After(e.Time.Time) {
		a.add("A33", e.Seq, "the time of the refusal", "at most "+maxSettling.String()+" before "+e.Time.String(), "another, or none")
		return
	}
	if why := a.justified(e.Seq, d, at); why != nil {
		a.differs("A34", e.Seq, "the refusal", why)
	}
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

// justified decides a refused job again. A refusal is logged after the fact, so
// the policies may have changed in between: those before the last change count
// too.
func (a *auditor) justified(seq int64, d *ledger.Denied, at time.Time) *admission.Mismatch {
	engine := a.policies(seq)
	if engine == nil {
		return nil
	}
	if a.before != nil && engine.Policies() != d.Decision.Policies && a.before.Policies() == d.Decision.Policies {
		engine = a.before
	}
	why := a.refuses(engine, d, at)
	if why != nil && engine != a.before && a.before != nil && a.refuses(a.before, d, at) == nil {
		return nil
	}
	return why
}

func (a *auditor) refuses(engine *admission.Engine, d *ledger.Denied, at time.Time) *admission.Mismatch {
	o, err := engine.Decide(admission.FactsOf(d.Header, at))
	if err != nil {
		return &admission.Mismatch{Expected: "facts that can be decided", Got: err.Error()}
	}
	candidate, err := o.Match(*d.Decision)
	if differs := (*admission.Mismatch)(nil); errors.As(err, &differs) {
		return differs
	}
	if !o.Admitted() {
		if o.Reason != d.Reason || o.Rule != d.Rule {
			return &admission.Mismatch{Expected: fmt.Sprintf("%s by %s", o.Reason, o.Rule), Got: fmt.Sprintf("%s by %s", d.Reason, d.Rule)}
		}
		return nil
	}
	if a.partial() {
		return nil // whether there was quota left cannot be told
	}
	for _, c := range o.Candidates { // refused by a quota: then none had any left
		if _, full := a.exhausted(c); !full {
			return &admission.Mismatch{Expected: "a settled job: there was quota left", Got: fmt.Sprintf("%s by %s", d.Reason, d.Rule)}
		}
	}
	for _, ch := range candidate.Charges {
		if ch.Rule == d.Rule && ch.Reason == d.Reason && a.used[counter{ch.Counter, ch.Window}]+ch.Units > ch.Limit {
			return nil
		}
	}
	return &admission.Mismatch{Expected: "the quota that was used up", Got: fmt.Sprintf("%s by %s", d.Reason, d.Rule)}
}
