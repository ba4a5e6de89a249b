package fees

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func yuan(t testing.TB, s string) Money {
	t.Helper()
	m, err := ParseMoney(s)
	if err != nil {
		t.Fatalf("ParseMoney(%q): %v", s, err)
	}
	return m
}

func TestParseMoney(t *testing.T) {
	tests := []struct{ in, want string }{
		{"15.37", "15.37"},
		{"0.1537", "0.1537"},
		{"0.125", "0.125"},
		{"-0.12", "-0.12"},
		{"3000", "3000.00"},
		{"3000.0", "3000.00"},
		{"0.1600", "0.16"},
		{"0.10", "0.10"},
		{"0.1", "0.10"},
		{"0", "0.00"},
		{"0.000", "0.00"},
		{"100", "100.00"},
		{"1.000000000001", "1.000000000001"},
		{"999999999999999.99", "999999999999999.99"},
		{"-999999999999999.99", "-999999999999999.99"},
		{"999999999999999.989999999999", "999999999999999.989999999999"},
	}
	for _, test := range tests {
		got, err := ParseMoney(test.in)
		if err != nil || got.String() != test.want {
			t.Errorf("ParseMoney(%q) = %s (%v), want %s", test.in, got, err, test.want)
		}
	}
}

func TestParseMoneyRefuses(t *testing.T) {
	for _, s := range []string{
		"", "-", ".", ".5", "5.", "-.5", "+1", "--1", "1-", "01", "00", "-01", "-0", "-0.00",
		"1e3", "1E3", "1.5e-3", "1,000", "1_000", " 1", "1 ", "1\n", "0x10", "1/2", "1.2.3",
		"NaN", "Inf", "Infinity", "-Inf", "sNaN", "１", "٣", "¥1", "1元", "1\x00",
		"0.0000000000001",     // a thirteenth decimal
		"1234567890123456",    // a sixteenth digit
		"1.0000000000000",     // too many decimals, zeros too
		"0000000000000000.01", // too many digits, zeros too
		strings.Repeat("9", 1<<16),
	} {
		if m, err := ParseMoney(s); !errors.Is(err, ErrMoneySyntax) {
			t.Errorf("ParseMoney(%.40q) = %s (%v), want ErrMoneySyntax", s, m, err)
		}
	}
	for _, s := range []string{"999999999999999.991", "-999999999999999.991"} {
		if m, err := ParseMoney(s); !errors.Is(err, ErrMoneyRange) {
			t.Errorf("ParseMoney(%q) = %s (%v), want ErrMoneyRange", s, m, err)
		}
	}
}

// fees.md: half up 四舍五入, which is half away from zero: a correction of a
// whole line has to cancel it.
func TestRound(t *testing.T) {
	tests := []struct{ in, want string }{
		{"0.125", "0.13"},
		{"0.375", "0.38"},
		{"0.625", "0.63"},
		{"-0.125", "-0.13"},
		{"-0.124999999999", "-0.12"},
		{"0.124999999999", "0.12"},
		{"0.005", "0.01"},
		{"-0.005", "-0.01"},
		{"0.004999999999", "0.00"},
		{"-0.004999999999", "0.00"}, // no -0.00
		{"2.675", "2.68"},           // a double would give 2.67
		{"1.005", "1.01"},           // a double would give 1.00
		{"15.37", "15.37"},
		{"9.999", "10.00"},
		{"999999999999999.989999999999", "999999999999999.99"},
		{"0", "0.00"},
	}
	for _, test := range tests {
		got := yuan(t, test.in).Round()
		if got.String() != test.want {
			t.Errorf("%s rounds to %s, want %s", test.in, got, test.want)
		}
		if again := got.Round(); !again.Equal(got) {
			t.Errorf("%s rounded twice: %s", test.in, again)
		}
	}
}

func TestMoneyOutOfRange(t *testing.T) {
	most := yuan(t, "999999999999999.99")
	least := yuan(t, "-999999999999999.99")
	fen := yuan(t, "0.01")
	for name, op := range map[string]func() (Money, error){
		"most + 0.01":             func() (Money, error) { return most.Add(fen) },
		"least - 0.01":            func() (Money, error) { return least.Sub(fen) },
		"most - least":            func() (Money, error) { return most.Sub(least) },
		"most × 2":                func() (Money, error) { return most.MulInt(2) },
		"most × largest int64":    func() (Money, error) { return most.MulInt(1<<63 - 1) },
		"0.01 × largest int64":    func() (Money, error) { return fen.MulInt(1<<63 - 1) },
		"0.01 × smallest int64":   func() (Money, error) { return fen.MulInt(-1 << 63) },
		"most + 0.000000000001":   func() (Money, error) { return most.Add(yuan(t, "0.000000000001")) },
		"-(least) times negative": func() (Money, error) { return least.MulInt(-2) },
	} {
		if m, err := op(); !errors.Is(err, ErrMoneyRange) {
			t.Errorf("%s = %s (%v), want ErrMoneyRange", name, m, err)
		}
	}
	if m, err := most.MulInt(-1); err != nil || !m.Equal(least) {
		t.Errorf("most × -1 = %s (%v), want %s", m, err, least)
	}
	if m, err := fen.MulInt(0); err != nil || m.String() != "0.00" {
		t.Errorf("0.01 × 0 = %s (%v), want 0.00", m, err)
	}
}

