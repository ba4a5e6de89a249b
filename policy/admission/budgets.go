package admission

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// lifetimeWindow is the one window of a budget that is never given anew.
const lifetimeWindow = "lifetime"

// How a budget entry names the two windows of a spend.
const (
	perPeriod   = "period"
	perLifetime = "lifetime"
)

// BudgetUse is a resource's privacy budget in one window, in millionths of rho.
type BudgetUse struct {
	Window string // 2026-11, 2026 or lifetime
	Limit  int64
	Spent  int64
}

// Left is what may still be spent. It is never negative: a budget may be cut
// below what was spent.
func (b BudgetUse) Left() int64 { return max(b.Limit-b.Spent, 0) }

// budget is what was published over a resource, as far as privacy goes. It is
// immutable: a change replaces it in the map.
type budget struct {
	lifetime int64
	months   map[string]int64 // spent, by month

	disclosed, noised int64 // the first publication of each regime; 0: none
}

// within is what was spent in the month or year of a time.
func (b budget) within(per string, at time.Time) int64 {
	if per == "month" {
		return b.months[fees.Month(at)]
	}
	var sum int64
	for month, spent := range b.months {
		if month[:4] == fees.Month(at)[:4] {
			sum = min(sum+spent, ledger.AllUnits)
		}
	}
	return sum
}

// periodWindow names the window of a budget's period at a time, in China
// Standard Time.
func periodWindow(per string, at time.Time) string {
	if per == "month" {
		return fees.Month(at)
	}
	return fees.Month(at)[:4]
}

// Budget is what a resource's privacy budget is at a time, and what was spent of
// it. A resource without one is not ok.
func (w *World) Budget(resource string, at time.Time) (lifetime, period BudgetUse, ok bool) {
	held, known := w.catalogue.Resource(resource)
	if !known || held.Doc.Budget == nil {
		return BudgetUse{}, BudgetUse{}, false
	}
	limits, used := held.Doc.Budget, w.budgets[resource]
	return BudgetUse{Window: lifetimeWindow, Limit: limits.Lifetime, Spent: used.lifetime},
		BudgetUse{Window: periodWindow(limits.Per, at), Limit: limits.Period, Spent: used.within(limits.Per, at)}, true
}

// PrivacyStatement says whether what was published of a resource's cells is
// differentially private, with what was spent as its parameter. It is, if cells
// were published under privacy and never under disclosure control, whose figures
// are exact: ended is the publication that brought the second regime, and 0 if
// there is none. Answers of verify products are beside the statement: those who
// hold an identifier are told about it.
func (w *World) PrivacyStatement(resource string) (holds bool, ended int64) {
	b := w.budgets[resource]
	if b.disclosed != 0 && b.noised != 0 {
		return false, max(b.disclosed, b.noised)
	}
	return b.noised != 0, 0
}

// Spends are the bodies of the entries that go right before a publication of a
// product, in this order and in one transaction with it: none, unless it is
// released under privacy over a resource with a budget. Folding says whether
// enough is left.
func (w *World) Spends(p *vocabulary.Product, at time.Time) []*ledger.Budget {
	if p.Aggregate == nil || p.Aggregate.Privacy == nil {
		return nil
	}
	lifetime, period, ok := w.Budget(p.Resource, at)
	if !ok {
		return nil
	}
	spend := func(per, window string) *ledger.Budget {
		return &ledger.Budget{Resource: p.Resource, Product: p.ID, Per: per, Window: window, Units: p.Aggregate.Privacy.Rho, Action: "spend"}
	}
	return []*ledger.Budget{spend(perLifetime, lifetime.Window), spend(perPeriod, period.Window)}
}

// UsedUp are the budget entries with which a log begins that stands in for
// another whose end is not known: whatever could have been published counts as
// spent, so that nothing is published under privacy over those resources again. A
// resource that cells were published of is one of them also where its manifest has no
// budget, or none any more: what was told of it is not in the new log, in which a
// statement of differential privacy would not know of it.
func (w *World) UsedUp() []*ledger.Budget {
	var out []*ledger.Budget
	for _, r := range w.catalogue.Resources() {
		if _, told := w.budgets[r.Doc.ID]; told || r.Doc.Budget != nil {
			out = append(out, &ledger.Budget{Resource: r.Doc.ID, Per: perLifetime, Window: lifetimeWindow, Units: ledger.AllUnits, Action: "spend"})
		}
	}
	return out
}

// spending is a spend that awaits its publication.
type spending struct {
	seq  int64
	body *ledger.Budget
}

// Unspent is a spend that no publication followed, if there is one at the end of
// what was folded.
func (w *World) Unspent() (seq int64, ok bool) {
	if len(w.spendings) == 0 {
		return 0, false
	}
	return w.spendings[0].seq, true
}

