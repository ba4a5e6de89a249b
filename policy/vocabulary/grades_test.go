package vocabulary_test

import (
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

// The table has every grade, and no grade permits more than a weaker one.
func TestGrades(t *testing.T) {
	rank := func(s string) *big.Rat {
		f, ok := new(big.Rat).SetString(s)
		if !ok {
			return new(big.Rat)
		}
		return f
	}
	var weaker vocabulary.GradeRule
	for i, grade := range vocabulary.Grades {
		rule := vocabulary.RuleFor(grade, "verify")
		if rule.Reason.En == "" || rule.Reason.Zh == "" {
			t.Errorf("%s: no reason in two languages", grade)
		}
		if i > 0 {
			more := rule.Permitted && !weaker.Permitted || rule.MaxLabelBits > weaker.MaxLabelBits || len(rule.Answers) > len(weaker.Answers) || !rule.Consent && weaker.Consent ||
				rank(rule.MaxShare.Day).Cmp(rank(weaker.MaxShare.Day)) > 0 || rank(rule.MaxShare.Month).Cmp(rank(weaker.MaxShare.Month)) > 0 || rank(rule.MaxShare.Term).Cmp(rank(weaker.MaxShare.Term)) > 0
			if more {
				t.Errorf("%s permits more than %s: %+v, %+v", grade, weaker.Grade, rule, weaker)
			}
		}
		if s := rule.MaxShare; rank(s.Day).Cmp(rank(s.Month)) > 0 || rank(s.Month).Cmp(rank(s.Term)) > 0 {
			t.Errorf("%s: a shorter period has the larger share: %+v", grade, s)
		}
		weaker = rule
	}
	if vocabulary.RuleFor(vocabulary.GradeSecret, "verify").Permitted {
		t.Error("secret resources can be registered for a product")
	}
	if rule := vocabulary.RuleFor(vocabulary.GradeOpen, "telepathy"); rule.Permitted || !rule.Consent {
		t.Errorf("a pair that is not in the table: %+v", rule)
	}
	if got := len(vocabulary.GradeRules()); got != 2*len(vocabulary.Grades) {
		t.Errorf("%d rules", got)
	}
}

// No grade permits more of cells than a weaker one.
func TestGradesOfCells(t *testing.T) {
	var weaker vocabulary.GradeRule
	for i, grade := range vocabulary.Grades {
		rule := vocabulary.RuleFor(grade, "aggregate")
		if rule.Reason.En == "" || rule.Reason.Zh == "" || rule.Consent {
			t.Errorf("%s: no reason in two languages, or consent for cells of many: %+v", grade, rule)
		}
		exact := slices.Contains(rule.Regimes, "disclosure")
		if exact != (rule.MinSubjects >= 2) || rule.Permitted != (rule.MaxRho > 0) {
			t.Errorf("%s: a regime without its bound: %+v", grade, rule)
		}
		if i > 0 && (rule.Permitted && !weaker.Permitted || len(rule.Regimes) > len(weaker.Regimes) || len(rule.Answers) > len(weaker.Answers) ||
			exact && rule.MinSubjects < weaker.MinSubjects || rule.MaxRho > weaker.MaxRho || rule.Extremes && !weaker.Extremes) {
			t.Errorf("%s permits more than %s: %+v, %+v", grade, weaker.Grade, rule, weaker)
		}
		if rule.Extremes != (grade == vocabulary.GradeOpen) {
			t.Errorf("%s: an extreme is one subject's value", grade)
		}
		weaker = rule
	}
}

// A resource graded anew stops products that are then too weak.
func TestGradeForbids(t *testing.T) {
	c := inForce(t)
	product, _ := c.Product("licence-sector")
	if why, hit := c.GradeForbids(product.Doc); hit {
		t.Errorf("forbidden: %s", why)
	}
	held, _ := c.Resource("licences")
	for grade, want := range map[vocabulary.Grade]string{
		vocabulary.GradeOpen: "", vocabulary.GradeGeneral: "", vocabulary.GradeImportant: "release.maxLabelBits",
		vocabulary.GradeCore: "verify.answer", vocabulary.GradeSecret: "resource",
	} {
		regraded := *held.Doc
		regraded.Grade, regraded.PersonalInformation = grade, true
		next := c.Clone()
		next.Put(&regraded, 50, time.Time{}, "")
		if why, hit := next.GradeForbids(product.Doc); hit != (want != "") || !strings.HasPrefix(why, want) {
			t.Errorf("%s: %v, %s", grade, hit, why)
		}
		if got, want := next.NeedsConsent(product.Doc), grade != vocabulary.GradeOpen; got != want {
			t.Errorf("%s: consent %v", grade, got)
		}
	}
	if c.NeedsConsent(product.Doc) {
		t.Error("consent for no personal information")
	}
	gone := *product.Doc
	gone.Resource = "none"
	if _, hit := c.GradeForbids(&gone); !hit {
		t.Error("a product over nothing is permitted")
	}
}

func TestShareOf(t *testing.T) {
	for _, test := range []struct {
		fraction   string
		population int64
		want       int64
	}{
		{"0.1", 1000, 100}, {"0.1", 1009, 100}, {"0.1", 9, 1}, {"1", 7, 7}, {"1.0", 7, 7},
		{"0.000000001", 999_999_999, 1}, {"0.000000001", 2_000_000_000, 2}, {"0.333333333", 1 << 53, 3002399748577930},
		{"0.5", 0, 0}, {"0.5", -1, 0}, {"half", 10, 0},
	} {
		if got := (vocabulary.Share{Fraction: test.fraction}).Of(test.population); got != test.want {
			t.Errorf("%s of %d: got %d, want %d", test.fraction, test.population, got, test.want)
		}
	}
}

// Never more than the fraction, but one.
func TestShareOfAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 1<<53-1).Draw(t, "population")
		f := rapid.StringMatching(`0\.[0-9]{0,8}[1-9]`).Draw(t, "fraction")
		got := (vocabulary.Share{Fraction: f}).Of(n)
		exact, _ := new(big.Rat).SetString(f)
		if share := exact.Mul(exact, new(big.Rat).SetInt64(n)); got < 1 || got > 1 && new(big.Rat).SetInt64(got).Cmp(share) > 0 {
			t.Fatalf("%s of %d: %d", f, n, got)
		}
	})
}
