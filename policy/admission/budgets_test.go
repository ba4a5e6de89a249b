package admission_test

import (
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

func withCells(t *testing.T) *logtest.Log {
	l := logtest.New(t)
	l.AddCells()
	return l
}

// A publication spends its rho of the lifetime and of the month it is made in.
// Another month has a budget of its own; the lifetime has not.
func TestBudgetIsSpent(t *testing.T) {
	l := withCells(t)
	check := func(what string, lifetime, month int64, window string) {
		t.Helper()
		all, period, ok := l.World.Budget(logtest.Payroll, l.Now)
		if !ok {
			t.Fatal("no budget")
		}
		equal(t, []admission.BudgetUse{all, period}, []admission.BudgetUse{
			{Window: "lifetime", Limit: 1_000_000, Spent: lifetime}, {Window: window, Limit: 600_000, Spent: month}})
	}
	check("nothing yet", 0, 0, "2026-11")
	l.Release(logtest.Noised)
	l.Release(logtest.Noised)
	check("twice", 500_000, 500_000, "2026-11")
	if _, err := l.World.Rehearse(l.Now, l.Released(logtest.Noised)...); err == nil || !strings.Contains(err.Error(), "at most 100000, which is left of 600000 in 2026-11") {
		t.Errorf("a third in the month: %v", err)
	}
	l.Now = l.Now.AddDate(0, 1, 0)
	l.Release(logtest.Noised)
	check("the next month", 750_000, 250_000, "2026-12")
	l.Now = l.Now.AddDate(0, 1, 0)
	l.Release(logtest.Noised)
	check("the last", 1_000_000, 250_000, "2027-01")
	l.Now = l.Now.AddDate(0, 1, 0)
	if _, err := l.World.Rehearse(l.Now, l.Released(logtest.Noised)...); err == nil || !strings.Contains(err.Error(), "at most 0, which is left of 1000000 in lifetime") {
		t.Errorf("beyond the lifetime: %v", err)
	}
	// A budget by year counts what its months have spent already.
	r := logtest.Payrolls()
	r.Budget = &vocabulary.Budget{Lifetime: 2_000_000, Period: 700_000, Per: "year"}
	l.Now = logtest.Start.Add(time.Hour)
	l2 := withCells(t)
	l2.Release(logtest.Noised)
	l2.Release(logtest.Noised)
	l2.Apply(r)
	l2.Now = l2.Now.AddDate(0, 1, 0)
	_, year, _ := l2.World.Budget(logtest.Payroll, l2.Now)
	equal(t, year, admission.BudgetUse{Window: "2026", Limit: 700_000, Spent: 500_000})
	if _, err := l2.World.Rehearse(l2.Now, l2.Released(logtest.Noised)...); err == nil {
		t.Error("a budget by year forgot its months")
	}
	if left := (admission.BudgetUse{Limit: 5, Spent: 9}).Left(); left != 0 {
		t.Errorf("left of a budget that was cut: %d", left)
	}
}

// Days and months are China's: an evening's publication in UTC is of the next
// month there.
func TestBudgetWindowIsChinas(t *testing.T) {
	l := withCells(t)
	l.Now = time.Date(2026, 11, 30, 15, 59, 0, 0, time.UTC)
	l.Append(ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "unlock", Object: "domain"}}) // 16:00, December
	entries := l.Released(logtest.Noised)
	if got := entries[1].Budget.Window; got != "2026-12" {
		t.Errorf("window %s", got)
	}
	entries[1].Budget.Window = "2026-11"
	if _, err := l.World.Rehearse(l.Now, entries...); err == nil || !strings.Contains(err.Error(), "a spend in 2026-12") {
		t.Errorf("the month before: %v", err)
	}
}

