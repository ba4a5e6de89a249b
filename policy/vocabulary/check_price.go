package vocabulary

import (
	"cmp"
	"fmt"
	"slices"
)

// priced demands a product that can be priced.
func (k *checker) priced(p Parsed, id string) bool {
	if !k.refers(p, "product", KindProduct, id) {
		return false
	}
	if product, _ := k.now.Product(id); product.Doc.Sandbox {
		k.fault(p, "sandbox-priced", "product", "the sandbox product "+id, "a product that is not free", "take the document out; the sandbox costs nothing")
		return false
	}
	return true
}

func (k *checker) ceiling(p Parsed, c *Ceiling) {
	if held, ok := k.old.Get(KindCeiling, c.ID); ok {
		k.same(p, "product", c.Product, held.Doc.(*Ceiling).Product)
	}
	k.priced(p, c.Product)
}

// tariff holds a price to its ceilings when it is applied, not when it is
// charged: on its first day and on every later day that it may be in force.
func (k *checker) tariff(p Parsed, t *Tariff) {
	if before, ok := k.old.Tariff(t.ID); ok {
		k.same(p, "product", t.Product, before.Doc.Product)
	}
	if !k.priced(p, t.Product) {
		return
	}
	for _, price := range k.prices(t.Product) {
		if price.doc.ID != t.ID {
			continue
		}
		switch over := k.over(price, true); {
		case over == nil:
		case over.by == nil:
			k.fault(p, "no-ceiling", "from", fmt.Sprintf("%s, when no ceiling %s of %s is in force", over.day, t.Basis, t.Product), "a first day with a ceiling of the same basis"+k.ceilingsFrom(t), "apply the authorising body's ceiling first, or begin later")
		default:
			k.fault(p, "price-over-ceiling", "price", t.Price, fmt.Sprintf("at most %s, the ceiling %s in force on %s", over.by.Amount, over.by.ID, over.day), "")
		}
	}
}

// ceilingsFrom names the days from which there are ceilings that would do.
func (k *checker) ceilingsFrom(t *Tariff) string {
	var days []string
	for _, c := range k.now.Ceilings(t.Product) {
		if c.Doc.Basis == t.Basis {
			days = append(days, string(c.Doc.From)+" ("+c.Doc.ID+")")
		}
	}
	if len(days) == 0 {
		return ""
	}
	return "; there is one from " + list(days)
}

// price is a tariff with the day from which it binds: its first, or that of its
// entry if that is later.
type price struct {
	doc   *Tariff
	binds Date
	seq   int64
}

// prices are a product's tariffs in the order in which they bind.
func (k *checker) prices(product string) []price {
	var prices []price
	for _, t := range k.now.Tariffs(product) {
		prices = append(prices, price{t.Doc, max(t.Doc.From, DateOf(t.BoundAt)), t.Seq})
	}
	slices.SortStableFunc(prices, func(a, b price) int {
		return cmp.Or(cmp.Compare(a.binds, b.binds), cmp.Compare(a.seq, b.seq))
	})
	return prices
}

// excess is a day on which a price has no ceiling or is over it.
type excess struct {
	day Date
	by  *Ceiling // nil: there is none
}

func (e *excess) ceiling() string {
	if e.by == nil {
		return "no ceiling"
	}
	return e.by.Amount
}

// over finds the first day on which a price is over its ceiling: of the days on
// which it may be in force, those suffice on which a ceiling begins. Days before
// it binds and before today are past; fromFirst looks at its first day all the
// same, as a price that was never allowed on the day it names is a mistake.
func (k *checker) over(t price, fromFirst bool) *excess {
	ceilings := k.now.Ceilings(t.doc.Product)
	start := max(t.binds, k.today)
	days := []Date{start}
	if fromFirst {
		days = []Date{t.doc.From, start}
	}
	for _, c := range ceilings {
		if c.Doc.From > start {
			days = append(days, c.Doc.From)
		}
	}
	for i, day := range days {
		first := fromFirst && i == 0
		if !first && (!day.InTerm(t.doc.From, t.doc.Until) || k.superseded(t, day)) {
			continue
		}
		var by *Ceiling
		for _, c := range ceilings {
			if c.Doc.Basis == t.doc.Basis && c.Doc.From <= day {
				by = c.Doc
			}
		}
		if by == nil || dearer(t.doc.Price, by.Amount) {
			return &excess{day, by}
		}
	}
	return nil
}

// superseded says whether a tariff has ended on a day because a later one binds
// by then: any for an open tariff, for a dated one such as outlast it, as it
// would be in force again after one that does not.
func (k *checker) superseded(t price, day Date) bool {
	later := false
	for _, next := range k.prices(t.doc.Product) {
		if later && next.binds <= day && (t.doc.Until == "" || next.doc.Until == "" || next.doc.Until >= t.doc.Until) {
			return true
		}
		later = later || next.doc == t.doc
	}
	return false
}

func dearer(price, ceiling string) bool {
	p, ok := decimal(price, moneyPattern)
	c, known := decimal(ceiling, moneyPattern)
	return !ok || !known || p.Cmp(c) > 0
}
