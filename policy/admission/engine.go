package admission

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Facts are what a job asks for.
type Facts struct {
	Enterprise, Product string
	Purpose             vocabulary.Purpose
	Grant               string // which grant to charge; empty: the earliest to expire
	Kind                string // verify, model, aggregate
	Units               int64
	Epoch               int // 0: the live one, for a quote; a signed header names one
	Now                 time.Time
	Renewal             bool // a job that was found to be Renewable
	Consent             bool // a consent root is on record
}

// FactsOf are the facts of a signed header at a time.
func FactsOf(h *ledger.Header, now time.Time) Facts {
	return Facts{
		Enterprise: h.Enterprise, Product: h.Product, Purpose: vocabulary.Purpose(h.Purpose),
		Grant: h.Grant, Kind: h.Kind, Units: h.Units, Epoch: h.Epoch, Now: now,
		Renewal: h.Renews != "", Consent: h.ConsentRoot != "",
	}
}

// ErrFacts is returned for facts that no valid header has: they are refused
// before any policy sees them.
var ErrFacts = errors.New("admission: facts that no valid header has")

// valid holds facts to what an entry may carry, so that every decision can be
// logged.
func (f Facts) valid() error {
	for _, s := range []string{f.Enterprise, f.Product, string(f.Purpose), f.Kind, f.Grant} {
		if len(s) > 64 {
			return fmt.Errorf("%w: an id of %d bytes", ErrFacts, len(s))
		}
		for i := range len(s) {
			if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
				return fmt.Errorf("%w: an id with a character outside its alphabet", ErrFacts)
			}
		}
	}
	if now := f.Now.UnixMilli(); f.Units < 0 || f.Units >= 1<<53 || now < 0 || now >= never.UnixMilli() {
		return fmt.Errorf("%w: units or time out of range", ErrFacts)
	}
	return nil
}

// Engine decides jobs by the policies of one world. It is immutable and safe for
// concurrent use; a change of the world takes a new one.
type Engine struct {
	world    *World
	always   []policy // red lines, operator forbids, the sandbox's permit
	byID     map[cedar.PolicyID]int
	policies string // digest

	enterprises sync.Map // code → *enterpriseView
	products    sync.Map // id → *productView
}

// Compile makes the engine of a world, which may change afterwards. Operator
// policies are the world's own. trial is the text of further forbids that are
// not logged, to see what they would refuse; whoever serves passes nil, for a
// decision under a policy that is on no ledger cannot be decided again.
func Compile(w *World, trial []byte) (*Engine, error) {
	e := &Engine{world: w.Clone(), byID: map[cedar.PolicyID]int{}}
	scopes, err := scopeLines(w)
	if err != nil {
		return nil, fmt.Errorf("admission: compiling: %w", err)
	}
	e.always = append(slices.Clone(fixed), scopes...)
	slices.SortStableFunc(e.always, func(a, b policy) int { return rank(a.id) - rank(b.id) })
	for _, id := range slices.Sorted(maps.Keys(w.policies)) {
		e.always = append(e.always, w.policies[id].policies...)
	}
	if len(trial) > 0 {
		extra, err := parsePolicies("trial", trial)
		if err != nil {
			return nil, fmt.Errorf("admission: compiling: %w", err)
		}
		e.always = append(e.always, extra...)
	}
	e.always = append(e.always, sandbox)
	for i, p := range e.always {
		e.byID[p.id] = i
	}
	e.policies = e.digest()
	return e, nil
}

// rank is a red line's place in the table of the package comment.
func rank(id cedar.PolicyID) int {
	return slices.IndexFunc(redLines, func(r redLine) bool { return r.id == string(id) })
}

// digest is over a line per policy, "<id> <digest of its text>", ordered by id.
func (e *Engine) digest() string {
	lines := make([]string, 0, len(e.always)+len(e.world.grants))
	for _, p := range e.always {
		lines = append(lines, string(p.id)+" "+p.digest+"\n")
	}
	for _, g := range e.world.grants {
		if !e.world.revoked[g.subject()] {
			lines = append(lines, string(g.policy.id)+" "+g.policy.digest+"\n")
		}
	}
	slices.Sort(lines)
	return ledger.Digest([]byte(strings.Join(lines, "")))
}

