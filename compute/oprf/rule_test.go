package oprf

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"
	"pgregory.net/rapid"
)

func TestNormalise(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "A1234", "A1234"},
		{"lower case", "11010519491231002x", "11010519491231002X"},
		{"full-width digits and letters", "１１０１０５１９４９１２３１００２ｘ", "11010519491231002X"},
		{"full-width punctuation", "（沪）－１", "(沪)-1"},
		{"ideographic space", "\u3000张　三\u3000", "张 三"},
		{"inner spaces", "  ACME \t\r\n Ltd. ", "ACME LTD."},
		{"no-break space", "a\u00a0b", "A B"},
		{"byte-order mark", "\ufeff张三", "张三"},
		{"zero-width space", "张\u200b三", "张三"},
		{"ideographic variation sequence", "葛\U000e0100飾", "葛飾"},
		{"compatibility ideograph", "\uf9d1", "六"},
		{"circled and parenthesised", "①㈱", "1(株)"},
		{"half-width kana", "ｶﾞ", "ガ"},
		{"combining sequence", "e\u0301", "É"},
		{"ligature", "ﬁ", "FI"},
		{"rare name, extension B", "\U00020bb7", "\U00020bb7"},
		{"rare name, extension I, not in 15.0", "\U0002ebf0", "\U0002ebf0"},
		{"replacement character written as such", "\ufffd", "\ufffd"},
		{"leading zeros stay", "007", "007"},
		{"decimals stay", "1.0", "1.0"},
		{"what a spreadsheet broke stays broken", "4.40e+17", "4.40E+17"},
		{"signs stay", "+86 10", "+86 10"},
		{"simple upper case only", "straße", "STRAßE"},
		{"dots are not equated", "买买提·吐尔逊", "买买提·吐尔逊"},
		{"no upper case added after 15.0", "\u0264\u019b", "\u0264\u019b"},
		{"blank", " \u3000\u200b\t", ""},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Normalise(RuleText, c.in)
			if err != nil || got != c.want {
				t.Fatalf("Normalise(%q) = %q, %v; want %q", c.in, got, err, c.want)
			}
		})
	}
}

func TestNormaliseRefuses(t *testing.T) {
	for _, c := range []struct {
		name, rule, in string
		want           error
	}{
		{"unknown rule", "text-v2", "a", ErrRule},
		{"no rule", "", "a", ErrRule},
		{"not UTF-8", RuleText, "a\xff", ErrText},
		{"cut UTF-8", RuleText, "张"[:2], ErrText},
		{"surrogate", RuleText, "\xed\xa0\x80", ErrText},
		{"NUL", RuleText, "a\x00", ErrText},
		{"escape", RuleText, "\x1b[31m", ErrText},
		{"C1 control", RuleText, "\u0081", ErrText},
		{"noncharacter", RuleText, "\ufffe", ErrText},
		{"assigned later than 15.0", RuleText, "\U00010d40", ErrText},
		{"31 combining marks", RuleText, "a" + strings.Repeat("\u0316", 31), ErrText},
		{"too long", RuleText, strings.Repeat("a", MaxField+1), ErrTooLong},
		{"too long once normalised", RuleText, strings.Repeat("\ufdfa", MaxField/6), ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Normalise(c.rule, c.in)
			if !errors.Is(err, c.want) || got != "" {
				t.Fatalf("Normalise = %q, %v; want %v", got, err, c.want)
			}
			if c.in != "" && c.in != "a" && strings.Contains(err.Error(), c.in) {
				t.Fatal("the error carries the value")
			}
		})
	}
}

func TestRuleInfo(t *testing.T) {
	if v, err := RuleInfo(RuleText); v != "15.0.0" || err != nil {
		t.Fatalf("RuleInfo(%q) = %q, %v", RuleText, v, err)
	}
	if _, err := RuleInfo("text-v0"); !errors.Is(err, ErrRule) {
		t.Fatalf("an unknown rule gives %v, want ErrRule", err)
	}
	if assigned == nil {
		t.Fatal("x/text no longer knows which code points Unicode 15.0.0 assigns")
	}
	if norm.Version < unicodeText || unicode.Version < unicodeText {
		t.Fatalf("tables %s and %s are older than the rule's %s", norm.Version, unicode.Version, unicodeText)
	}
}

