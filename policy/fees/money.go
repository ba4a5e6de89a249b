package fees

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// Limits of an amount. With them every amount has at most 27 digits, and every
// operation of this package is exact in the context below.
const (
	maxWholeDigits    = 15 // |amount| ≤ 999,999,999,999,999.99
	maxFractionDigits = 12
)

var (
	// ErrMoneySyntax: not an amount as this package reads it.
	ErrMoneySyntax = errors.New("fees: not an amount: expected yuan like 15.37, of at most 15 digits before the point and 12 after it")
	// ErrMoneyRange: a result is beyond ±999,999,999,999,999.99 yuan or finer
	// than 12 decimals.
	ErrMoneyRange = errors.New("fees: amount out of range: at most 999,999,999,999,999.99 yuan and 12 decimals")
)

// exact is the context of all arithmetic: 64 digits are more than any operation
// on amounts needs, and whatever would be inexact is an error all the same.
var exact = apd.Context{
	Precision:   64,
	MaxExponent: apd.MaxExponent,
	MinExponent: apd.MinExponent,
	Traps:       apd.DefaultTraps | apd.Inexact,
	Rounding:    apd.RoundHalfUp, // of apd: half away from zero
}

// rounding is exact, but may drop digits: for Round alone.
var rounding = func() apd.Context {
	c := exact
	c.Traps &^= apd.Inexact
	return c
}()

// limit is the largest amount. It is a whole number of fen, so that rounding
// does not pass it.
var limit = apd.New(99_999_999_999_999_999, -2)

// Money is an exact amount of yuan. The zero value is 0.00. Values are immutable
// and compared with Cmp or Equal, not with ==.
type Money struct {
	_ [0]func()   // no ==: equal amounts need not be equal memory
	d apd.Decimal // finite, exponent -12 to -2 or zero value, no zero beyond the second decimal
}

// ParseMoney reads an amount: "15.37", "0.1537", "-0.12", "3000". No exponent,
// no plus sign, no separators, no spaces, no zeros in front, no -0.
func ParseMoney(s string) (Money, error) {
	digits := strings.TrimPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if !allDigits(whole) || len(whole) == 0 || len(whole) > maxWholeDigits || len(whole) > 1 && whole[0] == '0' ||
		!allDigits(fraction) || point && len(fraction) == 0 || len(fraction) > maxFractionDigits {
		return Money{}, ErrMoneySyntax
	}
	d, _, err := apd.NewFromString(s)
	if err != nil || d.IsZero() && len(digits) < len(s) {
		return Money{}, ErrMoneySyntax
	}
	return settle(d)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// settle brings a result into the one form of its amount, or refuses it.
func settle(d *apd.Decimal) (Money, error) {
	if d.Form != apd.Finite {
		return Money{}, ErrMoneyRange
	}
	var m Money
	m.d.Reduce(d)
	if m.d.Exponent < -maxFractionDigits {
		return Money{}, ErrMoneyRange
	}
	if m.d.Exponent > -2 {
		if _, err := exact.Quantize(&m.d, &m.d, -2); err != nil {
			return Money{}, ErrMoneyRange
		}
	}
	if m.d.IsZero() {
		m.d.Negative = false
	}
	var size apd.Decimal
	if size.Abs(&m.d).Cmp(limit) > 0 {
		return Money{}, ErrMoneyRange
	}
	return m, nil
}

// String is the amount with at least two decimals and no zero after the second:
// "15.37", "0.125", "3000.00". An amount has one text, which entries hold.
func (m Money) String() string {
	if m.d.Exponent == 0 { // the zero value
		return "0.00"
	}
	return m.d.Text('f')
}

// Cmp compares: -1, 0 or 1.
func (m Money) Cmp(o Money) int { return m.d.Cmp(&o.d) }

// Equal tells whether two amounts are the same.
func (m Money) Equal(o Money) bool { return m.Cmp(o) == 0 }

// Sign is -1, 0 or 1.
func (m Money) Sign() int { return m.d.Sign() }

// Add is m + o.
func (m Money) Add(o Money) (Money, error) {
	var d apd.Decimal
	if _, err := exact.Add(&d, &m.d, &o.d); err != nil {
		return Money{}, fmt.Errorf("%w (%v)", ErrMoneyRange, err)
	}
	return settle(&d)
}

// Sub is m - o.
func (m Money) Sub(o Money) (Money, error) {
	var d apd.Decimal
	if _, err := exact.Sub(&d, &m.d, &o.d); err != nil {
		return Money{}, fmt.Errorf("%w (%v)", ErrMoneyRange, err)
	}
	return settle(&d)
}

// MulInt is m × n.
func (m Money) MulInt(n int64) (Money, error) {
	var d apd.Decimal
	if _, err := exact.Mul(&d, &m.d, apd.New(n, 0)); err != nil {
		return Money{}, fmt.Errorf("%w (%v)", ErrMoneyRange, err)
	}
	return settle(&d)
}

// Round rounds to the fen, half up 四舍五入 (half away from zero). It is meant
// for statement lines alone: everything before stays exact.
func (m Money) Round() Money {
	if m.d.Exponent >= -2 {
		return m
	}
	var out Money
	// Neither can fail: digits only go away, and limit is a whole number of fen.
	if _, err := rounding.Quantize(&out.d, &m.d, -2); err != nil {
		panic("fees: rounding an amount in range: " + err.Error())
	}
	if out.d.IsZero() {
		out.d.Negative = false
	}
	return out
}

// MarshalJSON writes the amount as a string.
func (m Money) MarshalJSON() ([]byte, error) { return []byte(`"` + m.String() + `"`), nil }

// UnmarshalJSON reads a string, as ParseMoney does. Numbers and null are refused.
func (m *Money) UnmarshalJSON(b []byte) error {
	text, ok := bytes.CutPrefix(b, []byte(`"`))
	text, closed := bytes.CutSuffix(text, []byte(`"`))
	if !ok || !closed {
		return ErrMoneySyntax
	}
	got, err := ParseMoney(string(text))
	if err != nil {
		return err
	}
	*m = got
	return nil
}