// Each way in which the entries of a publication under privacy can fail to be
// one: what the fold of the entries says.
func TestPublicationUnderPrivacy(t *testing.T) {
	access := ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "unlock", Object: "domain"}}
	for _, c := range []struct {
		name   string
		change func(e []ledger.Entry) []ledger.Entry
		want   string // of the refusal; empty: it folds
	}{
		{"as it is", func(e []ledger.Entry) []ledger.Entry { return e }, ""},
		{"no spends", func(e []ledger.Entry) []ledger.Entry { return e[2:] }, "a spend of lifetime and period in the two entries right before, got none"},
		{"no lifetime", func(e []ledger.Entry) []ledger.Entry { return e[1:] }, "the same spend of the lifetime in the entry right before, got none"},
		{"no period", func(e []ledger.Entry) []ledger.Entry { return []ledger.Entry{e[0], e[2]} }, "the publication that it is for right after it, got a publish entry"},
		{"the other order", func(e []ledger.Entry) []ledger.Entry { return []ledger.Entry{e[1], e[0], e[2]} }, "the same spend of the lifetime in the entry right before, got none"},
		{"something between", func(e []ledger.Entry) []ledger.Entry { return []ledger.Entry{e[0], e[1], access, e[2]} }, "the publication that it is for right after it, got a access entry"},
		{"no publication", func(e []ledger.Entry) []ledger.Entry { return append(e[:2], access) }, "the publication that it is for right after it, got a access entry"},
		{"spent twice", func(e []ledger.Entry) []ledger.Entry { return []ledger.Entry{e[0], e[1], e[0], e[1], e[2]} }, "the publication that it is for right after it, got a budget entry"},
		{"less spent", func(e []ledger.Entry) []ledger.Entry { e[0].Budget.Units--; e[1].Budget.Units--; return e }, "a spend of 250000, its rho, got 249999"},
		{"two amounts", func(e []ledger.Entry) []ledger.Entry { e[1].Budget.Units--; return e }, "the publication that it is for right after it, got a budget entry"},
		{"less said", func(e []ledger.Entry) []ledger.Entry { e[2].Publish.Rho--; return e }, "rho 250000, as the product says, got 249999"},
		{"another product's", func(e []ledger.Entry) []ledger.Entry {
			e[0].Budget.Product, e[1].Budget.Product = logtest.Exact, logtest.Exact
			return e
		}, "the publication that it is for right after it, got a publish entry"},
		{"another resource's", func(e []ledger.Entry) []ledger.Entry {
			e[0].Budget.Resource, e[1].Budget.Resource = "business-licences", "business-licences"
			return e
		}, "a registered resource with a budget, got none"},
		{"another regime", func(e []ledger.Entry) []ledger.Entry {
			e[2].Publish.Regime, e[2].Publish.Rho = "disclosure", 0
			return e[2:]
		}, "the regime privacy, got disclosure"},
		{"no regime", func(e []ledger.Entry) []ledger.Entry { e[2].Publish.Regime, e[2].Publish.Rho = "", 0; return e[2:] }, "the regime privacy, got "},
		{"no cells", func(e []ledger.Entry) []ledger.Entry { e[2].Publish.Population = 0; return e }, "a population of at least one cell, got 0"},
		{"more cells than rows", func(e []ledger.Entry) []ledger.Entry { e[2].Publish.Population = 5000; return e }, ""},
		{"set, not spent", func(e []ledger.Entry) []ledger.Entry { e[0].Budget.Action = "set"; return e }, "a spend: the resource's manifest sets budgets, got set"},
		{"a spend by none", func(e []ledger.Entry) []ledger.Entry { e[0].Budget.Product = ""; return e }, "a spend by a product: no restore into a new log goes before, got one by none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := withCells(t)
			_, err := l.World.Rehearse(l.Now, c.change(l.Released(logtest.Noised))...)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Each publication of cells is an epoch of its own.
func TestCellsHaveNoVersions(t *testing.T) {
	l := withCells(t)
	l.Release(logtest.Exact)
	e := l.Released(logtest.Exact)
	e[0].Publish.Epoch, e[0].Publish.Version = 1, 2
	if _, err := l.World.Rehearse(l.Now, e...); err == nil || !strings.Contains(err.Error(), "expected epoch 2 version 1, got epoch 1 version 2") {
		t.Errorf("a second version: %v", err)
	}
	l.Release(logtest.Exact)
	live, _ := l.World.Live(logtest.Exact)
	if live.Epoch != 2 || live.Regime != "disclosure" || live.Population != 4 {
		t.Errorf("live: %+v", live)
	}
	if _, ok := l.World.Served(logtest.Exact, 1, l.Now); !ok {
		t.Error("the epoch before is not served within its grace")
	}
}

// The statement that cells of a resource are differentially private ends for
// good with the first exact ones, whichever came first.
func TestPrivacyStatement(t *testing.T) {
	for _, order := range [][2]string{{logtest.Noised, logtest.Exact}, {logtest.Exact, logtest.Noised}} {
		l := withCells(t)
		if holds, ended := l.World.PrivacyStatement(logtest.Payroll); holds || ended != 0 {
			t.Errorf("nothing published: %v, %d", holds, ended)
		}
		l.Release(order[0])
		if holds, ended := l.World.PrivacyStatement(logtest.Payroll); holds != (order[0] == logtest.Noised) || ended != 0 {
			t.Errorf("%s alone: %v, %d", order[0], holds, ended)
		}
		mixed := l.Release(order[1])
		l.Release(order[0])
		if holds, ended := l.World.PrivacyStatement(logtest.Payroll); holds || ended != mixed.Seq {
			t.Errorf("%v: %v, %d, want %d", order, holds, ended, mixed.Seq)
		}
	}
	l := logtest.New(t)
	if holds, ended := l.World.PrivacyStatement("business-licences"); holds || ended != 0 {
		t.Errorf("lookups alone: %v, %d", holds, ended)
	}
}

// A log that stands in for another begins with its budgets used up, before
// anything is published in it.
func TestUsedUpBudget(t *testing.T) {
	l := logtest.Empty(t)
	l.Genesis()
	l.Append(ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "restore", Object: "domain", Count: 7,
		Former: &ledger.Former{Origin: "former.example/log", Size: 7, Root: logtest.Digest("root")}}})
	l.Enrol(vocabulary.RoleReviewer, logtest.ReviewerURI, "reviewer")
	l.Apply(logtest.Payrolls())
	l.Apply(logtest.CellsProduct(logtest.Noised, "CP-3", 250_000))
	l.Import(logtest.Payroll, 1, 1000)
	l.Review(logtest.Noised)
	used := l.World.UsedUp()
	if len(used) != 1 {
		t.Fatalf("%d budgets", len(used))
	}
	l.Append(ledger.Entry{Kind: ledger.KindBudget, Budget: used[0]})
	if lifetime, _, _ := l.World.Budget(logtest.Payroll, l.Now); lifetime.Left() != 0 {
		t.Errorf("left: %+v", lifetime)
	}
	if _, err := l.World.Rehearse(l.Now, l.Released(logtest.Noised)...); err == nil {
		t.Error("published all the same")
	}
}

