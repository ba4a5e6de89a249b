package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
)

// Options of an audit. The zero value checks everything.
type Options struct {
	Receipts       []*ledger.Receipt     // to hold against the log on the way
	SkipSignatures bool                  // of requests: the rest takes a fraction of the time
	MaxFindings    int                   // 0: DefaultMaxFindings
	Progress       func(entries int64)   // called now and then
	Entry          func(e *ledger.Entry) // called for each entry that decodes, in order; nil: none
}

// Audit checks the log of a source. The error is about reading, not about what
// was read: findings are in the report.
func Audit(ctx context.Context, src Source, keys Keys, opts Options) (*Report, error) {
	if keys.Log == nil {
		return nil, errors.New("audit: the log's public key is needed")
	}
	a := newAuditor(src, keys, opts)
	a.heads.meet(&a.tree)
	err := src.Entries(func(seq int64, salt [ledger.SaltSize]byte, entry []byte) error {
		if a.tree.size%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if opts.Progress != nil {
				opts.Progress(a.tree.size)
			}
		}
		a.entry(seq, salt, entry)
		return nil
	})
	switch {
	case errors.Is(err, ledger.ErrMalformed):
		a.add("A01", a.tree.size, "the export", "lines as an export has them", err.Error())
	case err != nil:
		return nil, fmt.Errorf("audit: reading the log: %w", err)
	}
	return a.finish(), nil
}

// auditor is an audit under way.
type auditor struct {
	findings
	src  Source
	keys Keys
	opts Options

	report Report
	tree   frontier
	log    *ledger.LogKeys
	heads  heads
	order  order
	unread bool // an entry did not decode
	time   time.Time

	world  *admission.World
	engine *admission.Engine // of world; nil: it has changed
	broken error             // why world cannot be compiled; said once

	former    bool // the log says that it stands in for another
	beginning bool // of a log that stands in for another: no call was settled yet

	jobs     jobs
	used     map[counter]int64
	ceilings map[string]ceiling
	unlisted map[signer]bool    // already told
	cascades map[string]cascade // decisions that differ in the same way
	receipts receipts
}

// counter is a quota's or share's count in one window.
type counter struct{ name, window string }

func newAuditor(src Source, keys Keys, opts Options) *auditor {
	a := &auditor{
		findings: findings{most: opts.MaxFindings},
		src:      src, keys: keys, opts: opts,
		report:   Report{Origin: src.Origin(), Kinds: map[ledger.Kind]int64{}},
		world:    admission.NewWorld(),
		jobs:     newJobs(),
		used:     map[counter]int64{},
		unlisted: map[signer]bool{},
		cascades: map[string]cascade{},
	}
	if a.most <= 0 {
		a.most = DefaultMaxFindings
	}
	if got, want := src.Origin(), keys.Log.Name(); got != want {
		a.add("A09", -1, "the log's origin", want+", which the key is of", got)
	}
	a.log, _ = ledger.TraceLogKeys(keys.Log, src.HandOvers()...) // what does not join on is found at its entry
	a.heads = openCheckpoints(&a.findings, src, a.log)
	a.receipts = openReceipts(&a.findings, opts.Receipts, keys.Log, a.log)
	return a
}

// entry takes the next entry as it stands in the source.
func (a *auditor) entry(seq int64, salt [ledger.SaltSize]byte, text []byte) {
	a.receipts.see(&a.findings, seq, salt, text)
	a.tree.add(ledger.Leaf(ledger.Record(salt, text)))
	a.heads.meet(&a.tree)
	a.receipts.meet(&a.findings, &a.tree, a.heads.astray)

	displaced := a.order.see(&a.findings, seq)
	e, err := ledger.Decode(text)
	if err != nil {
		a.add("A01", seq, "the entry", "the canonical encoding of an entry", err.Error())
		a.unread = true
		return
	}
	if e.Seq != seq {
		a.add("A02", seq, "the entry's own number", strconv.FormatInt(seq, 10), strconv.FormatInt(e.Seq, 10))
	}
	if !displaced {
		if e.Time.Before(a.time) {
			a.add("A03", seq, "time", "no earlier than "+ledger.NewTime(a.time).String(), e.Time.String())
		}
		a.time = e.Time.Time
	}
	a.report.Kinds[e.Kind]++
	if e.Access != nil && e.Access.Former != nil && !a.former { // said once, however often the log says it
		a.former = true
		f := e.Access.Former
		a.note("N05", fmt.Sprintf("entry %d says that the log stands in for %s, which had %d entries or more, of root %s: audit that one too", seq, f.Origin, f.Size, f.Root))
	}
	switch {
	case e.TheCall() != nil:
		a.beginning = false
		a.call(e)
	case e.Kind == ledger.KindDenied:
		a.beginning = false
		a.denied(e)
	case seq == 1 && e.Access != nil && e.Access.Former != nil:
		a.beginning = true
	case e.Kind == ledger.KindBudget:
		a.spent(seq, e.Budget)
	}
	a.follow(e)
	if a.opts.Entry != nil {
		a.opts.Entry(e)
	}
}