func TestMoneyJSON(t *testing.T) {
	b, err := json.Marshal(struct {
		A Money
		B *Money
	}{A: yuan(t, "0.1537")})
	if want := `{"A":"0.1537","B":null}`; err != nil || string(b) != want {
		t.Errorf("marshalled %s (%v), want %s", b, err, want)
	}
	var m Money
	if err := json.Unmarshal([]byte(`"-0.12"`), &m); err != nil || m.String() != "-0.12" {
		t.Errorf("unmarshalled %s (%v)", m, err)
	}
	for _, s := range []string{`15.37`, `null`, `""`, `"1e3"`, `{}`, `"1`, `true`} {
		if err := json.Unmarshal([]byte(s), &m); err == nil {
			t.Errorf("%s is taken for an amount", s)
		}
	}
}

func TestZeroMoney(t *testing.T) {
	var zero Money
	if zero.String() != "0.00" || zero.Sign() != 0 || !zero.Equal(yuan(t, "0")) || zero.Round().String() != "0.00" {
		t.Error("the zero value is not 0.00")
	}
	if m, err := zero.Add(yuan(t, "0.125")); err != nil || m.String() != "0.125" {
		t.Errorf("0.00 + 0.125 = %s (%v)", m, err)
	}
}

// drawMoney draws an amount of up to 10^12 yuan, with up to 12 decimals.
func drawMoney(t *rapid.T, label string) Money {
	s := rapid.StringMatching(`-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?`).Draw(t, label)
	m, err := ParseMoney(s)
	if err != nil {
		m, err = ParseMoney(strings.TrimPrefix(s, "-")) // it was -0
	}
	if err != nil {
		t.Fatalf("ParseMoney(%q): %v", s, err)
	}
	return m
}

// rat is the independent oracle: exact rationals of the standard library.
func rat(t *rapid.T, m Money) *big.Rat {
	r, ok := new(big.Rat).SetString(m.String())
	if !ok {
		t.Fatalf("%s is no number", m)
	}
	return r
}

func TestMoneyIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawMoney(t, "a"), drawMoney(t, "b")
		n := rapid.Int64Range(-999, 999).Draw(t, "n")
		check := func(what string, got Money, err error, want *big.Rat) {
			if err != nil || rat(t, got).Cmp(want) != 0 {
				t.Fatalf("%s = %s (%v), want %s", what, got, err, want.FloatString(12))
			}
			if back, err := ParseMoney(got.String()); err != nil || !back.Equal(got) || back.String() != got.String() {
				t.Fatalf("%s = %s, which reads back as %s (%v)", what, got, back, err)
			}
		}
		sum, err := a.Add(b)
		check("a + b", sum, err, new(big.Rat).Add(rat(t, a), rat(t, b)))
		difference, err := a.Sub(b)
		check("a - b", difference, err, new(big.Rat).Sub(rat(t, a), rat(t, b)))
		product, err := a.MulInt(n)
		check("a × n", product, err, new(big.Rat).Mul(rat(t, a), new(big.Rat).SetInt64(n)))
		if got, want := a.Cmp(b), rat(t, a).Cmp(rat(t, b)); got != want {
			t.Fatalf("Cmp(%s, %s) = %d, want %d", a, b, got, want)
		}
	})
}

// A rounded amount is whole fen, off by half a fen at most, never on the wrong
// side of zero; and half a fen goes away from zero.
func TestRoundingBounds(t *testing.T) {
	half := big.NewRat(5, 1000)
	rapid.Check(t, func(t *rapid.T) {
		m := drawMoney(t, "m")
		r := m.Round()
		off := new(big.Rat).Sub(rat(t, r), rat(t, m))
		size := new(big.Rat).Abs(off)
		if c := size.Cmp(half); c > 0 || c == 0 && off.Sign() != m.Sign() {
			t.Fatalf("%s rounds to %s", m, r)
		}
		if fen := new(big.Rat).Mul(rat(t, r), big.NewRat(100, 1)); !fen.IsInt() {
			t.Fatalf("%s rounds to %s, which is not whole fen", m, r)
		}
		if minus, err := m.MulInt(-1); err != nil || minus.Round().String() != negated(r) {
			t.Fatalf("%s rounds to %s, but its negative to %s", m, r, minus.Round())
		}
	})
}

func negated(m Money) string {
	n, err := m.MulInt(-1)
	if err != nil {
		return err.Error()
	}
	return n.String()
}

func FuzzParseMoney(f *testing.F) {
	for _, s := range []string{"15.37", "-0.12", "0", "0.1537", "1e3", "999999999999999.99", "-0", "00", "١"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMoney(s)
		if err != nil {
			if !errors.Is(err, ErrMoneySyntax) && !errors.Is(err, ErrMoneyRange) {
				t.Fatalf("ParseMoney(%q): %v", s, err)
			}
			return
		}
		want, ok := new(big.Rat).SetString(s)
		got, ok2 := new(big.Rat).SetString(m.String())
		if !ok || !ok2 || want.Cmp(got) != 0 {
			t.Fatalf("ParseMoney(%q) = %s", s, m)
		}
		if back, err := ParseMoney(m.String()); err != nil || back.String() != m.String() {
			t.Fatalf("%s reads back as %s (%v)", m, back, err)
		}
		m.Round()
	})
}
