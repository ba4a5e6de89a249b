package fees

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/policy/ledger"
)

func clock(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05.000", s, CST)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func day(t testing.TB, s string) time.Time {
	t.Helper()
	if s == "" {
		return time.Time{}
	}
	at, err := ParseDay(s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// fees.md §5, the bases of this version. The exact amount is on the receipt, the
// charge on the statement.
func TestChargesOfThePage(t *testing.T) {
	tests := []struct {
		basis        string
		units, calls int64
		unit         string
		exact        string
		charge       string
	}{
		{PerSubject, 100, 1, "0.1537", "15.37", "15.37"},
		{PerCall, 100, 1, "0.125", "0.125", "0.13"},
		{PerCall, 300, 3, "0.125", "0.375", "0.38"},
		{PerCall, 500, 5, "0.125", "0.625", "0.63"},
		{PerSubject, 1, 1, "0.1537", "0.1537", "0.15"},
		{PerSubject, 0, 1, "0.1537", "0.00", "0.00"},
		{PerVolume, 12_345_678, 1, "0.0000008", "9.8765424", "9.88"}, // bytes, at 0.80 a megabyte
		{PerVolume, 221, 1, "0.03", "6.63", "6.63"},                  // cells
		{PerVolume, 0, 1, "0.80", "0.00", "0.00"},
		{PerProduct, 5000, 2, "12000.00", "24000.00", "24000.00"},
		{PerSubject, 120_000_000, 1, "0.1600", "19200000.00", "19200000.00"},
	}
	for _, test := range tests {
		tariff := Tariff{ID: "t", Seq: 6, Basis: test.basis, Unit: yuan(t, test.unit)}
		got, err := Price(tariff, test.units, test.calls)
		if err != nil {
			t.Fatal(err)
		}
		counted := test.units
		if test.basis == PerCall || test.basis == PerProduct {
			counted = test.calls
		}
		want := ledger.Price{
			Tariff: "t", Seq: 6, Basis: test.basis, Unit: yuan(t, test.unit).String(), Units: counted, Amount: test.exact,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s × %s (-want +got):\n%s", test.basis, test.unit, diff)
		}
		if charge := yuan(t, got.Amount).Round().String(); charge != test.charge {
			t.Errorf("%s × %s is charged %s, want %s", test.basis, test.unit, charge, test.charge)
		}
	}
	if diff := cmp.Diff(ledger.Price{Units: 100, Amount: "0.00"}, Free(100)); diff != "" {
		t.Errorf("Free(100) (-want +got):\n%s", diff)
	}
}

func TestPriceRefuses(t *testing.T) {
	for _, basis := range []string{"per-period", "", "per-Subject", "per-cell"} {
		_, err := Price(Tariff{ID: "t", Basis: basis, Unit: yuan(t, "1")}, 1, 1)
		var wrong *BasisError
		if !errors.As(err, &wrong) || wrong.Basis != basis || wrong.Tariff != "t" {
			t.Errorf("basis %q: %v, want a BasisError", basis, err)
		}
	}
	for name, price := range map[string]func() (ledger.Price, error){
		"negative units": func() (ledger.Price, error) { return Price(Tariff{Basis: PerSubject}, -1, 1) },
		"negative calls": func() (ledger.Price, error) { return Price(Tariff{Basis: PerCall}, 1, -1) },
		"negative price": func() (ledger.Price, error) {
			return Price(Tariff{Basis: PerSubject, Unit: yuan(t, "-0.01")}, 1, 1)
		},
	} {
		var wrong *UsageError
		if _, err := price(); !errors.As(err, &wrong) {
			t.Errorf("%s: %v, want a UsageError", name, err)
		}
	}
	if _, err := Price(Tariff{Basis: PerSubject, Unit: yuan(t, "1")}, 1<<53, 1); !errors.Is(err, ErrMoneyRange) {
		t.Errorf("2^53 yuan: %v, want ErrMoneyRange", err)
	}
}

// fees.md: a tariff binds from the later of its effective date and the time of
// its ledger entry. "-" stands for no tariff.
func TestInForce(t *testing.T) {
	tariff := func(id string, seq int64, from, until, boundAt string) Tariff {
		return Tariff{ID: id, Seq: seq, Product: "p", Basis: PerCall, From: day(t, from), Until: day(t, until), BoundAt: clock(t, boundAt)}
	}
	type asked struct {
		at   string
		want string // "id@seq", or "-"
	}
	tests := []struct {
		name    string
		tariffs []Tariff
		asked   []asked
	}{
		{
			"logged before its first day: from midnight, China Standard Time",
			[]Tariff{tariff("a", 1, "2026-11-10", "", "2026-11-01 09:00:00.000")},
			[]asked{{"2026-11-09 23:59:59.999", "-"}, {"2026-11-10 00:00:00.000", "a@1"}, {"2030-01-01 00:00:00.000", "a@1"}},
		},
		{
			"logged after its first day: from its entry, never backwards",
			[]Tariff{tariff("a", 1, "2026-11-10", "", "2026-11-12 09:00:00.000")},
			[]asked{{"2026-11-11 12:00:00.000", "-"}, {"2026-11-12 08:59:59.999", "-"}, {"2026-11-12 09:00:00.000", "a@1"}},
		},
		{
			"its last day is inclusive",
			[]Tariff{tariff("a", 1, "2026-11-01", "2026-11-30", "2026-10-01 09:00:00.000")},
			[]asked{{"2026-11-30 23:59:59.999", "a@1"}, {"2026-12-01 00:00:00.000", "-"}},
		},
		{
			"an open tariff lasts until the next binds, and does not come back",
			[]Tariff{
				tariff("a", 1, "2026-11-01", "", "2026-10-01 09:00:00.000"),
				tariff("b", 2, "2026-11-10", "2026-11-12", "2026-10-02 09:00:00.000"),
			},
			[]asked{{"2026-11-09 23:59:59.999", "a@1"}, {"2026-11-10 00:00:00.000", "b@2"}, {"2026-11-13 00:00:00.000", "-"}},
		},
		{
			"a tariff with a last day comes back when a shorter one is over",
			[]Tariff{
				tariff("a", 1, "2026-11-01", "2026-11-30", "2026-10-01 09:00:00.000"),
				tariff("b", 2, "2026-11-10", "2026-11-12", "2026-10-02 09:00:00.000"),
			},
			[]asked{{"2026-11-10 00:00:00.000", "b@2"}, {"2026-11-13 00:00:00.000", "a@1"}, {"2026-12-01 00:00:00.000", "-"}},
		},
		{
			"a new version waits for its first day and then replaces the old for good",
			[]Tariff{
				tariff("a", 1, "2026-11-01", "2026-12-31", "2026-10-01 09:00:00.000"),
				tariff("a", 5, "2026-11-10", "2026-11-12", "2026-11-02 09:00:00.000"),
			},
			[]asked{{"2026-11-09 23:59:59.999", "a@1"}, {"2026-11-10 00:00:00.000", "a@5"}, {"2026-11-13 00:00:00.000", "-"}},
		},
		{
			"of two that bind at once the later entry",
			[]Tariff{
				tariff("b", 7, "2026-11-10", "", "2026-10-01 09:00:00.000"),
				tariff("a", 3, "2026-11-10", "", "2026-10-01 08:00:00.000"),
			},
			[]asked{{"2026-11-10 00:00:00.000", "b@7"}},
		},
		{
			"the newest to bind, not the newest entry",
			[]Tariff{
				tariff("a", 3, "2026-11-20", "", "2026-10-01 09:00:00.000"),
				tariff("b", 7, "2026-11-10", "", "2026-10-02 09:00:00.000"),
			},
			[]asked{{"2026-11-10 00:00:00.000", "b@7"}, {"2026-11-20 00:00:00.000", "a@3"}},
		},
		{
			"another product's tariff is none",
			[]Tariff{{ID: "a", Product: "q", Basis: PerCall}},
			[]asked{{"2026-11-10 00:00:00.000", "-"}},
		},
	}
	for _, test := range tests {
		for _, a := range test.asked {
			at := clock(t, a.at)
			for _, moment := range []time.Time{at, at.UTC()} {
				got, ok := InForce(test.tariffs, "p", moment)
				text := "-"
				if ok {
					text = got.ID + "@" + strconv.FormatInt(got.Seq, 10)
				}
				if text != a.want {
					t.Errorf("%s: at %s %s, want %s", test.name, a.at, text, a.want)
				}
			}
		}
	}
}

// naive is InForce as its sentence says it, every tariff against every other.
func naive(ts []Tariff, product string, at time.Time) (best Tariff, found bool) {
	var bound []Tariff
	for _, t := range ts {
		if t.Product == product && !at.Before(t.Binds()) {
			bound = append(bound, t)
		}
	}
	for _, t := range bound {
		ended := slices.ContainsFunc(bound, func(next Tariff) bool {
			return next.after(t) && (t.Until.IsZero() || next.ID == t.ID)
		})
		if !ended && !t.over(at) && (!found || t.after(best)) {
			best, found = t, true
		}
	}
	return best, found
}

func TestInForceIsWhatItsSentenceSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := time.Date(2026, 11, 1, 0, 0, 0, 0, CST)
		days := func(most int, name string) time.Time {
			return first.AddDate(0, 0, rapid.IntRange(0, most).Draw(t, name))
		}
		var ts []Tariff
		for seq := range rapid.IntRange(0, 8).Draw(t, "tariffs") {
			next := Tariff{ID: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id"), Seq: int64(seq), Basis: PerCall,
				Product: rapid.SampledFrom([]string{"p", "p", "p", "q"}).Draw(t, "product"),
				From:    days(6, "from"), BoundAt: days(6, "bound")}
			if rapid.Bool().Draw(t, "closed") {
				next.Until = next.From.AddDate(0, 0, rapid.IntRange(0, 4).Draw(t, "length"))
			}
			ts = append(ts, next)
		}
		at := days(12, "at").Add(-time.Duration(rapid.IntRange(0, 1).Draw(t, "before midnight")))
		got, ok := InForce(ts, "p", at)
		want, wanted := naive(ts, "p", at)
		if ok != wanted || got.Seq != want.Seq {
			t.Fatalf("at %s %s@%d (%v), expected %s@%d (%v)", at, got.ID, got.Seq, ok, want.ID, want.Seq, wanted)
		}
	})
}

