package fees

import (
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/policy/ledger"
)

var update = flag.Bool("update", false, "write the golden statement anew; a change needs a written reason")

const (
	enterprise = "91330100MA27XXXXX1"
	other      = "91330100MA27XXXXX2"
)

// use is a settled job as a statement sees it.
type use struct {
	seq        int64
	enterprise string
	product    string
	admitted   string // CST
	units      int64
	tariff     Tariff
	ground     string // free on this ground, if set
	grant      string
}

func (u use) entry(t testing.TB) *ledger.Entry {
	t.Helper()
	call := ledger.Call{
		Header:  ledger.Header{Enterprise: u.enterprise, Product: u.product, Units: u.units},
		Usage:   ledger.Usage{Units: u.units},
		Settled: ledger.SettleFact{Admitted: ledger.NewTime(clock(t, u.admitted))},
	}
	e := &ledger.Entry{Seq: u.seq, Kind: ledger.KindCall, Call: &call}
	if u.ground != "" {
		call.Price = Free(u.units)
		e.Kind, e.Call = ledger.KindExemption, nil
		e.Exemption = &ledger.Exemption{Call: call, Ground: u.ground, Grant: u.grant}
		return e
	}
	price, err := Price(u.tariff, u.units, 1)
	if err != nil {
		t.Fatal(err)
	}
	call.Price = price
	return e
}