// spent counts what a budget entry takes from a counter that calls are charged
// to: they are held to what is left. Only the beginning of a log that stands in
// for another may take so; elsewhere an operator could feign that a grant is
// used up and charge another.
func (a *auditor) spent(seq int64, b *ledger.Budget) {
	if b.Counter == "" || b.Action != "spend" {
		return
	}
	if !a.beginning {
		a.add("A35", seq, "the counter "+b.Counter, "charged by calls alone: no restore into a new log goes before", strconv.FormatInt(b.Units, 10)+" units spent")
	}
	at := counter{b.Counter, b.Window}
	a.used[at] = min(a.used[at]+b.Units, ledger.AllUnits)
}

// classes are the ids of what is wrong with control entries.
var classes = map[admission.Class]string{
	admission.ClassGenesis:   "A09",
	admission.ClassDocument:  "A10",
	admission.ClassSignature: "A11",
	admission.ClassApproval:  "A12",
	admission.ClassMeaning:   "A13",
	admission.ClassReview:    "A14",
	admission.ClassPublish:   "A15",
	admission.ClassKey:       "A16",
	admission.ClassStop:      "A17",
	admission.ClassShred:     "A18",
	admission.ClassHandOver:  "A19",
	admission.ClassBudget:    "A36",
	admission.ClassSpend:     "A37",
	admission.ClassUnpaid:    "A38",
}

// follow folds an entry into the world.
func (a *auditor) follow(e *ledger.Entry) {
	for _, fault := range a.world.Follow(e) {
		if id, ok := classes[fault.Class]; ok { // order is this package's own to judge
			a.add(id, e.Seq, fault.What, fault.Expected, fault.Got)
		}
	}
	switch e.Kind {
	case ledger.KindCall, ledger.KindExemption, ledger.KindDenied, ledger.KindAccess, ledger.KindClose,
		ledger.KindCorrection, ledger.KindDispute, ledger.KindBudget:
		return // the policies stay as they are
	case ledger.KindKey:
		if e.Key.Action == "genesis" {
			a.genesis(e)
		}
	}
	a.engine, a.broken = nil, nil
	clear(a.ceilings)
}

// genesis compares what entry 0 pins with what the auditor was given.
func (a *auditor) genesis(e *ledger.Entry) {
	pinned := a.world.Keys()
	if pinned.Origin != a.keys.Log.Name() {
		a.add("A09", e.Seq, "the genesis' origin", a.keys.Log.Name(), pinned.Origin)
	}
	if v, err := ledger.LogVerifier(pinned.Origin, pinned.Log); pinned.Log != nil && (err != nil || v.KeyHash() != a.log.First().KeyHash()) {
		a.add("A09", e.Seq, "the genesis' ledger key", "the log's key as given, or one that handed over to it", ledger.FormatKey(pinned.Log))
	}
	for _, pin := range []struct {
		role       string
		given, got ed25519.PublicKey
	}{{"authoriser", a.keys.Authoriser, pinned.Authoriser}, {"authority", a.keys.Authority, pinned.Authority}} {
		switch {
		case pin.given == nil:
			a.note("N02", "the key of the "+pin.role+" was not given: approvals were checked against the log's own pin, "+ledger.FormatKey(pin.got))
		case !bytes.Equal(pin.given, pin.got):
			a.add("A09", e.Seq, "the genesis key of the "+pin.role, ledger.FormatKey(pin.given)+", as given", ledger.FormatKey(pin.got))
		}
	}
}

// policies is the engine of the world as it is before the entry at hand.
func (a *auditor) policies(seq int64) *admission.Engine {
	if a.engine == nil && a.broken == nil {
		a.engine, a.broken = admission.Compile(a.world, nil)
		if a.broken != nil {
			a.add("A13", seq, "the documents in force", "policies that compile", a.broken.Error())
		}
	}
	return a.engine
}

