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

// ends tells whether t ends for good when next, which binds later, does: an open
// tariff lasts until any other of its product binds, and a new version takes the
// place of an old one.
func (t Tariff) ends(next Tariff) bool {
	return next.after(t) && (t.Until.IsZero() || next.ID == t.ID)
}

// InForce is the tariff that prices a product at a time: of those that bind by
// then, whose last day is not past and that no later one ended, the newest to
// bind, and of two that bind at once the one with the higher sequence.
func InForce(ts []Tariff, product string, at time.Time) (Tariff, bool) {
	var bound []Tariff
	for _, t := range ts {
		if t.Product == product && !at.Before(t.Binds()) {
			bound = append(bound, t)
		}
	}
	var best Tariff
	found := false
	for _, t := range bound {
		if t.over(at) || anyEnds(bound, t) {
			continue
		}
		if !found || t.after(best) {
			best, found = t, true
		}
	}
	return best, found
}

func anyEnds(bound []Tariff, t Tariff) bool {
	for _, next := range bound {
		if t.ends(next) {
			return true
		}
	}
	return false
}

// BasisError is a basis that this version does not price.
type BasisError struct{ Tariff, Basis string }

// Error names the tariff and what can be priced.
func (e *BasisError) Error() string {
	return fmt.Sprintf("fees: tariff %s: basis %q is not priced by this version: use %s or %s",
		e.Tariff, e.Basis, PerSubject, PerCall)
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
	case PerSubject:
		counted = units
	case PerCall:
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