// What cells were published of is used up in the new log also where the manifest has
// no budget any more: applied again it would be whole, and a statement of
// differential privacy would not know of exact cells.
func TestDroppedBudgetIsUsedUp(t *testing.T) {
	for _, product := range []string{logtest.Noised, logtest.Exact, ""} {
		l := withCells(t)
		want := 0
		if product != "" {
			l.Release(product)
			want = 1
		}
		r := logtest.Payrolls()
		r.Budget = nil
		l.Apply(r)
		used := l.World.UsedUp()
		if len(used) != want || want == 1 && (used[0].Resource != logtest.Payroll || used[0].Units != ledger.AllUnits) {
			t.Errorf("%q published: used up %+v", product, used)
		}
	}
}

// Cells are charged to the quotas that count cells, to no share of a population,
// and priced by what they ask for.
func TestAdmissionOfCells(t *testing.T) {
	l := withCells(t)
	l.Release(logtest.Noised)
	l.Release(logtest.Exact)
	decide := func(product, kind string, units int64) admission.Outcome {
		t.Helper()
		o, err := l.Engine().Decide(admission.Facts{Enterprise: logtest.Enterprise, Product: product, Purpose: vocabulary.Industry,
			Kind: kind, Units: units, Epoch: 1, Now: l.Now})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for _, c := range []struct{ product, basis, amount string }{{logtest.Noised, "per-volume", "3.00"}, {logtest.Exact, "per-product", "12000.00"}} {
		o := decide(c.product, "aggregate", 100)
		if !o.Admitted() || len(o.Candidates) != 1 {
			t.Fatalf("%s: refused, %s by %s", c.product, o.Reason, o.Rule)
		}
		got := o.Candidates[0]
		if got.Price.Basis != c.basis || got.Price.Amount != c.amount {
			t.Errorf("%s: price %+v", c.product, got.Price)
		}
		equal(t, got.Charges, []admission.Charge{{
			Counter: "grant/northwind-cells/" + c.product + "/cells/month", Window: "2026-11", Unit: "cells", Per: "month",
			Units: 100, Limit: 250, Reason: ledger.ReasonQuotaExhausted, Rule: "northwind-cells/cells/month"}})
	}
	if o := decide(logtest.Noised, "verify", 100); o.Admitted() || o.Reason != ledger.ReasonBadRequest {
		t.Errorf("a lookup of cells: %+v", o)
	}
	if o := decide(logtest.Noised, "aggregate", 101); o.Admitted() || o.Reason != ledger.ReasonBatchTooLarge {
		t.Errorf("more cells than a job may ask for: %+v", o)
	}
	for _, of := range l.World.Windows(l.Now) {
		if strings.Contains(of.Counter, logtest.Cells) && !strings.Contains(of.Counter, "/cells/") || of.Counter == "share/"+logtest.Enterprise+"/"+logtest.Noised+"/" {
			t.Errorf("a window that no job of cells is charged to: %+v", of)
		}
	}
}
