package vocabulary_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

// publishedCodes are codes that companies print on their own sites and in the
// national enterprise credit information publicity system.
var publishedCodes = []string{
	"91110000802100433B", // 北京百度网讯科技有限公司
	"9144030071526726XG", // 腾讯科技（深圳）有限公司
	"914403001922038216", // 华为技术有限公司
	"91440300708461136T", // 深圳市腾讯计算机系统有限公司
	"91330100799655058B", // 阿里巴巴（中国）有限公司
	"91330100716105852F", // 阿里巴巴（中国）网络技术有限公司
	"91110108551385082Q", // 小米科技有限责任公司
	"91100000100003962T", // 中国工商银行股份有限公司
	"91110000100011743X", // 国家电网有限公司
	"911100001000044477", // 中国建设银行股份有限公司
	"91440300192185379H", // 万科企业股份有限公司
}

const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

func TestCheckCreditCode(t *testing.T) {
	for _, code := range publishedCodes {
		if err := vocabulary.CheckCreditCode(code); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
	for name, code := range map[string]string{
		"empty": "", "short": "91110000802100433", "long": "91110000802100433BB",
		"lower case": "91110000802100433b", "letter I": "9111000080210043IB",
		"not ASCII": "91110000802100433Ｂ", "no UTF-8": "91110000802100433\xff",
		"space": "91110000802100433 ", "letter in the division": "911A0000802100433B",
		"check character": "91110000802100433A",
	} {
		if err := vocabulary.CheckCreditCode(code); !errors.Is(err, vocabulary.ErrCreditCode) {
			t.Errorf("%s: %q: got %v", name, code, err)
		}
	}
}

// "The check character catches every single mistyped character": all of them,
// of every published code.
func TestCreditCodeSubstitutions(t *testing.T) {
	for _, code := range publishedCodes {
		for i := range code {
			for _, other := range alphabet {
				if typed := code[:i] + string(other) + code[i+1:]; typed != code && vocabulary.CheckCreditCode(typed) == nil {
					t.Errorf("%s for %s passes", typed, code)
				}
			}
		}
	}
}

// And every swap of two neighbours, as their weights differ.
func TestCreditCodeSwaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := creditCodes().Draw(t, "code")
		i := rapid.IntRange(0, 15).Draw(t, "i") // the check character has a weight of its own
		typed := code[:i] + code[i+1:i+2] + code[i:i+1] + code[i+2:]
		if typed != code && vocabulary.CheckCreditCode(typed) == nil {
			t.Fatalf("%s for %s passes", typed, code)
		}
	})
}

// creditCodes are valid codes, their check character computed from the
// standard's text and not from the code under test.
func creditCodes() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		body := rapid.StringMatching(`[0-9A-HJ-NP-RTUWXY]{2}[0-9]{6}[0-9A-HJ-NP-RTUWXY]{9}`).Draw(t, "body")
		weights := []int{1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28} // GB 32100-2015, table 2
		sum := 0
		for i, c := range body {
			sum += strings.IndexRune(alphabet, c) * weights[i]
		}
		return body + string(alphabet[(31-sum%31)%31])
	})
}

func TestCreditCodeAgainstTheStandard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if code := creditCodes().Draw(t, "code"); vocabulary.CheckCreditCode(code) != nil {
			t.Fatalf("%s is refused", code)
		}
	})
}

func FuzzCheckCreditCode(f *testing.F) {
	for _, code := range publishedCodes {
		f.Add(code)
	}
	f.Add("91110000802100433\xff")
	f.Fuzz(func(t *testing.T, s string) {
		switch err := vocabulary.CheckCreditCode(s); {
		case err != nil && !errors.Is(err, vocabulary.ErrCreditCode):
			t.Fatalf("%q: %v", s, err)
		case err == nil && (len(s) != 18 || strings.Trim(s, alphabet) != ""):
			t.Fatalf("%q passes", s)
		}
	})
}
