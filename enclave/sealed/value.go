package sealed

import (
	"math"
	"strconv"
	"time"
)

// Value is one value of a row. Which field holds it follows from the column's
// type.
type Value struct {
	Null  bool
	Text  []byte  // String; valid until the source's next row
	Int   int64   // Integer; Date, in days from 1970-01-01; Boolean, 0 or 1
	Float float64 // Number
}

// Rows gives a resource's rows one by one. Next fills a value for each column,
// in the order of the resource's schema, and gives io.EOF after the last row.
type Rows interface {
	Next(row []Value) error
}

// parse reads the text of a value. It gives false if the text is not one of
// the type: expected says what is.
func (t Type) parse(text []byte) (Value, bool) {
	switch t {
	case String:
		return Value{Text: text}, true
	case Integer:
		n, ok := parseInteger(text)
		return Value{Int: n}, ok
	case Number:
		f, ok := parseNumber(text)
		return Value{Float: f}, ok
	case Date:
		n, ok := parseDate(text)
		return Value{Int: n}, ok
	case Boolean:
		switch string(text) {
		case "true", "TRUE", "True", "1":
			return Value{Int: 1}, true
		case "false", "FALSE", "False", "0":
			return Value{}, true
		}
	}
	return Value{}, false
}

func (t Type) expected() string {
	switch t {
	case Integer:
		return "an integer of 64 bits without leading zeros (5e+05 and 12.0 are taken; with leading zeros it is an identifier, and its column a string)"
	case Number:
		return "a decimal number"
	case Date:
		return "a date as 2006-01-02"
	case Boolean:
		return "true or false (or 1 or 0)"
	}
	return "text"
}

// decimal is a decimal number's text apart: sign, digits before and after the
// point, exponent.
type decimal struct {
	negative  bool
	whole     []byte
	fraction  []byte
	exponent  int
	expPlaces int // digits of the exponent, so that a huge one is told from a wrong one
}

// splitDecimal takes apart [+-] digits [. digits] [e [+-] digits], in which
// one digit at least comes before the exponent. It takes no spaces, no
// thousands separators, no hexadecimals, no infinities.
func splitDecimal(b []byte) (d decimal, ok bool) {
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		d.negative, b = b[0] == '-', b[1:]
	}
	d.whole, b = digits(b)
	if len(b) > 0 && b[0] == '.' {
		d.fraction, b = digits(b[1:])
	}
	if len(d.whole)+len(d.fraction) == 0 {
		return d, false
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		b = b[1:]
		negative := false
		if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
			negative, b = b[0] == '-', b[1:]
		}
		var exp []byte
		if exp, b = digits(b); len(exp) == 0 {
			return d, false
		}
		for len(exp) > 1 && exp[0] == '0' {
			exp = exp[1:]
		}
		if d.expPlaces = len(exp); d.expPlaces <= 6 { // far beyond both types
			d.exponent, _ = strconv.Atoi(string(exp))
			if negative {
				d.exponent = -d.exponent
			}
		}
	}
	return d, len(b) == 0
}

func digits(b []byte) (digits, rest []byte) {
	n := 0
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	return b[:n], b[n:]
}

// parseInteger reads a number whose exact value is an integer of 64 bits,
// however it is written: without floating point, so that 9007199254740993
// stays what it is.
func parseInteger(b []byte) (int64, bool) {
	d, ok := splitDecimal(b)
	if !ok || len(d.whole) > 1 && d.whole[0] == '0' {
		return 0, false
	}
	var buf [maxScalar]byte // on the stack: every value comes by here
	all := append(append(buf[:0], d.whole...), d.fraction...)
	for len(all) > 0 && all[0] == '0' {
		all = all[1:]
	}
	point := d.exponent - len(d.fraction) // the value is all × 10^point
	for len(all) > 0 && point < 0 && all[len(all)-1] == '0' {
		all, point = all[:len(all)-1], point+1
	}
	if len(all) == 0 {
		return 0, true
	}
	if d.expPlaces > 6 || point < 0 || len(all)+point > 19 { // 2^63 has 19 digits
		return 0, false
	}
	n := uint64(0) // 19 digits fit 64 bits
	for _, c := range all {
		n = n*10 + uint64(c-'0')
	}
	for range point {
		n *= 10
	}
	switch {
	case d.negative && n <= 1<<63:
		return -int64(n), true
	case !d.negative && n < 1<<63:
		return int64(n), true
	}
	return 0, false
}

// parseNumber reads a decimal number, rounded to the nearest that 64 bits
// hold. What is too large for them is refused.
func parseNumber(b []byte) (float64, bool) {
	if _, ok := splitDecimal(b); !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, false
	}
	return f + 0, true // never -0, which would be a second zero
}

const secondsPerDay = 24 * 60 * 60

func parseDate(b []byte) (int64, bool) {
	if len(b) != len(time.DateOnly) {
		return 0, false
	}
	t, err := time.Parse(time.DateOnly, string(b))
	if err != nil || t.Year() < 1 {
		return 0, false
	}
	return t.Unix() / secondsPerDay, true // exact: midnight UTC, before 1970 too
}

// formatDate is the inverse of parseDate.
func formatDate(days int64) string {
	return time.Unix(days*secondsPerDay, 0).UTC().Format(time.DateOnly)
}