// goesOn says whether an entry is what the spends right before it are for.
func (w *World) goesOn(e *ledger.Entry) bool {
	n := len(w.spendings)
	if n == 0 {
		return true
	}
	first, last := w.spendings[0].body, w.spendings[n-1]
	if e.Seq != last.seq+1 {
		return false
	}
	if n == 1 {
		b := e.Budget
		return b != nil && b.Counter == "" && b.Per == perPeriod && b.Product == first.Product && b.Resource == first.Resource && b.Units == first.Units
	}
	return e.Publish != nil && e.Publish.Regime == vocabulary.RegimePrivacy && e.Publish.Product == first.Product
}

// spend takes what a publication under privacy costs. A restored log's carried
// counters are none of it.
func (w *World) spend(e *ledger.Entry, b *ledger.Budget) (faults, func()) {
	var f faults
	what := "privacy budget of " + b.Resource
	switch {
	case b.Counter != "":
		return nil, nil
	case b.Action != "spend":
		f.add(ClassBudget, what, "a spend: the resource's manifest sets budgets", b.Action)
		return f, nil
	case b.Product == "":
		return w.carryOver(b, what)
	}
	lifetime, period, ok := w.Budget(b.Resource, e.Time.Time)
	if !ok {
		f.add(ClassBudget, what, "a registered resource with a budget", "none")
		return f, nil
	}
	use := lifetime
	if b.Per == perPeriod {
		use = period
	}
	if b.Window != use.Window {
		f.add(ClassBudget, what, "a spend in "+use.Window, "one in "+b.Window)
	}
	if b.Units < 1 || b.Units > use.Left() {
		f.add(ClassBudget, what, fmt.Sprintf("at most %d, which is left of %d in %s", use.Left(), use.Limit, use.Window), strconv.FormatInt(b.Units, 10))
	}
	if b.Per == perPeriod && !(len(w.spendings) == 1 && w.goesOn(e)) {
		f.add(ClassSpend, what, "the same spend of the lifetime in the entry right before", "none")
	}
	return f, func() {
		w.spendings = append(slices.Clip(w.spendings), spending{e.Seq, b})
		w.count(b, e.Time.Time)
	}
}

// carryOver takes what a log begins with that stands in for another: before
// anything is published in it.
func (w *World) carryOver(b *ledger.Budget, what string) (faults, func()) {
	var f faults
	begins := w.standsIn
	for _, p := range w.products {
		begins = begins && len(p.epochs) == 0
	}
	if !begins {
		f.add(ClassSpend, what, "a spend by a product: no restore into a new log goes before", "one by none")
	}
	return f, func() { w.count(b, time.Time{}) }
}

// count adds a spend to its window.
func (w *World) count(b *ledger.Budget, at time.Time) {
	used := w.budgets[b.Resource]
	if b.Per == perPeriod {
		used.months = maps.Clone(used.months)
		if used.months == nil {
			used.months = map[string]int64{}
		}
		month := fees.Month(at)
		used.months[month] = min(used.months[month]+b.Units, ledger.AllUnits)
	} else {
		used.lifetime = min(used.lifetime+b.Units, ledger.AllUnits)
	}
	w.budgets[b.Resource] = used
}

// checkRegime holds an aggregate product's publication to the regime that was
// reviewed, and one under privacy to the spends right before it.
func (w *World) checkRegime(f *faults, what string, doc *vocabulary.Product, b *ledger.Publish) {
	if doc.Aggregate == nil {
		if b.Regime != "" {
			f.add(ClassPublish, what, "no regime: it has no cells", b.Regime)
		}
		return
	}
	if want := doc.Aggregate.Regime(); b.Regime != want {
		f.add(ClassPublish, what, "the regime "+want, b.Regime)
	}
	if b.Regime != vocabulary.RegimePrivacy {
		return
	}
	if p := doc.Aggregate.Privacy; p != nil && b.Rho != p.Rho {
		f.add(ClassUnpaid, what, fmt.Sprintf("rho %d, as the product says", p.Rho), strconv.FormatInt(b.Rho, 10))
	}
	switch {
	case len(w.spendings) != 2:
		f.add(ClassUnpaid, what, "a spend of lifetime and period in the two entries right before", "none")
	case w.spendings[0].body.Resource != doc.Resource:
		f.add(ClassUnpaid, what, "a spend of "+doc.Resource, "one of "+w.spendings[0].body.Resource)
	case w.spendings[0].body.Units != b.Rho:
		f.add(ClassUnpaid, what, fmt.Sprintf("a spend of %d, its rho", b.Rho), strconv.FormatInt(w.spendings[0].body.Units, 10))
	}
}

// released notes under which regime cells were published over a resource.
func (w *World) released(resource, regime string, seq int64) {
	used := w.budgets[resource]
	switch {
	case regime == vocabulary.RegimeDisclosure && used.disclosed == 0:
		used.disclosed = seq
	case regime == vocabulary.RegimePrivacy && used.noised == 0:
		used.noised = seq
	default:
		return
	}
	w.budgets[resource] = used
}