// Every call is priced by it: a product whose price changed a thousand times
// costs no more than one pass over them.
func BenchmarkInForce(b *testing.B) {
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, CST)
	var ts []Tariff
	for i := range 1000 {
		ts = append(ts, Tariff{ID: "a", Seq: int64(i), Product: "p", Basis: PerCall, From: first, BoundAt: first.Add(time.Duration(i) * time.Hour)})
	}
	for b.Loop() {
		if t, ok := InForce(ts, "p", first.AddDate(1, 0, 0)); !ok || t.Seq != 999 {
			b.Fatal(t.Seq, ok)
		}
	}
}

// The day turns at 16:00 UTC.
func TestChinaStandardTime(t *testing.T) {
	before := time.Date(2026, 11, 30, 15, 59, 59, 999e6, time.UTC)
	after := before.Add(time.Millisecond)
	if Day(before) != "2026-11-30" || Month(before) != "2026-11" {
		t.Errorf("%s is %s, %s", before, Day(before), Month(before))
	}
	if Day(after) != "2026-12-01" || Month(after) != "2026-12" {
		t.Errorf("%s is %s, %s", after, Day(after), Month(after))
	}
	if d, err := ParseDay("2026-12-01"); err != nil || !d.Equal(after) {
		t.Errorf("ParseDay = %s (%v), want %s", d, err, after)
	}
	for _, s := range []string{"", "2026-02-29", "2026-1-1", "2026-01-01T00:00:00Z"} {
		if _, err := ParseDay(s); err == nil {
			t.Errorf("%q is taken for a day", s)
		}
	}
}
