package vocabulary

import (
	"fmt"
	"slices"

	"github.com/yingbi/yingbi/policy/fees"
)

// basesOf are the bases that a product's use can be counted by.
var basesOf = map[string][]string{
	TypeVerify:    {fees.PerSubject, fees.PerCall, fees.PerProduct},
	TypeAggregate: {fees.PerCall, fees.PerVolume, fees.PerProduct},
}

// priced demands a product that can be priced so.
func (k *checker) priced(p Parsed, id, basis string) bool {
	if !k.refers(p, "product", KindProduct, id) {
		return false
	}
	product, _ := k.now.Product(id)
	if bases := basesOf[product.Doc.Type]; !slices.Contains(bases, basis) {
		k.fault(p, "bad-basis", "basis", fmt.Sprintf("%s of %s, of type %s", basis, id, product.Doc.Type), list(bases), "")
		return false
	}
	if product.Doc.Sandbox {
		k.fault(p, "sandbox-priced", "product", "the sandbox product "+id, "a product that is not free", "take the document out; the sandbox costs nothing")
		return false
	}
	return true
}

func (k *checker) ceiling(p Parsed, c *Ceiling) {
	if held, ok := k.old.Get(KindCeiling, c.ID); ok {
		k.same(p, "product", c.Product, held.Doc.(*Ceiling).Product)
	}
	k.priced(p, c.Product, c.Basis)
}

// tariff holds a price to its ceilings when it is applied, not when it is
// charged: on the first day that it names, and on every day from today on that
// it would be in force.
func (k *checker) tariff(p Parsed, t *Tariff) {
	if before, ok := k.old.Tariff(t.ID); ok {
		k.same(p, "product", t.Product, before.Doc.Product)
	}
	if !k.priced(p, t.Product, t.Basis) {
		return
	}
	over := k.over(t, t.From)
	for _, e := range k.excesses(t.Product) {
		if over == nil && e.tariff == t {
			over = e
		}
	}
	switch {
	case over == nil:
	case over.by == nil:
		k.fault(p, "no-ceiling", "from", fmt.Sprintf("%s, when no ceiling %s of %s is in force", over.day, t.Basis, t.Product), "a first day with a ceiling of the same basis"+k.ceilingsFrom(t), "apply the authorising body's ceiling first, or begin later")
	default:
		k.fault(p, "price-over-ceiling", "price", t.Price, fmt.Sprintf("at most %s, the ceiling %s in force on %s", over.by.Amount, over.by.ID, over.day), "")
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

// undercuts says which prices that do not change would be over their ceilings.
func (k *checker) undercuts(p Parsed, path, product string) {
	told := map[*Tariff]bool{}
	for _, e := range k.excesses(product) {
		if told[e.tariff] || e.pending {
			continue
		}
		told[e.tariff] = true
		ceiling := "no ceiling"
		if e.by != nil {
			ceiling = e.by.Amount
		}
		k.fault(p, "price-over-ceiling", path, ceiling+" on "+string(e.day), fmt.Sprintf("a ceiling of at least %s, the price of tariff %s then", e.tariff.Price, e.tariff.ID), "change the tariff with it")
	}
}

// excess is a day on which a price is in force without a ceiling or over it.
type excess struct {
	day     Date
	tariff  *Tariff
	by      *Ceiling // nil: there is none
	pending bool     // the tariff changes with this apply
}

// excesses goes through the days from today on and finds those on which the
// price in force is over its ceiling. It suffices to look at days on which
// something changes: policy/fees says what is in force on each.
func (k *checker) excesses(product string) []*excess {
	var tariffs []fees.Tariff
	docs := map[int64]Held[*Tariff]{}
	days := []Date{k.today}
	for _, t := range k.now.TariffVersions(product) {
		price, err := priceOf(t)
		if err != nil {
			continue // its document would not have passed
		}
		tariffs = append(tariffs, price)
		docs[t.Seq] = t
		days = append(days, DateOf(price.Binds()))
		if t.Doc.Until != "" {
			days = append(days, t.Doc.Until.next())
		}
	}
	for _, c := range k.now.Ceilings(product) {
		days = append(days, c.Doc.From)
	}
	slices.Sort(days)
	var found []*excess
	for _, day := range slices.Compact(days) {
		if day < k.today {
			continue
		}
		if t, ok := fees.InForce(tariffs, product, day.end()); ok {
			held := docs[t.Seq]
			if e := k.over(held.Doc, day); e != nil {
				e.pending = held.Seq >= pending
				found = append(found, e)
			}
		}
	}
	return found
}

// over holds a price to the ceiling of a day.
func (k *checker) over(t *Tariff, day Date) *excess {
	var by *Ceiling
	for _, c := range k.now.Ceilings(t.Product) {
		if c.Doc.Basis == t.Basis && c.Doc.From <= day {
			by = c.Doc // the newest to begin
		}
	}
	if by == nil || dearer(t.Price, by.Amount) {
		return &excess{day: day, tariff: t, by: by}
	}
	return nil
}

func dearer(price, ceiling string) bool {
	p, err := fees.ParseMoney(price)
	c, err2 := fees.ParseMoney(ceiling)
	return err != nil || err2 != nil || p.Cmp(c) > 0
}

// priceOf is a tariff version as policy/fees takes it.
func priceOf(t Held[*Tariff]) (fees.Tariff, error) {
	unit, err := fees.ParseMoney(t.Doc.Price)
	if err != nil {
		return fees.Tariff{}, fmt.Errorf("price of tariff %s: %w", t.Doc.ID, err)
	}
	price := fees.Tariff{
		ID: t.Doc.ID, Seq: t.Seq, Product: t.Doc.Product, Basis: t.Doc.Basis, Unit: unit,
		Trial: t.Doc.Trial, From: t.Doc.From.Begin(), BoundAt: t.BoundAt,
	}
	if t.Doc.Until != "" {
		price.Until = t.Doc.Until.Begin()
	}
	return price, nil
}
