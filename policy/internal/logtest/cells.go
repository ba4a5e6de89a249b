package logtest

import (
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Names of what Cells adds to the sample world.
const (
	Payroll = "payrolls"
	Noised  = "wage-noised" // under privacy, a quarter of rho a publication
	Exact   = "wage-exact"  // under disclosure control
	Cells   = "northwind-cells"
)

// Payrolls is a resource with a privacy budget: 1 ever, 0.6 a month.
func Payrolls() *vocabulary.Resource {
	return &vocabulary.Resource{
		Meta: meta(vocabulary.KindResource, Payroll), Registration: "GS-3", Provider: "Insurance", SourceOfTruth: "register",
		Category: "market-regulation", Grade: vocabulary.GradeGeneral, PersonalInformation: true,
		Subject: "employee", UpdateCycle: "monthly", LegalBasis: text("insurance law"),
		Columns: []vocabulary.Column{
			{Name: "employee", Type: "string", Role: "key", Title: text("employee"), Required: true},
			{Name: "sector", Type: "string", Role: "dimension", Title: text("sector")},
			{Name: "wage", Type: "number", Role: "measure", Title: text("wage")},
		},
		Budget: &vocabulary.Budget{Lifetime: 1_000_000, Period: 600_000, Per: "month"},
	}
}

// CellsProduct is an aggregate product, under privacy or disclosure control.
func CellsProduct(id, registration string, rho int64) *vocabulary.Product {
	a := &vocabulary.Aggregate{
		Dimensions: []vocabulary.Dimension{{Name: "sector", Column: "sector", Codes: []string{"A", "B", "C"}}},
		Margins:    []vocabulary.Margin{{By: []string{}}},
		Measures: []vocabulary.Statistic{
			{Name: "people", Is: "count"},
			{Name: "wages", Is: "sum", Column: "wage", Low: "0", High: "30000"},
		},
		Answers: []string{"cells"}, MaxCells: 100,
	}
	if rho > 0 {
		a.Privacy = &vocabulary.Privacy{Rho: rho, Mechanism: "gaussian", Rows: 1}
	} else {
		a.Disclosure = &vocabulary.Disclosure{MinSubjects: 5}
	}
	return &vocabulary.Product{
		Meta: meta(vocabulary.KindProduct, id), Type: "aggregate", Registration: registration, Resource: Payroll,
		Scenario: "statistics", LegalBasis: map[vocabulary.Purpose]vocabulary.Text{vocabulary.Industry: text("contract")},
		Aggregate:  a,
		Release:    vocabulary.Release{Columns: []string{"sector", "wage"}},
		Assessment: vocabulary.Assessment{Digest: Digest("assessment"), Expires: "2028-06-30"},
	}
}

// AddCells applies a resource with a budget, two aggregate products over it, a
// grant of 250 cells a month and prices, and imports and reviews them. Nothing
// is published.
func (l *Log) AddCells() {
	l.T.Helper()
	l.Apply(Payrolls())
	l.Apply(CellsProduct(Noised, "CP-3", 250_000))
	l.Apply(CellsProduct(Exact, "CP-4", 0))
	l.Apply(&vocabulary.Grant{
		Meta: meta(vocabulary.KindGrant, Cells), Enterprise: Enterprise, Products: []string{Noised, Exact},
		Purposes: []vocabulary.Purpose{vocabulary.Industry}, From: "2026-01-01", Until: "2027-12-31",
		Quotas:   []vocabulary.Quota{{Unit: "cells", Per: "month", Limit: 250}, {Unit: "subjects", Per: "month", Limit: 1}},
		Contract: Digest("contract"),
	})
	for _, price := range []struct{ product, basis, amount string }{{Noised, "per-volume", "0.03"}, {Exact, "per-product", "12000.00"}} {
		l.Apply(&vocabulary.Ceiling{Meta: meta(vocabulary.KindCeiling, price.product), Product: price.product,
			Basis: price.basis, Amount: price.amount, From: "2026-01-01", Document: Digest("decision")})
		l.Apply(&vocabulary.Tariff{Meta: meta(vocabulary.KindTariff, price.product), Product: price.product,
			Basis: price.basis, Price: price.amount, Trial: true, From: "2026-01-01"})
	}
	l.Import(Payroll, 1, 1000)
	l.Review(Noised)
	l.Review(Exact)
}

// Released are the entries of an aggregate product's next publication: what it
// spends, and itself.
func (l *Log) Released(product string) []ledger.Entry {
	l.T.Helper()
	r, ok := l.World.Newest(product)
	if !ok {
		l.T.Fatalf("no product %s", product)
	}
	live, _ := l.World.Live(product)
	var entries []ledger.Entry
	for _, spend := range l.World.Spends(r.Doc, l.Now) {
		entries = append(entries, ledger.Entry{Kind: ledger.KindBudget, Budget: spend})
	}
	e := l.Publication(product, live.Epoch+1, 1)
	e.Publish.Population, e.Publish.Regime = 4, r.Doc.Aggregate.Regime()
	if p := r.Doc.Aggregate.Privacy; p != nil {
		e.Publish.Rho = p.Rho
	}
	return append(entries, e)
}

// Release publishes an aggregate product, and gives the publish entry.
func (l *Log) Release(product string) *ledger.Entry {
	l.T.Helper()
	var last *ledger.Entry
	for _, e := range l.Released(product) {
		last = l.Append(e)
	}
	return last
}
