package fees

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Line is a statement line: all use of one product under one tariff and basis,
// or all free use of one product on one ground and grant.
type Line struct {
	Product string `json:"product"`
	Tariff  string `json:"tariff,omitempty"`
	Seq     int64  `json:"seq,omitempty"`    // the tariff's ledger entry
	Basis   string `json:"basis,omitempty"`  // what the price is of
	Unit    *Money `json:"unit,omitempty"`   // price of one unit
	Ground  string `json:"ground,omitempty"` // why it is free: purpose, sandbox or renewal
	Grant   string `json:"grant,omitempty"`  // digest of the grant that states the basis

	Calls   int64   `json:"calls"`
	Units   int64   `json:"units"`   // identifiers, subjects or cells
	Exact   Money   `json:"exact"`   // usage × price, unrounded
	Charge  Money   `json:"charge"`  // Exact, rounded once
	Entries []int64 `json:"entries"` // sequence numbers, ascending
}

// Statement is an enterprise's month (账单).
type Statement struct {
	Enterprise string `json:"enterprise"` // credit code
	Month      string `json:"month"`      // 2026-11, China Standard Time
	Lines      []Line `json:"lines"`      // by product, then paid before free
	Total      Money  `json:"total"`      // the sum of the lines' charges
}

// Encode is the statement's canonical JSON; its digest closes a month.
func (s *Statement) Encode() ([]byte, error) { return ledger.Canonical(s) }

// EntryError is an entry that a statement cannot be built over. The audit finds
// out more about it.
type EntryError struct {
	Seq int64
	Err error
}

// Error names the entry.
func (e *EntryError) Error() string {
	return fmt.Sprintf("fees: ledger entry %d: %v", e.Seq, e.Err)
}

// Unwrap gives the cause.
func (e *EntryError) Unwrap() error { return e.Err }

// Causes of an EntryError.
var (
	// ErrPriceMismatch: the amount is not unit price × units.
	ErrPriceMismatch = errors.New("its price does not follow from the tariff it names")
	// ErrTwice: the same entry was given twice.
	ErrTwice = errors.New("given twice")
	// ErrCorrections: there are corrections in the log, which this version
	// cannot put on a statement. To leave them out would be wrong.
	ErrCorrections = errors.New("corrections are not supported by this version")
)

// ErrMonth: not a month.
var ErrMonth = errors.New("fees: expected a month like 2026-11")

// BuildStatement builds an enterprise's statement of a month from ledger
// entries, in any order. Other enterprises' calls, other months' and other kinds
// of entries are passed over, so that the whole log may be given. An error from
// the sequence ends it.
func BuildStatement(enterprise, month string, entries iter.Seq2[*ledger.Entry, error]) (*Statement, error) {
	if t, err := time.Parse("2006-01", month); err != nil || t.Format("2006-01") != month {
		return nil, ErrMonth
	}
	b := builder{lines: map[lineKey]*Line{}, seen: map[int64]bool{}}
	for e, err := range entries {
		if err != nil {
			return nil, fmt.Errorf("building the statement of %s for %s: %w", month, enterprise, err)
		}
		if e.Kind == ledger.KindCorrection {
			return nil, &EntryError{Seq: e.Seq, Err: ErrCorrections}
		}
		call := e.TheCall()
		if call == nil || call.Header.Enterprise != enterprise || Month(call.Settled.Admitted.Time) != month {
			continue
		}
		if err := b.add(e, call); err != nil {
			return nil, &EntryError{Seq: e.Seq, Err: err}
		}
	}
	lines, total, err := b.finish()
	if err != nil {
		return nil, fmt.Errorf("building the statement of %s for %s: %w", month, enterprise, err)
	}
	return &Statement{Enterprise: enterprise, Month: month, Lines: lines, Total: total}, nil
}

// lineKey is what a line is about.
type lineKey struct {
	product, tariff, basis, unit, ground, grant string
	seq                                         int64
}

type builder struct {
	lines map[lineKey]*Line
	seen  map[int64]bool
}

func (b *builder) add(e *ledger.Entry, call *ledger.Call) error {
	if b.seen[e.Seq] {
		return ErrTwice
	}
	b.seen[e.Seq] = true
	unit, amount, err := follow(e, call)
	if err != nil {
		return err
	}
	p := call.Price
	key := lineKey{product: call.Header.Product, tariff: p.Tariff, basis: p.Basis, unit: p.Unit, seq: p.Seq}
	if e.Exemption != nil {
		key.ground, key.grant = e.Exemption.Ground, e.Exemption.Grant
	}
	line := b.lines[key]
	if line == nil {
		line = &Line{
			Product: key.product, Tariff: key.tariff, Seq: key.seq, Basis: key.basis, Unit: unit,
			Ground: key.ground, Grant: key.grant,
		}
		b.lines[key] = line
	}
	if line.Exact, err = line.Exact.Add(amount); err != nil {
		return err
	}
	line.Calls++
	line.Units += call.Usage.Units
	line.Entries = append(line.Entries, e.Seq)
	return nil
}

// follow checks that a price is what its own parts say, and returns them. That
// the tariff was in force and has this price is for the audit, which has it.
func follow(e *ledger.Entry, call *ledger.Call) (unit *Money, amount Money, err error) {
	p := call.Price
	if e.Kind == ledger.KindExemption {
		if want := Free(p.Units); p != want {
			return nil, Money{}, ErrPriceMismatch
		}
		return nil, Money{}, nil
	}
	price, err := ParseMoney(p.Unit)
	if err != nil {
		return nil, Money{}, err
	}
	want, err := Price(Tariff{ID: p.Tariff, Seq: p.Seq, Basis: p.Basis, Unit: price}, call.Usage.Units, 1)
	if err != nil {
		return nil, Money{}, err
	}
	if p != want {
		return nil, Money{}, ErrPriceMismatch
	}
	amount, err = ParseMoney(p.Amount)
	return &price, amount, err
}

// finish rounds each line, adds the rounded lines and puts them in order.
func (b *builder) finish() ([]Line, Money, error) {
	lines := make([]Line, 0, len(b.lines))
	var total Money
	var err error
	for _, line := range b.lines {
		slices.Sort(line.Entries)
		line.Charge = line.Exact.Round()
		if total, err = total.Add(line.Charge); err != nil {
			return nil, Money{}, err
		}
		lines = append(lines, *line)
	}
	slices.SortFunc(lines, func(a, b Line) int {
		return cmp.Or(
			cmp.Compare(a.Product, b.Product),
			cmp.Compare(a.Ground, b.Ground), // paid lines have none
			cmp.Compare(a.Seq, b.Seq),
			cmp.Compare(a.Entries[0], b.Entries[0]),
		)
	})
	return lines, total, nil
}