// World is the world that the engine decides in. It must not be changed.
func (e *Engine) World() *World { return e.world }

// Policies is the digest of the policy set, as decisions carry it.
func (e *Engine) Policies() string { return e.policies }

// Policy is the Cedar text of a policy by its id, as a decision names it: a red
// line's, a grant's or, with all of its document, an operator's forbid.
func (e *Engine) Policy(id string) (text string, ok bool) {
	if at, ok := e.byID[cedar.PolicyID(id)]; ok {
		return e.always[at].text, true
	}
	if g, ok := e.world.grants[id]; ok && !e.world.revoked[g.subject()] {
		return g.policy.text, true
	}
	return "", false
}

// Outcome is a decision with what follows from it. Reason is empty exactly where
// the job is admitted, and then there is at least one candidate.
type Outcome struct {
	Decision   ledger.Decision
	Reason     ledger.Reason
	Rule       string      // the policy, grant or check that refused
	Candidates []Candidate // grants that permit it, the earliest to expire first
}

// Admitted says whether the policies admit the job. Quotas are the settling
// transaction's to check: see Candidate.
func (o Outcome) Admitted() bool { return o.Reason == "" }

// Decide decides a job. An error means that the facts or the world are no such;
// a refusal is an Outcome.
func (e *Engine) Decide(f Facts) (Outcome, error) {
	if err := f.valid(); err != nil {
		return Outcome{}, err
	}
	of, err := e.pair(f.Enterprise, f.Product)
	if err != nil {
		return Outcome{}, fmt.Errorf("admission: %w", err)
	}
	live, ends := e.serving(f)
	f.Epoch = live.Epoch
	request, text := e.request(f, ends)
	d := ledger.Decision{Request: text, Entities: of.digest(), Policies: e.policies}
	allow, diag := cedar.Authorize(applicable{e.always, of.enterprise.grants}, of, request)
	switch {
	case len(diag.Errors) > 0: // a forbid that fails is skipped by cedar-go: deny
		first := slices.MinFunc(diag.Errors, func(a, b cedar.DiagnosticError) int { return strings.Compare(string(a.PolicyID), string(b.PolicyID)) })
		return refuse(d, ledger.ReasonPolicyError, string(first.PolicyID)), nil
	case allow == cedar.Allow:
		return e.admit(d, f, of, live, diag.Reasons)
	case len(diag.Reasons) > 0:
		first := e.gravest(diag.Reasons)
		return refuse(d, first.reason, string(first.id)), nil
	}
	reason, rule := e.explain(f)
	return refuse(d, reason, rule), nil
}

// refuse is a refusal by a rule. The decision's policy is the rule, where that
// is one.
func refuse(d ledger.Decision, reason ledger.Reason, rule string) Outcome {
	d.Policy = rule
	return Outcome{Decision: d, Reason: reason, Rule: rule}
}

// gravest is the forbid that comes first in the order of red lines.
func (e *Engine) gravest(reasons []cedar.DiagnosticReason) policy {
	at := len(e.always) - 1
	for _, r := range reasons {
		at = min(at, e.byID[r.PolicyID])
	}
	return e.always[at]
}

// serving is the version that a job of the facts' epoch would be served from,
// and when that epoch ends. An epoch that is not served keeps its number and
// has ended.
func (e *Engine) serving(f Facts) (Live, time.Time) {
	if f.Epoch == 0 {
		epochs := e.world.products[f.Product].epochs
		if len(epochs) == 0 {
			return Live{}, time.UnixMilli(0)
		}
		return epochs[len(epochs)-1].newest, epochs[len(epochs)-1].until()
	}
	at, ok := e.world.epoch(f.Product, f.Epoch)
	if !ok {
		return Live{Epoch: f.Epoch}, time.UnixMilli(0)
	}
	return at.newest, at.until()
}

