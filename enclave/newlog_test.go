package enclave_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
)

const anew = "test.example/yingbi-2"

// Where nothing tells how far the log had come, another log is begun: with the
// old one's world and none of its keys or tables, and with every quota and share
// that could have been used unseen used up.
func TestNewLog(t *testing.T) {
	u := newUsed(t)
	file := u.backup(t, false)
	u.ask(t, u.Domain.Domain, 2) // what is lost
	dir := filepath.Join(t.TempDir(), "restored")
	o := u.options()
	o.NewLog = u.Origin()
	if _, err := enclave.Restore(t.Context(), file, dir, o); err == nil {
		t.Fatal("a new log of the old origin")
	}
	o.NewLog = anew
	made, err := enclave.Restore(t.Context(), file, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	d := u.open(t, dir)
	n := made.NewLog
	if n == nil || d.Origin() != anew || d.VKey() != n.VKey || d.VKey() == u.VKey() || n.Former.Origin != u.Origin() || n.Former.Size != made.Entries || len(n.Left) != 0 {
		t.Fatalf("made %+v", n)
	}
	auditOf(t, u, d)
	old, err := audit.OpenExport(filepath.Join(dir, n.Export))
	if err != nil || old.Origin() != u.Origin() {
		t.Errorf("the old log's export: %v", err)
	}

	// The entry says what it stands in for.
	var former *ledger.Former
	spent := 0
	for e, err := range d.Entries(t.Context(), state.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Access != nil && e.Access.Former != nil {
			former = e.Access.Former
		}
		if e.Kind == ledger.KindBudget {
			spent++
		}
		if e.Kind == ledger.KindPublish || e.Kind == ledger.KindCall {
			t.Errorf("entry %d is a %s", e.Seq, e.Kind)
		}
	}
	if former == nil || *former != n.Former || spent != n.Spent || spent == 0 {
		t.Errorf("it says %+v, %d spent; made %+v", former, spent, n)
	}

	// Nothing of the old log opens anything.
	if names, err := os.ReadDir(filepath.Join(dir, "tables")); err != nil || len(names) > 0 {
		t.Errorf("tables %v, %v", names, err)
	}
	slices.Sort(n.Publish)
	if !slices.Equal(n.Publish, []string{"holder", "sector"}) {
		t.Errorf("to publish: %v", n.Publish)
	}
	if _, err := submit(t, d, u.e.Code, u.request); gateway.ReasonOf(err) != ledger.ReasonWrongOrigin {
		t.Errorf("a job of the old log: %v", err)
	}
	for _, product := range n.Publish {
		p, err := d.Publish(t.Context(), product, enclave.PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		before, err := u.Versions(t.Context(), product)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range before {
			if b.OPRF.Key == p.Descriptor.OPRF.Key {
				t.Errorf("%s has a key of the old log", product)
			}
		}
	}

	// What could have been used unseen is used up, until its window is over.
	job := func(grant string) error {
		_, err := submit(t, d, u.e.Code, u.jobUnder(t, anew, grant, 1))
		return err
	}
	if err := job(""); gateway.ReasonOf(err) != ledger.ReasonQuotaExhausted {
		t.Errorf("a job in the same day: %v", err)
	}
	u.MustApplyTo(t, d, strings.ReplaceAll(newGrant, "CODE", u.e.Code))
	if err := job("industry-again"); gateway.ReasonOf(err) != ledger.ReasonShareExhausted {
		t.Errorf("a job under a new grant: %v", err)
	}
	u.Clock.Advance(31 * 24 * 3600e9)
	if err := job("industry-again"); err != nil {
		t.Errorf("a job in the next month, under the new grant: %v", err)
	}
	auditOf(t, u, d)
}

const newGrant = `kind: Grant
id: industry-again
title: {en: Industry}
enterprise: CODE
products: [holder, sector]
purposes: [industry]
from: 2026-01-01
until: 2035-12-31
quotas:
  - {unit: subjects, per: day, limit: 40}
contract: sha256:c0ffee5f6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f
`

// MustApplyTo applies manifests to another domain of the same people.
func (u *used) MustApplyTo(t *testing.T, d *enclave.Domain, manifests string) {
	t.Helper()
	if _, err := d.Apply(t.Context(), u.Parse(manifests), nil, false); err != nil {
		t.Fatal(err)
	}
}

// What is charged after a new log was begun is what was charged before: tariffs
// that were set in advance keep their place among the others.
func TestNewLogKeepsPrices(t *testing.T) {
	u := newUnused(t)
	later := u.Clock.Now().AddDate(0, 1, 0).Format(time.DateOnly)
	u.MustApply(strings.ReplaceAll(sectorTariff("later", "0.1700"), "2026-01-01", later)) // in advance
	u.MustApply(sectorTariff("now", "0.1900"))
	u.Clock.Advance(40 * 24 * 3600e9)
	if before := tariffOf(t, u.Domain.Domain, "sector"); before.ID != "later" {
		t.Fatalf("in force before: %+v", before)
	}
	o := u.options()
	o.NewLog = anew
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := enclave.Restore(t.Context(), u.backup(t, false), dir, o); err != nil {
		t.Fatal(err)
	}
	if after := tariffOf(t, u.open(t, dir), "sector"); after.ID != "later" {
		t.Errorf("in force in the new log: %s at %s, before it was later", after.ID, after.Unit)
	}
}

// What may have been published unseen under privacy cannot be taken back: in a
// new log the budget is used up, and no manifest gives it back.
func TestNewLogHasNoBudget(t *testing.T) {
	u := newUnused(t)
	u.MustApply(budgeted)
	o := u.options()
	o.NewLog = anew
	dir := filepath.Join(t.TempDir(), "restored")
	made, err := enclave.Restore(t.Context(), u.backup(t, false), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(made.NewLog.Budgets, []string{"incomes"}) {
		t.Errorf("used up: %v", made.NewLog.Budgets)
	}
	d := u.open(t, dir)
	u.MustApplyTo(t, d, strings.ReplaceAll(budgeted, "1000000", "100000000"))
	w, err := d.World(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if lifetime, _, ok := w.Budget("incomes", d.Now()); !ok || lifetime.Left() != 0 {
		t.Errorf("left: %+v, %v", lifetime, ok)
	}
	auditOf(t, u, d)
}

const budgeted = `kind: Resource
id: incomes
title: {en: Incomes}
registration: GS-9
provider: Insurance
sourceOfTruth: register
category: market-regulation
grade: general
personalInformation: true
subject: person
updateCycle: monthly
legalBasis: {en: Insurance law}
budget: {lifetime: 1000000, period: 1000000, per: year}
columns:
  - {name: person, type: string, role: key, required: true, title: {en: Person}}
  - {name: income, type: number, role: measure, title: {en: Income}}
`

func sectorTariff(id, price string) string {
	return "kind: Tariff\nid: " + id + "\ntitle: {en: Tariff}\nproduct: sector\nbasis: per-subject\nprice: \"" + price + "\"\ntrial: false\nfrom: 2026-01-01\n"
}

func tariffOf(t *testing.T, d *enclave.Domain, product string) fees.Tariff {
	t.Helper()
	w, err := d.World(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, ok := w.Tariff(product, d.Now())
	if !ok {
		t.Fatalf("no tariff of %s is in force", product)
	}
	return found
}