// "A newer toolchain does not change the result": one hash over the normalised
// form of every code point, alone and between letters, and of every code point
// that is refused.
func TestRuleTextIsPinned(t *testing.T) {
	const want = "5953b17f6ff48740a835657b9a0ed8cc1c00e9952ba4bbc2be409f90b6924d5c"
	h := sha256.New()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		if !known(r) {
			io.WriteString(h, "refused\nrefused\n")
			continue
		}
		for _, in := range []string{string(r), "x" + string(r) + "\u0301y"} {
			out, err := Normalise(RuleText, in)
			if err != nil {
				out = "refused"
			} else if again, err := Normalise(RuleText, out); err != nil || again != out {
				t.Fatalf("U+%04X: normalising %+q again gives %+q, %v", r, out, again, err)
			}
			io.WriteString(h, out+"\n")
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Fatalf("the rule changed: digest %s, want %s.\nKeys encoded by an older build no longer match: "+
			"find the cause, or give the new behaviour a rule name of its own.", got, want)
	}
}

// The written-out properties agree with Go's tables where the rule's version
// assigns the code point.
func TestRuleTables(t *testing.T) {
	own := rangetable.Merge(unicode.Other_Default_Ignorable_Code_Point, unicode.Cf, unicode.Variation_Selector)
	notIgnored := rangetable.Merge(unicode.Prepended_Concatenation_Mark,
		rangetable.New('\ufff9', '\ufffa', '\ufffb'))
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.Is(assigned, r) {
			continue
		}
		egyptian := r >= 0x13430 && r <= 0x1345f // format controls, visible by design (UAX #44)
		want := unicode.Is(own, r) && !unicode.Is(notIgnored, r) && !egyptian
		if got := unicode.Is(ignorable, r); got != want {
			t.Errorf("U+%04X ignorable: %v, want %v", r, got, want)
		}
		if got, want := unicode.Is(spaces, r), unicode.Is(unicode.White_Space, r); got != want {
			t.Errorf("U+%04X space: %v, want %v", r, got, want)
		}
		if unicode.Is(ideographs, r) && (norm.NFKD.PropertiesString(string(r)).Decomposition() != nil || upper(r) != r) {
			t.Errorf("U+%04X is let through as an ideograph, yet has a decomposition or case", r)
		}
	}
}

// anyText draws text in which the interesting classes are frequent.
func anyText() *rapid.Generator[string] {
	pick := rapid.OneOf(
		rapid.RuneFrom(nil, unicode.Han, unicode.Latin, unicode.Greek, unicode.Mn, unicode.Nd, unicode.White_Space),
		rapid.RuneFrom([]rune("０Ａａ\u3000\ufeff\u200b\u0345\u0301\u0323ſßǰΐ①ﬁ\u1100\u1161\u11a8")),
		rapid.Rune(),
	)
	return rapid.StringOfN(pick, 0, 40, MaxField)
}

func TestNormaliseIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyText().Draw(t, "text")
		once, err := Normalise(RuleText, in)
		if err != nil {
			t.Skip("refused")
		}
		twice, err := Normalise(RuleText, once)
		if err != nil || twice != once {
			t.Fatalf("%+q → %+q → %+q, %v", in, once, twice, err)
		}
		if once != strings.TrimSpace(once) || strings.Contains(once, "  ") || !norm.NFKC.IsNormalString(once) {
			t.Fatalf("%+q is not trimmed, collapsed and NFKC", once)
		}
	})
}

func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"", "张　三", "11010519491231002x", "\xff", "a\u0345\u0301", "\ufdfa", "ǰ\u0323", "\u1e9e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := Normalise(RuleText, s)
		if err != nil {
			return
		}
		if twice, err := Normalise(RuleText, once); err != nil || twice != once {
			t.Fatalf("%+q → %+q → %+q, %v", s, once, twice, err)
		}
	})
}
