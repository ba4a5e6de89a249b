package oprf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEncode(t *testing.T) {
	got, err := Encode(RuleText, "licence/label", " ｚｊ-1 ", "张三")
	if err != nil {
		t.Fatal(err)
	}
	const want = "0007" + "746578742d7631" + // text-v1
		"000d" + "6c6963656e63652f6c6162656c" + // licence/label
		"0002" +
		"0004" + "5a4a2d31" + // ZJ-1
		"0006" + "e5bca0e4b889" // 张三
	if hex.EncodeToString(got) != want {
		t.Fatalf("Encode = %x, want %s", got, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	long := strings.Repeat("a", MaxField)
	for _, c := range []struct {
		name, rule, domain string
		fields             []string
		want               error
		place              string
	}{
		{"rule", "text-v9", "p/a", []string{"x"}, ErrRule, "text-v1"},
		{"no domain", RuleText, "", []string{"x"}, ErrDomain, "0 bytes"},
		{"domain with space", RuleText, "p a", []string{"x"}, ErrDomain, "byte 1"},
		{"domain beyond ASCII", RuleText, "产品", []string{"x"}, ErrDomain, "byte 0"},
		{"long domain", RuleText, long, []string{"x"}, ErrDomain, "1024 bytes"},
		{"no field", RuleText, "p/a", nil, ErrFields, "0"},
		{"too many fields", RuleText, "p/a", slices.Repeat([]string{"x"}, MaxFields+1), ErrFields, "17"},
		{"blank", RuleText, "p/a", []string{"x", "\u3000"}, ErrBlank, "field 2"},
		{"empty", RuleText, "p/a", []string{""}, ErrBlank, "field 1"},
		{"text", RuleText, "p/a", []string{"x", "y", "\x00"}, ErrText, "field 3"},
		{"long in all", RuleText, "p/a", []string{long, long, long, long}, ErrTooLong, "4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Encode(c.rule, c.domain, c.fields...)
			if !errors.Is(err, c.want) || got != nil {
				t.Fatalf("Encode = %x, %v; want %v", got, err, c.want)
			}
			if !strings.Contains(err.Error(), c.place) {
				t.Fatalf("%q does not name the place %q", err, c.place)
			}
		})
	}
}

// decode undoes Encode: that it can is the proof of injectivity.
func decode(b []byte) (rule, domain string, fields []string, err error) {
	next := func() string {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			err = errors.New("cut")
			return ""
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		s := string(b[2:n])
		b = b[n:]
		return s
	}
	rule, domain = next(), next()
	if err != nil || len(b) < 2 {
		return "", "", nil, errors.New("cut")
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	for range n {
		fields = append(fields, next())
	}
	if err == nil && len(b) != 0 {
		err = fmt.Errorf("%d bytes left over", len(b))
	}
	return rule, domain, fields, err
}

func TestEncodeIsInjective(t *testing.T) {
	lists := rapid.SliceOfN(anyText(), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		in := lists.Draw(t, "fields")
		enc, err := Encode(RuleText, "p/a", in...)
		if err != nil {
			t.Skip("refused")
		}
		rule, domain, fields, err := decode(enc)
		if err != nil || rule != RuleText || domain != "p/a" || len(fields) != len(in) {
			t.Fatalf("decoded %q %q %q, %v", rule, domain, fields, err)
		}
		for i := range in {
			if want, _ := Normalise(RuleText, in[i]); fields[i] != want {
				t.Fatalf("field %d is %+q, want %+q", i+1, fields[i], want)
			}
		}
		// What is normalised already encodes to the same bytes.
		if again, err := Encode(RuleText, "p/a", fields...); err != nil || !bytes.Equal(again, enc) {
			t.Fatalf("normalised fields encode to %x, %v", again, err)
		}
	})
}

func TestEncodeSeparates(t *testing.T) {
	seen := map[string]string{}
	for _, c := range [][]string{
		{"p/a", "AB"}, {"p/a", "A", "B"}, {"p/a", "B", "A"}, {"p/b", "AB"}, {"p/aA", "B"},
		{"p/a", "A B"}, {"p/a", "A\x00B"[:1], "B", "C"}, {"p/a", "007"}, {"p/a", "7"}, {"p/a", "1.0"}, {"p/a", "1"},
	} {
		enc, err := Encode(RuleText, c[0], c[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[string(enc)]; ok {
			t.Fatalf("%q and %s share an encoding", c, other)
		}
		seen[string(enc)] = fmt.Sprintf("%q", c)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("text-v1", "p/a", "张三", "11010519491231002x")
	f.Add("text-v1", "p/a", "", "\xff")
	f.Add("", "", "\u0345", "ß")
	f.Fuzz(func(t *testing.T, rule, domain, a, b string) {
		enc, err := Encode(rule, domain, a, b)
		if err != nil {
			return
		}
		if len(enc) > MaxEncoded {
			t.Fatalf("%d bytes", len(enc))
		}
		r, d, fields, err := decode(enc)
		if err != nil || r != rule || d != domain || len(fields) != 2 {
			t.Fatalf("decoded %q %q %q, %v", r, d, fields, err)
		}
	})
}