// partial says whether entries are lost or unreadable. Counts are then lower
// bounds: that one is passed still shows, that one was not reached does not.
func (a *auditor) partial() bool { return a.unread || a.order.lost > 0 }

func (a *auditor) note(id, what string) {
	a.report.Notes = append(a.report.Notes, Note{ID: id, What: what})
}

func (a *auditor) finish() *Report {
	if a.world.Keys().Operator == nil {
		a.add("A09", 0, "the genesis", "a key entry that pins operator, authoriser and authority, as entry 0", "none")
	}
	for _, c := range a.cascades {
		if c.more > 0 {
			a.list[c.at].Got += fmt.Sprintf(", and so in %d later entries", c.more)
		}
	}
	a.order.finish(&a.findings)
	tree, matching := a.heads.judge(&a.findings, a.tree.size, a.order.lost)
	a.receipts.finish(&a.findings, a.tree.size)
	if a.opts.SkipSignatures {
		a.note("N03", "request signatures were not verified, as asked")
	}
	if seq, ok := a.world.Unspent(); ok {
		a.add("A37", seq, "the spend", "the publication that it is for right after it", "the end of the log")
	}
	for _, kind := range []ledger.Kind{ledger.KindCorrection, ledger.KindClose, ledger.KindDispute} {
		if n := a.report.Kinds[kind]; n > 0 {
			a.note("N04", fmt.Sprintf("entries of kind %s were held to their form alone: %d", kind, n))
		}
	}
	r := a.report
	r.Entries, r.Size, r.Root, r.Checkpoints = a.tree.size, tree.N, tree.Hash, matching
	r.Findings, r.Dropped, r.Receipts = a.sorted(), a.dropped, len(a.opts.Receipts)
	return &r
}

// order follows the sequence numbers.
type order struct {
	next    int64
	missing []span // ascending, at most maxSpans
	lost    int64  // how many numbers are in them
}

// span is a range of numbers, both ends included.
type span struct{ from, to int64 }

// compare orders a span before or after a number outside it.
func (s span) compare(seq int64) int {
	switch {
	case s.to < seq:
		return -1
	case s.from > seq:
		return 1
	}
	return 0
}

const maxSpans = 10_000

// see takes the next number. A number that was passed over is displaced, one
// that was there is repeated; gaps are findings at the end, for an entry may
// still come.
func (o *order) see(f *findings, seq int64) (displaced bool) {
	switch {
	case seq == o.next:
		o.next++
	case seq > o.next:
		if len(o.missing) < maxSpans {
			o.missing = append(o.missing, span{o.next, seq - 1})
			o.lost += seq - o.next
		}
		o.next = seq + 1
	case o.fill(seq):
		f.add("A02", seq, "the entry's place", "before entry "+strconv.FormatInt(seq+1, 10), "after entry "+strconv.FormatInt(o.next-1, 10))
		return true
	default:
		f.add("A02", seq, "the entry", "once", "again, after entry "+strconv.FormatInt(o.next-1, 10))
		return true
	}
	return false
}

// fill takes a number out of those that are missing.
func (o *order) fill(seq int64) bool {
	at, ok := slices.BinarySearchFunc(o.missing, seq, span.compare)
	if !ok {
		return false
	}
	s := o.missing[at]
	var rest []span
	if s.from < seq {
		rest = append(rest, span{s.from, seq - 1})
	}
	if seq < s.to {
		rest = append(rest, span{seq + 1, s.to})
	}
	if len(rest) == 2 && len(o.missing) >= maxSpans { // no more are told apart
		o.lost -= rest[1].to - seq
		rest = rest[:1]
	}
	o.missing = slices.Replace(o.missing, at, at+1, rest...)
	o.lost--
	return true
}

func (o *order) finish(f *findings) {
	for _, s := range o.missing {
		what, got := "the entry", "none"
		if s.to > s.from {
			what, got = fmt.Sprintf("%d entries", s.to-s.from+1), "none of them"
		}
		f.addRange("A02", s.from, s.to, what, "every number once", got)
	}
}

// addMoney adds an amount to the revenue; what does not add up is a finding.
func (a *auditor) addMoney(seq int64, text string) {
	amount, err := fees.ParseMoney(text)
	if err == nil {
		a.report.Revenue, err = a.report.Revenue.Add(amount)
	}
	if err != nil {
		a.add("A29", seq, "the amount", "yuan that add up", err.Error())
	}
}
