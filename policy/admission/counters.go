package admission

import (
	"maps"
	"slices"
	"time"

	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Window is a counter in one of its windows: what calls are charged to.
type Window struct {
	Counter, Window string
	Product         string
	Per             string // day, month, term
}

// Spent is the budget entry that takes units from a window. It is counted as
// calls are.
func (w *World) Spent(of Window, units int64) *ledger.Budget {
	b := &ledger.Budget{Product: of.Product, Per: "period", Window: of.Window, Units: units, Action: "spend", Counter: of.Counter}
	if of.Per == "term" {
		b.Per = "lifetime"
	}
	if p, ok := w.products[of.Product]; ok {
		b.Resource = p.doc.Resource
	}
	return b
}

// Windows are those that a call after the last entry can have been charged to, in
// the windows that now is in: every quota of every grant that had not ended by
// that entry, and every share of the population that such a grant opens. They are
// sorted.
func (w *World) Windows(now time.Time) []Window {
	found := map[Window]bool{}
	for _, g := range w.grants {
		if now.Before(g.term.from) || !w.time.Before(g.term.until) || w.revoked[g.subject()] {
			continue
		}
		for _, id := range g.doc.Products {
			p := w.products[id]
			if p.doc == nil { // only where an audit follows a bad entry
				continue
			}
			for _, q := range g.doc.Quotas {
				if q.Unit != p.doc.Unit() && q.Unit != vocabulary.UnitCalls {
					continue
				}
				counter, in := QuotaCounter(g.doc, id, q, now)
				found[Window{counter, in, id, q.Per}] = true
			}
			for _, doc := range []*vocabulary.Product{p.doc, p.published} { // a draft may be published next
				if doc != nil {
					for _, s := range sharesOf(doc, Facts{Enterprise: g.doc.Enterprise, Product: id, Now: now}, 0) {
						found[Window{s.Counter, s.Window, id, s.Per}] = true
					}
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b Window) int {
		return slices.Compare([]string{a.Counter, a.Window}, []string{b.Counter, b.Window})
	})
}

// Over says whether a window of days or months has ended.
func (of Window) Over(now time.Time) bool {
	switch of.Per {
	case "day":
		return of.Window != fees.Day(now)
	case "month":
		return of.Window != fees.Month(now)
	}
	return false
}