// request builds the Cedar request and its canonical JSON. The JSON is written
// here, in one pass, because every job does it: a test holds it to
// ledger.Canonical. Facts.valid keeps out what would need escaping.
func (e *Engine) request(f Facts, ends time.Time) (cedar.Request, []byte) {
	r := cedar.Request{
		Principal: uid("Enterprise", f.Enterprise),
		Action:    uid("Action", f.Kind),
		Resource:  uid("Product", f.Product),
		Context: cedar.NewRecord(cedar.RecordMap{
			"purpose":   cedar.String(f.Purpose),
			"units":     cedar.Long(f.Units),
			"epoch":     cedar.Long(f.Epoch),
			"epochEnds": cedar.Long(ends.UnixMilli()),
			"now":       cedar.Long(f.Now.UnixMilli()),
			"grant":     cedar.String(f.Grant),
			"renewal":   cedar.Boolean(f.Renewal),
			"consent":   cedar.Boolean(f.Consent),
		}),
	}
	b := make([]byte, 0, 384)
	b = append(b, `{"action":{"id":"`...)
	b = append(b, f.Kind...)
	b = append(b, `","type":"Action"},"context":{"consent":`...)
	b = strconv.AppendBool(b, f.Consent)
	b = append(b, `,"epoch":`...)
	b = strconv.AppendInt(b, int64(f.Epoch), 10)
	b = append(b, `,"epochEnds":`...)
	b = strconv.AppendInt(b, ends.UnixMilli(), 10)
	b = append(b, `,"grant":"`...)
	b = append(b, f.Grant...)
	b = append(b, `","now":`...)
	b = strconv.AppendInt(b, f.Now.UnixMilli(), 10)
	b = append(b, `,"purpose":"`...)
	b = append(b, f.Purpose...)
	b = append(b, `","renewal":`...)
	b = strconv.AppendBool(b, f.Renewal)
	b = append(b, `,"units":`...)
	b = strconv.AppendInt(b, f.Units, 10)
	b = append(b, `},"principal":{"id":"`...)
	b = append(b, f.Enterprise...)
	b = append(b, `","type":"Enterprise"},"resource":{"id":"`...)
	b = append(b, f.Product...)
	b = append(b, `","type":"Product"}}`...)
	return r, b
}

// pair returns the entities of a request, kept from earlier ones.
func (e *Engine) pair(enterprise, product string) (pair, error) {
	a, err := kept(&e.enterprises, enterprise, e.world.viewEnterprise)
	if err != nil {
		return pair{}, err
	}
	b, err := kept(&e.products, product, e.world.viewProduct)
	return pair{a, b}, err
}

// kept builds what a key stands for once. Unknown keys come from outside, so
// they are not kept: they would fill memory.
func kept[V interface{ known() bool }](m *sync.Map, key string, build func(string) (V, error)) (V, error) {
	if v, ok := m.Load(key); ok {
		return v.(V), nil
	}
	v, err := build(key)
	if err == nil && v.known() {
		m.Store(key, v)
	}
	return v, err
}

func (v *productView) known() bool    { return v.doc != nil }
func (v *enterpriseView) known() bool { return v.registered }

// applicable are the policies that can decide a request: those for all, and the
// grants of its enterprise. All other grants name another principal, so they
// neither permit it nor can fail. A test compares with the whole set.
type applicable struct {
	always []policy
	grants []*grant
}

// All implements cedar's PolicyIterator.
func (a applicable) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, p := range a.always {
			if !yield(p.id, p.cedar) {
				return
			}
		}
		for _, g := range a.grants {
			if !yield(g.policy.id, g.policy.cedar) {
				return
			}
		}
	}
}

// explain says why nothing permits a job: the grant that comes closest.
func (e *Engine) explain(f Facts) (ledger.Reason, string) {
	reason, rule, best := ledger.ReasonNoGrant, ruleGrant, 0
	consider := func(closeness int, r ledger.Reason, g *grant) {
		if closeness > best {
			reason, rule, best = r, g.doc.ID, closeness
		}
	}
	for _, g := range e.world.grantsOf(f.Enterprise) {
		if f.Grant != "" && f.Grant != g.doc.ID || !slices.Contains(g.doc.Products, f.Product) {
			continue
		}
		purpose := slices.Contains(g.doc.Purposes, f.Purpose)
		current := g.term.holds(f.Now)
		switch revoked := e.world.revoked[g.subject()]; {
		case purpose && current && revoked:
			consider(4, ledger.ReasonGrantRevoked, g)
		case purpose && !current:
			consider(3, ledger.ReasonGrantExpired, g)
		case !purpose && current && !revoked:
			consider(2, ledger.ReasonPurposeNotGranted, g)
		}
	}
	return reason, rule
}
