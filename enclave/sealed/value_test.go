package sealed

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseInteger(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "+7": 7, "42": 42, "-42": -42,
		"5e+05": 500000, "5E5": 500000, "1e+05": 100000, "1.50e2": 150, "12.0": 12, "12.": 12, ".5e1": 5, "0.0": 0, "0e9999999999": 0,
		"100e-2": 1, "1000000000000000000000e-21": 1, "0.000001e6": 1,
		"9007199254740993": 9007199254740993, "9007199254740993e0": 9007199254740993,
		"9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64, "9.223372036854775807e18": math.MaxInt64,
	} {
		if v, ok := Integer.parse([]byte(text)); !ok || v.Int != want {
			t.Errorf("%q: %d, %v, want %d", text, v.Int, ok, want)
		}
	}
	for _, text := range []string{
		"", "-", "+", ".", "e5", "-e5", "1e", "1e+", "1.5", "15e-1", "1e-1", "007", "00", "-01", "01.0", "1 ", " 1", "1_000", "1,000", "0x10", "NaN", "Inf", "1e400",
		"9223372036854775808", "-9223372036854775809", "1e19", "99999999999999999999", "1e9999999999", "١", "1.0.0", "--1", "1e5e5",
	} {
		if v, ok := Integer.parse([]byte(text)); ok {
			t.Errorf("%q was taken for %d", text, v.Int)
		}
	}
}

// An integer is taken exactly if its exact value, by another arithmetic, is one.
func TestParseIntegerAgainstRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.StringMatching(`0|[1-9][0-9]{0,20}`).Draw(t, "whole")
		fraction := rapid.StringMatching(`(\.[0-9]{0,6})?`).Draw(t, "fraction")
		exponent := rapid.StringMatching(`([eE][+-]?[0-9]{1,2})?`).Draw(t, "exponent")
		text := rapid.SampledFrom([]string{"", "-", "+"}).Draw(t, "sign") + whole + fraction + exponent
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Skip()
		}
		v, got := Integer.parse([]byte(text))
		fits := want.IsInt() && want.Num().IsInt64()
		if got != fits || fits && v.Int != want.Num().Int64() {
			t.Fatalf("%q: %d, %v, want %s", text, v.Int, got, want)
		}
	})
}

func TestParseOthers(t *testing.T) {
	for _, tc := range []struct {
		typ        Type
		text, want string // want: as Text gives it; empty: refused
	}{
		{Number, "1", "1"}, {Number, "-0", "0"}, {Number, "1.50", "1.5"}, {Number, "1e3", "1000"}, {Number, ".5", "0.5"}, {Number, "0.1", "0.1"}, {Number, "007", "7"},
		{Number, "1.7976931348623157e308", "1.7976931348623157e+308"}, {Number, "1e309", ""}, {Number, "NaN", ""}, {Number, "inf", ""}, {Number, "0x1p3", ""}, {Number, "1_0", ""}, {Number, "1,5", ""}, {Number, "", ""},
		{Date, "1987-01-01", "1987-01-01"}, {Date, "1970-01-01", "1970-01-01"}, {Date, "1969-12-31", "1969-12-31"}, {Date, "2024-02-29", "2024-02-29"}, {Date, "0001-01-01", "0001-01-01"}, {Date, "9999-12-31", "9999-12-31"},
		{Date, "2023-02-29", ""}, {Date, "0000-01-01", ""}, {Date, "1987-1-1", ""}, {Date, "01/02/1987", ""}, {Date, "1987-01-01 ", ""}, {Date, "1987-01-01T00:00:00Z", ""}, {Date, "", ""},
		{Boolean, "true", "true"}, {Boolean, "False", "false"}, {Boolean, "1", "true"}, {Boolean, "0", "false"}, {Boolean, "yes", ""}, {Boolean, "tRue", ""}, {Boolean, "", ""},
		{String, " a ", " a "},
	} {
		v, ok := tc.typ.parse([]byte(tc.text))
		got := ""
		if ok {
			c := Column{Type: tc.typ, Valid: []bool{true}, Strings: []string{string(v.Text)}, Ints: []int64{v.Int}, Floats: []float64{v.Float}, Bools: []bool{v.Int != 0}}
			got, _ = c.Text(0)
		}
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("%s %q: %q, want %q", tc.typ, tc.text, got, tc.want)
		}
	}
}

// What Text gives, an import takes for the same value.
func TestTextReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "integer")
		if v, ok := Integer.parse(fmt.Append(nil, n)); !ok || v.Int != n {
			t.Fatalf("%d: %v %v", n, v.Int, ok)
		}
		f := rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).Draw(t, "number") + 0
		c := Column{Type: Number, Valid: []bool{true}, Floats: []float64{f}}
		text, _ := c.Text(0)
		if v, ok := Number.parse([]byte(text)); !ok || math.Float64bits(v.Float) != math.Float64bits(f) {
			t.Fatalf("%v as %q: %v %v", f, text, v.Float, ok)
		}
		d := rapid.Int64Range(-719162, 2932896).Draw(t, "date") // years 1 to 9999
		if v, ok := Date.parse([]byte(formatDate(d))); !ok || v.Int != d {
			t.Fatalf("day %d as %q: %v %v", d, formatDate(d), v.Int, ok)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"5e+05", "1987-01-01", "true", "-.0e-0", strings.Repeat("9", maxScalar), "1e-999999"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxScalar {
			return
		}
		for _, typ := range []Type{Integer, Number, Date, Boolean} {
			typ.parse(b)
		}
		if v, ok := Integer.parse(b); ok {
			if w, ok := Number.parse(b); !ok || w.Float != float64(v.Int) {
				t.Errorf("%q is the integer %d and the number %v", b, v.Int, w.Float)
			}
		}
	})
}
