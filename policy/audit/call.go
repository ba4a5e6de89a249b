package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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

// signer is an enterprise and a key that it signed with.
type signer struct{ enterprise, key string }

// listed compares with the auditor's own list of keys. Each key of an enterprise
// is told once: a second one may be an operator's replacement of the first.
func (a *auditor) listed(seq int64, enterprise, key string) {
	by := signer{enterprise, key}
	if a.unlisted[by] {
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
	a.unlisted[by] = true
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
	if h.Epoch == 0 { // admission takes that for the live one, as a quote does
		a.add("A24", e.Seq, "the header's epoch", "the one that the job was for", "none")
	}
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
	a.charged(e.Seq, c.Header.Product, o, candidate)
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

// narrow says whether a grant is for some cells of a product: whether it was for
// those of a job is in the query, of which the log has the digest alone.
func (a *auditor) narrow(grant, product string) bool {
	held, ok := a.world.Catalogue().Grant(grant)
	return ok && held.Doc.Narrows(product)
}

// charged counts what a job charges, and whether the grant was the right one:
// the earliest to expire that had quota left.
func (a *auditor) charged(seq int64, product string, o admission.Outcome, taken admission.Candidate) {
	for _, earlier := range o.Candidates {
		if earlier.Grant == taken.Grant || a.partial() {
			break
		}
		if !a.exhausted(earlier) && !a.narrow(earlier.Grant, product) {
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

// exhausted says whether one of a candidate's charges would not hold now.
func (a *auditor) exhausted(c admission.Candidate) bool {
	return slices.ContainsFunc(c.Charges, a.passes)
}

// passes says whether a charge would pass its limit now.
func (a *auditor) passes(ch admission.Charge) bool {
	return a.used[counter{ch.Counter, ch.Window}]+ch.Units > ch.Limit
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
	if h.Renews != "" {
		a.renews(seq, h, at)
	}
	a.jobs.byID[id] = past{
		seq: seq, units: h.Units, epoch: int32(h.Epoch), renewal: h.Renews != "",
		enterprise: a.jobs.name(h.Enterprise), product: a.jobs.name(h.Product), purpose: a.jobs.name(h.Purpose),
	}
}

// renews checks a renewal, which uses up the job that it renews.
func (a *auditor) renews(seq int64, h *ledger.Header, at time.Time) {
	if err := a.renewable(h, at); err != nil {
		a.add("A32", seq, "the renewal of job "+h.Renews, "one that the rules allow", err.Error())
	}
	id := jobID(h.Renews)
	if old, ok := a.jobs.byID[id]; ok {
		old.renewed = true
		a.jobs.byID[id] = old
	}
}

// renewable says what stands against a renewal at a time, as far as can be told.
func (a *auditor) renewable(h *ledger.Header, at time.Time) error {
	old, ok := a.jobs.byID[jobID(h.Renews)]
	switch {
	case !ok && a.partial():
		return nil // it may be one of the lost
	case !ok:
		return errors.New("no such job was settled before")
	}
	return a.world.Renewable(admission.Past{
		Enterprise: a.jobs.texts[old.enterprise], Product: a.jobs.texts[old.product],
		Purpose: vocabulary.Purpose(a.jobs.texts[old.purpose]), Epoch: int(old.epoch), Units: old.units,
		Renewal: old.renewal, Renewed: old.renewed,
	}, h, at)
}

// jobID packs a UUID. Entries that decode have no other ids.
func jobID(s string) (id [16]byte) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err == nil {
		copy(id[:], b)
	}
	return id
}