func sequence(entries ...*ledger.Entry) iter.Seq2[*ledger.Entry, error] {
	return func(yield func(*ledger.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func novemberUses(t testing.TB) (entries []*ledger.Entry) {
	subjects := Tariff{ID: "live-2026", Seq: 6, Basis: PerSubject, Unit: yuan(t, "0.1537")}
	dearer := Tariff{ID: "live-2026", Seq: 40, Basis: PerSubject, Unit: yuan(t, "0.16")}
	calls := Tariff{ID: "sector-2026", Seq: 7, Basis: PerCall, Unit: yuan(t, "0.125")}
	volume := Tariff{ID: "wage-table-2026", Seq: 8, Basis: PerVolume, Unit: yuan(t, "0.0000008")}
	whole := Tariff{ID: "wage-year-2026", Seq: 9, Basis: PerProduct, Unit: yuan(t, "12000.00")}
	grant := ledger.Digest([]byte("grant"))
	uses := []use{
		{seq: 10, product: "licence-live", units: 100, tariff: subjects, admitted: "2026-11-01 00:00:00.000"},
		{seq: 11, product: "licence-sector", units: 100, tariff: calls, admitted: "2026-11-02 09:00:00.000"},
		{seq: 12, product: "licence-sector", units: 200, tariff: calls, admitted: "2026-11-02 09:00:00.000"},
		{seq: 13, product: "licence-sector", units: 300, tariff: calls, admitted: "2026-11-02 09:00:00.000"},
		{seq: 14, product: "licence-live", units: 30, ground: "purpose", grant: grant, admitted: "2026-11-03 09:00:00.000"},
		{seq: 15, product: "licence-live", units: 30, ground: "renewal", admitted: "2026-11-03 09:00:00.000"},
		{seq: 16, product: "sandbox", units: 5, ground: "sandbox", admitted: "2026-11-03 09:00:00.000"},
		{seq: 20, product: "wage-table", units: 12_000_000, tariff: volume, admitted: "2026-11-04 09:00:00.000"},
		{seq: 21, product: "wage-table", units: 345_678, tariff: volume, admitted: "2026-11-04 09:00:00.000"},
		{seq: 22, product: "wage-year", units: 800, tariff: whole, admitted: "2026-11-05 09:00:00.000"},
		{seq: 23, product: "wage-year", units: 800, tariff: whole, admitted: "2026-11-06 09:00:00.000"},
		{seq: 50, product: "licence-live", units: 1, tariff: dearer, admitted: "2026-11-30 23:59:59.999"},
		// Not on this statement.
		{seq: 9, product: "licence-live", units: 100, tariff: subjects, admitted: "2026-10-31 23:59:59.999"},
		{seq: 51, product: "licence-live", units: 100, tariff: dearer, admitted: "2026-12-01 00:00:00.000"},
		{seq: 17, enterprise: other, product: "licence-live", units: 100, tariff: subjects, admitted: "2026-11-03 09:00:00.000"},
	}
	for _, u := range uses {
		if u.enterprise == "" {
			u.enterprise = enterprise
		}
		entries = append(entries, u.entry(t))
	}
	return append(entries,
		&ledger.Entry{Seq: 18, Kind: ledger.KindDenied, Denied: &ledger.Denied{Enterprise: enterprise}},
		&ledger.Entry{Seq: 19, Kind: ledger.KindManifest, Manifest: &ledger.Manifest{}},
	)
}

// The statement of a month, whole, in a file: lines, grounds, drill-down, total.
func TestStatementGolden(t *testing.T) {
	s, err := BuildStatement(enterprise, "2026-11", sequence(novemberUses(t)...))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	const path = "testdata/statement-2026-11.json"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func TestStatementLines(t *testing.T) {
	s, err := BuildStatement(enterprise, "2026-11", sequence(novemberUses(t)...))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range s.Lines {
		unit := "free"
		if l.Unit != nil {
			unit = l.Unit.String()
		}
		lines = append(lines, fmt.Sprintf("%s %s@%d %s %s %s calls=%d units=%d exact=%s charge=%s %v",
			l.Product, l.Tariff, l.Seq, l.Basis, unit, l.Ground, l.Calls, l.Units, l.Exact, l.Charge, l.Entries))
	}
	want := []string{
		"licence-live live-2026@6 per-subject 0.1537  calls=1 units=100 exact=15.37 charge=15.37 [10]",
		"licence-live live-2026@40 per-subject 0.16  calls=1 units=1 exact=0.16 charge=0.16 [50]",
		"licence-live @0  free purpose calls=1 units=30 exact=0.00 charge=0.00 [14]",
		"licence-live @0  free renewal calls=1 units=30 exact=0.00 charge=0.00 [15]",
		"licence-sector sector-2026@7 per-call 0.125  calls=3 units=600 exact=0.375 charge=0.38 [11 12 13]",
		"sandbox @0  free sandbox calls=1 units=5 exact=0.00 charge=0.00 [16]",
		"wage-table wage-table-2026@8 per-volume 0.0000008  calls=2 units=12345678 exact=9.8765424 charge=9.88 [20 21]",
		"wage-year wage-year-2026@9 per-product 12000.00  calls=2 units=1600 exact=24000.00 charge=24000.00 [22 23]",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
	if s.Total.String() != "24025.79" {
		t.Errorf("total %s, want 24025.79", s.Total)
	}
}

func TestEmptyStatement(t *testing.T) {
	s, err := BuildStatement(enterprise, "2027-01", sequence(novemberUses(t)...))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Encode()
	if want := `{"enterprise":"` + enterprise + `","lines":[],"month":"2027-01","total":"0.00"}`; err != nil || string(b) != want {
		t.Errorf("encoded %s (%v), want %s", b, err, want)
	}
}

func TestStatementRefuses(t *testing.T) {
	broken := errors.New("database gone")
	november := novemberUses(t)
	tampered := func(spoil func(*ledger.Call)) *ledger.Entry {
		e := novemberUses(t)[1]
		spoil(e.TheCall())
		return e
	}
	tests := []struct {
		name    string
		month   string
		entries iter.Seq2[*ledger.Entry, error]
		want    error
		seq     int64
	}{
		{"no month", "", sequence(), ErrMonth, 0},
		{"a thirteenth month", "2026-13", sequence(), ErrMonth, 0},
		{"a day", "2026-11-01", sequence(), ErrMonth, 0},
		{"a month without zero", "2026-1", sequence(), ErrMonth, 0},
		{"an entry twice", "2026-11", sequence(november[1], november[1]), ErrTwice, 11},
		{"an edited amount", "2026-11", sequence(tampered(func(c *ledger.Call) { c.Price.Amount = "0.12" })), ErrPriceMismatch, 11},
		{"an edited unit price", "2026-11", sequence(tampered(func(c *ledger.Call) { c.Price.Unit = "0.12" })), ErrPriceMismatch, 11},
		{"another spelling of the amount", "2026-11", sequence(tampered(func(c *ledger.Call) { c.Price.Amount = "0.1250" })), ErrPriceMismatch, 11},
		{"an amount that is none", "2026-11", sequence(tampered(func(c *ledger.Call) { c.Price.Unit = "much" })), ErrMoneySyntax, 11},
		{"a call at no price", "2026-11", sequence(tampered(func(c *ledger.Call) { c.Price = Free(1) })), ErrMoneySyntax, 11},
		{"a correction", "2026-11", sequence(&ledger.Entry{Seq: 60, Kind: ledger.KindCorrection}), ErrCorrections, 60},
		{"a broken source", "2026-11", func(yield func(*ledger.Entry, error) bool) { yield(nil, broken) }, broken, 0},
	}
	for _, test := range tests {
		s, err := BuildStatement(enterprise, test.month, test.entries)
		if !errors.Is(err, test.want) || s != nil {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		var entry *EntryError
		if errors.As(err, &entry) != (test.seq != 0) || entry != nil && entry.Seq != test.seq {
			t.Errorf("%s: %v, want it to name entry %d", test.name, err, test.seq)
		}
	}
	free := novemberUses(t)[4]
	free.Exemption.Price.Amount = "0.01"
	if _, err := BuildStatement(enterprise, "2026-11", sequence(free)); !errors.Is(err, ErrPriceMismatch) {
		t.Errorf("an exemption that costs: %v, want ErrPriceMismatch", err)
	}
	var basis *BasisError
	period := tampered(func(c *ledger.Call) { c.Price.Basis = "per-period" })
	if _, err := BuildStatement(enterprise, "2026-11", sequence(period)); !errors.As(err, &basis) {
		t.Errorf("a basis of a later version: %v, want a BasisError", err)
	}
}

// Whatever the order of the entries: the same statement. Lines add up exactly,
// and the total is off the exact sum by half a fen a line at most.
func TestStatementProperties(t *testing.T) {
	tariffs := []Tariff{
		{ID: "a", Seq: 1, Basis: PerSubject, Unit: yuan(t, "0.1537")},
		{ID: "b", Seq: 2, Basis: PerCall, Unit: yuan(t, "0.125")},
		{ID: "c", Seq: 3, Basis: PerSubject, Unit: yuan(t, "0.000000000001")},
		{ID: "d", Seq: 4, Basis: PerVolume, Unit: yuan(t, "0.0000008")},
	}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(rt, "entries")
		var exact Money
		entries := make([]*ledger.Entry, n)
		for i := range entries {
			u := use{
				seq:        int64(100 + i),
				enterprise: enterprise,
				product:    rapid.SampledFrom([]string{"p", "q"}).Draw(rt, "product"),
				admitted:   "2026-11-15 12:00:00.000",
				units:      rapid.Int64Range(1, 5000).Draw(rt, "units"),
				tariff:     rapid.SampledFrom(tariffs).Draw(rt, "tariff"),
				ground:     rapid.SampledFrom([]string{"", "", "", "sandbox"}).Draw(rt, "ground"),
			}
			entries[i] = u.entry(t)
			exact = must(exact.Add(yuan(t, entries[i].TheCall().Price.Amount)))
		}
		s, err := BuildStatement(enterprise, "2026-11", sequence(entries...))
		if err != nil {
			rt.Fatal(err)
		}
		shuffled := rapid.Permutation(entries).Draw(rt, "order")
		again, err := BuildStatement(enterprise, "2026-11", sequence(shuffled...))
		if err != nil {
			rt.Fatal(err)
		}
		if a, b := encoded(rt, s), encoded(rt, again); a != b {
			rt.Fatalf("another order, another statement:\n%s\n%s", a, b)
		}
		var lines, charges Money
		counted := 0
		for _, l := range s.Lines {
			lines = must(lines.Add(l.Exact))
			charges = must(charges.Add(l.Charge))
			counted += len(l.Entries)
		}
		if !lines.Equal(exact) || counted != n {
			rt.Fatalf("lines add to %s over %d entries, the entries to %s over %d", lines, counted, exact, n)
		}
		off := must(must(s.Total.Sub(exact)).MulInt(200)) // in half fen
		bound := yuan(t, fmt.Sprint(len(s.Lines)))
		if !s.Total.Equal(charges) || off.Cmp(bound) > 0 || must(off.MulInt(-1)).Cmp(bound) > 0 {
			rt.Fatalf("total %s, lines' charges %s, exact sum %s, %d lines", s.Total, charges, exact, len(s.Lines))
		}
	})
}

func must(m Money, err error) Money {
	if err != nil {
		panic(err)
	}
	return m
}

func encoded(t *rapid.T, s *Statement) string {
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever this package prices, the ledger takes: both know one spelling of an
// amount.
func TestLedgerTakesThePrices(t *testing.T) {
	b, err := os.ReadFile("../ledger/testdata/entries/07-call.json")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		e, err := ledger.Decode(b)
		if err != nil {
			rt.Fatal(err)
		}
		unit := drawMoney(rt, "unit")
		if unit.Sign() < 0 {
			unit = must(unit.MulInt(-1))
		}
		basis := rapid.SampledFrom([]string{PerSubject, PerCall, PerProduct}).Draw(rt, "basis")
		units := rapid.Int64Range(0, 999).Draw(rt, "units")
		e.Call.Price, err = Price(Tariff{ID: "t", Seq: 1, Basis: basis, Unit: unit}, units, 1)
		if err != nil {
			rt.Fatal(err)
		}
		if _, err := e.Encode(); err != nil {
			rt.Fatalf("the ledger refuses %+v: %v", e.Call.Price, err)
		}
	})
}
