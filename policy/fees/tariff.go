package fees

import (
	"fmt"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// CST is China Standard Time, in which days, months and years are counted. It
// is a fixed offset: yingbi has no dates from before 1992, when summer time
// ended.
var CST = time.FixedZone("CST", 8*60*60)

// Month is the month of t in China Standard Time, like 2026-11.
func Month(t time.Time) string { return t.In(CST).Format("2006-01") }

// Day is the day of t in China Standard Time, like 2026-11-24.
func Day(t time.Time) string { return t.In(CST).Format(time.DateOnly) }

// ParseDay is the beginning of a day in China Standard Time.
func ParseDay(s string) (time.Time, error) {
	t, err := time.ParseInLocation(time.DateOnly, s, CST)
	if err != nil {
		return time.Time{}, fmt.Errorf("fees: expected a day like 2026-11-24")
	}
	return t, nil
}

// Bases that Price knows (计费方式).
const (
	PerSubject = "per-subject" // by identifiers asked for, found or not 服务次数
	PerCall    = "per-call"    // by jobs
	PerVolume  = "per-volume"  // by plaintext cells or bytes asked for, never by ciphertext 数据调用量
	PerProduct = "per-product" // by products delivered: a job delivers one 产品数量
)

// Tariff is an applied tariff (具体收费标准), one version of it.
type Tariff struct {
	ID      string
	Seq     int64 // of its ledger entry
	Product string
	Basis   string
	Unit    Money     // price of one unit
	Trial   bool      // 试行
	From    time.Time // beginning of the first day, CST
	Until   time.Time // beginning of the last day, CST; zero: until the next binds
	BoundAt time.Time // time of its ledger entry
}

// Binds is when the tariff begins to bind: its first day or its ledger entry,
// whichever is later.
func (t Tariff) Binds() time.Time {
	if t.BoundAt.After(t.From) {
		return t.BoundAt
	}
	return t.From
}

// after orders tariffs by when they bind, then by sequence.
func (t Tariff) after(o Tariff) bool {
	if c := t.Binds().Compare(o.Binds()); c != 0 {
		return c > 0
	}
	return t.Seq > o.Seq
}

// over tells whether the tariff's last day is past.
func (t Tariff) over(at time.Time) bool {
	return !t.Until.IsZero() && !at.Before(t.Until.In(CST).AddDate(0, 0, 1))
}

// InForce is the tariff that prices a product at a time: of those that bind by
// then, whose last day is not past and that no later one ended, the newest to
// bind, and of two that bind at once the one with the higher sequence. An open
// tariff ends for good when any later one of its product binds, one with a last
// day when a new version of itself does.
func InForce(ts []Tariff, product string, at time.Time) (Tariff, bool) {
	newest, ok := newestBound(ts, product, at)
	if !ok || !newest.over(at) {
		return newest, ok // nothing is later, so nothing ended it
	}
	var best Tariff
	found := false
	for _, t := range newestVersions(ts, product, at) {
		if !t.Until.IsZero() && !t.over(at) && (!found || t.after(best)) {
			best, found = t, true
		}
	}
	return best, found
}

// newestBound is the last of a product's tariffs to bind by a time.
func newestBound(ts []Tariff, product string, at time.Time) (newest Tariff, found bool) {
	for _, t := range ts {
		if t.Product == product && !at.Before(t.Binds()) && (!found || t.after(newest)) {
			newest, found = t, true
		}
	}
	return newest, found
}

// newestVersions are the last version of each of a product's tariffs to bind by
// a time.
func newestVersions(ts []Tariff, product string, at time.Time) map[string]Tariff {
	newest := map[string]Tariff{}
	for _, t := range ts {
		if t.Product != product || at.Before(t.Binds()) {
			continue
		}
		if old, ok := newest[t.ID]; !ok || t.after(old) {
			newest[t.ID] = t
		}
	}
	return newest
}

// BasisError is a basis that this version does not price.
type BasisError struct{ Tariff, Basis string }

// Error names the tariff and what can be priced.
func (e *BasisError) Error() string {
	return fmt.Sprintf("fees: tariff %s: basis %q is not priced by this version: use %s, %s, %s or %s",
		e.Tariff, e.Basis, PerSubject, PerCall, PerVolume, PerProduct)
}

// UsageError is a usage that cannot be priced: a negative count or price.
type UsageError struct{ Tariff string }

// Error names the tariff.
func (e *UsageError) Error() string {
	return fmt.Sprintf("fees: tariff %s: units, calls and price may not be negative", e.Tariff)
}

// Price is the exact price of a use: unit price × what the basis counts, never
// rounded.
func Price(t Tariff, units, calls int64) (ledger.Price, error) {
	if units < 0 || calls < 0 || t.Unit.Sign() < 0 {
		return ledger.Price{}, &UsageError{Tariff: t.ID}
	}
	var counted int64
	switch t.Basis {
	case PerSubject, PerVolume:
		counted = units
	case PerCall, PerProduct:
		counted = calls
	default:
		return ledger.Price{}, &BasisError{Tariff: t.ID, Basis: t.Basis}
	}
	amount, err := t.Unit.MulInt(counted)
	if err != nil {
		return ledger.Price{}, fmt.Errorf("pricing by tariff %s: %w", t.ID, err)
	}
	return ledger.Price{
		Tariff: t.ID,
		Seq:    t.Seq,
		Basis:  t.Basis,
		Unit:   t.Unit.String(),
		Units:  counted,
		Amount: amount.String(),
	}, nil
}

// Free is the price of a use that costs nothing.
func Free(units int64) ledger.Price {
	return ledger.Price{Units: units, Amount: Money{}.String()}
}
