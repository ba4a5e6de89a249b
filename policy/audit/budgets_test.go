package audit_test

import (
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// A log with cells of both regimes, their jobs and prices audits clean.
func TestCellsAuditClean(t *testing.T) {
	l := logtest.New(t)
	l.AddCells()
	l.Release(logtest.Noised)
	l.Release(logtest.Exact)
	l.Call(logtest.Noised, vocabulary.Industry, 100)
	l.Call(logtest.Exact, vocabulary.Industry, 3)
	l.Call(logtest.Product, vocabulary.Industry, 10)
	l.Release(logtest.Noised)
	l.Checkpoint()
	r := run(t, source{l}, audit.Options{})
	expect(t, r, nil)
	// 100 cells at 0.03, one product at 12,000.00, ten subjects at 0.1537.
	if got := r.Revenue.String(); got != "12004.537" {
		t.Errorf("revenue %s", got)
	}
	for _, n := range r.Notes {
		if n.ID == "N04" {
			t.Errorf("budgets are recounted: %v", n)
		}
	}
}

// Budgets in a log whose tree and signatures are in order, written by an operator
// that broke a rule.
func TestBrokenBudgets(t *testing.T) {
	follow := func(l *logtest.Log, entries []ledger.Entry) {
		for _, e := range entries {
			l.Follow(e)
		}
	}
	for _, c := range []struct {
		name string
		log  func(*logtest.Log)
		want func(n int64) []string // by the number of the first entry
	}{
		{"overspent in a month", func(l *logtest.Log) {
			l.Release(logtest.Noised)
			l.Release(logtest.Noised)
			follow(l, l.Released(logtest.Noised))
		}, func(n int64) []string { return []string{"A36 " + itoa(n+7)} }},
		{"overspent for good", func(l *logtest.Log) {
			for range 4 {
				l.Release(logtest.Noised)
				l.Now = l.Now.AddDate(0, 1, 0)
			}
			follow(l, l.Released(logtest.Noised))
		}, func(n int64) []string { return []string{"A36 " + itoa(n+12)} }},
		{"spent of another month's budget", func(l *logtest.Log) {
			e := l.Released(logtest.Noised)
			e[1].Budget.Window = "2026-10"
			follow(l, e)
		}, func(n int64) []string { return []string{"A36 " + itoa(n+1)} }},
		{"a spend without publication", func(l *logtest.Log) {
			follow(l, l.Released(logtest.Noised)[:2])
			l.Follow(ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "unlock", Object: "x", Count: 1}})
		}, func(n int64) []string { return []string{"A37 " + itoa(n+2)} }},
		{"a spend without publication at the end", func(l *logtest.Log) {
			follow(l, l.Released(logtest.Noised)[:2])
		}, func(n int64) []string { return []string{"A37 " + itoa(n)} }},
		{"a job before the publication", func(l *logtest.Log) {
			e := l.Released(logtest.Noised)
			follow(l, e[:2])
			job := l.Settlement(l.Header(logtest.Product, vocabulary.Industry, 10), 0)
			l.Follow(job)
			follow(l, e[2:])
		}, func(n int64) []string { return []string{"A37 " + itoa(n+2), "A38 " + itoa(n+3)} }},
		{"a publication without spends", func(l *logtest.Log) {
			follow(l, l.Released(logtest.Noised)[2:])
		}, func(n int64) []string { return []string{"A38 " + itoa(n)} }},
		{"less spent than published", func(l *logtest.Log) {
			e := l.Released(logtest.Noised)
			e[0].Budget.Units, e[1].Budget.Units = 1, 1
			follow(l, e)
		}, func(n int64) []string { return []string{"A38 " + itoa(n+2)} }},
		{"published under disclosure control instead", func(l *logtest.Log) {
			e := l.Released(logtest.Noised)[2:]
			e[0].Publish.Regime, e[0].Publish.Rho = "disclosure", 0
			follow(l, e)
		}, func(n int64) []string { return []string{"A15 " + itoa(n)} }},
		{"a version of an epoch", func(l *logtest.Log) {
			l.Release(logtest.Exact)
			e := l.Released(logtest.Exact)
			e[0].Publish.Epoch, e[0].Publish.Version = 1, 2
			follow(l, e)
		}, func(n int64) []string { return []string{"A15 " + itoa(n+1)} }},
		{"used up by nobody", func(l *logtest.Log) {
			l.Follow(ledger.Entry{Kind: ledger.KindBudget, Budget: l.World.UsedUp()[0]})
		}, func(n int64) []string { return []string{"A37 " + itoa(n)} }},
		{"a quota of cells passed", func(l *logtest.Log) {
			l.Release(logtest.Exact)
			for range 3 {
				l.Call(logtest.Exact, vocabulary.Industry, 100)
			}
			l.Now = l.Now.Add(7 * 24 * time.Hour) // December in China
			l.Call(logtest.Exact, vocabulary.Industry, 100)
		}, func(n int64) []string { return []string{"A27 " + itoa(n+3)} }},
		{"a volume priced too low", func(l *logtest.Log) {
			l.Release(logtest.Noised)
			e := l.Settlement(l.Header(logtest.Noised, vocabulary.Industry, 100), 0)
			l.Fill(&e)
			e.Call.Price.Amount = "2.99"
			l.Force(e)
		}, func(n int64) []string { return []string{"A29 " + itoa(n+3)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := logtest.New(t)
			l.AddCells()
			n := int64(len(l.Lines))
			c.log(l)
			l.Checkpoint()
			expect(t, run(t, source{l}, audit.Options{}), c.want(n))
		})
	}
}

// A grant that is for some cells is passed over by jobs that ask for others. The
// log does not show which a job asks for, so that passing over one that is for all
// is a finding and passing over that one is none.
func TestNarrowGrantIsPassedOver(t *testing.T) {
	for _, c := range []struct {
		cells []vocabulary.Entitlement
		want  func(n int64) []string
	}{
		{[]vocabulary.Entitlement{{Product: logtest.Exact, Dimension: "sector", Codes: []string{"A"}}}, func(int64) []string { return nil }},
		{[]vocabulary.Entitlement{{Product: logtest.Noised, Dimension: "sector", Codes: []string{"A"}}}, func(n int64) []string { return []string{"A26 " + itoa(n)} }},
		{nil, func(n int64) []string { return []string{"A26 " + itoa(n)} }},
	} {
		l := logtest.New(t)
		l.AddCells()
		held, _ := l.World.Catalogue().Grant(logtest.Cells)
		early := *held.Doc
		early.ID, early.Until, early.Cells = "early", "2027-06-30", c.cells
		l.Apply(&early)
		l.Release(logtest.Exact)
		e := l.Append(l.Settlement(l.Header(logtest.Exact, vocabulary.Industry, 3), 1))
		l.Checkpoint()
		expect(t, run(t, source{l}, audit.Options{}), c.want(e.Seq))
	}
}
