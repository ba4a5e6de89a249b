package vocabulary

import (
	_ "embed"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
)

//go:embed grades.yaml
var gradesFile []byte

// GradeRule is the weakest release rule that a grade permits a product type.
// The table is grades.yaml.
type GradeRule struct {
	Grade        Grade       `json:"grade" is:"grade"`
	Type         string      `json:"type" is:"product-type"`
	Permitted    bool        `json:"permitted"`
	Answers      []string    `json:"answers" is:"exists|equals|label|cells|weights" n:"0..3"`
	MaxLabelBits int         `json:"maxLabelBits,omitempty" is:"1..512"`
	MaxShare     GradeShares `json:"maxShare,omitzero"`
	Regimes      []string    `json:"regimes,omitempty" is:"disclosure|privacy" n:"1..2"` // aggregate
	MinSubjects  int64       `json:"minSubjects,omitempty" is:"2..1000000"`              // aggregate: the least cohort under disclosure
	MaxRho       int64       `json:"maxRho,omitempty" is:"1..100000000"`                 // aggregate: what one publication may spend
	Extremes     bool        `json:"extremes,omitempty"`                                 // aggregate: min and max
	Consent      bool        `json:"consent"`                                            // for personal information
	Reason       Text        `json:"reason"`
}

// GradeShares are the largest shares of the population by period.
type GradeShares struct {
	Day   string `json:"day" is:"fraction"`
	Month string `json:"month" is:"fraction"`
	Term  string `json:"term" is:"fraction"`
}

func (s GradeShares) of(period string) string {
	switch period {
	case "day":
		return s.Day
	case "month":
		return s.Month
	}
	return s.Term
}

var gradeTable = sync.OnceValue(func() []GradeRule {
	rules, err := readGrades(gradesFile)
	if err != nil {
		panic("vocabulary: the embedded grades.yaml: " + err.Error()) // TestGrades reads the same bytes
	}
	return rules
})

func readGrades(b []byte) ([]GradeRule, error) {
	var table struct {
		Rules []GradeRule `json:"rules" n:"1..64"`
	}
	d := decoder{marks: map[string]Position{}}
	trees := parseYAML("grades.yaml", b, &d.report)
	for _, root := range trees {
		d.structure(root, "", reflect.ValueOf(&table).Elem())
	}
	if faults := d.done(); faults != nil {
		return nil, faults
	}
	return table.Rules, nil
}

// GradeRules returns the whole table, for people to read.
func GradeRules() []GradeRule { return slices.Clone(gradeTable()) }

// RuleFor returns the rule of a grade and product type. A pair that the table
// does not have is not permitted.
func RuleFor(grade Grade, productType string) GradeRule {
	for _, rule := range gradeTable() {
		if rule.Grade == grade && rule.Type == productType {
			return rule
		}
	}
	return GradeRule{Grade: grade, Type: productType, Consent: true, Reason: Text{En: "The table of grades has no such pair."}}
}

// breach is where a product is weaker than its grade's rule permits.
type breach struct{ path, got, expected string }

func (r GradeRule) breaches(p *Product) []breach {
	if !r.Permitted {
		return []breach{{"resource", fmt.Sprintf("a resource of grade %s", r.Grade), "a grade of which " + p.Type + " products are permitted"}}
	}
	if p.Aggregate != nil {
		return r.cellBreaches(p.Aggregate)
	}
	if p.Verify == nil {
		return nil // the document's own fault
	}
	var found []breach
	if !slices.Contains(r.Answers, p.Verify.Answer) {
		found = append(found, breach{"verify.answer", p.Verify.Answer, fmt.Sprintf("%s at grade %s", strings.Join(r.Answers, " or "), r.Grade)})
	}
	if bits := p.Release.MaxLabelBits; bits > 0 && bits > r.MaxLabelBits && slices.Contains(r.Answers, p.Verify.Answer) {
		found = append(found, breach{"release.maxLabelBits", fmt.Sprint(bits), fmt.Sprintf("at most %d at grade %s", r.MaxLabelBits, r.Grade)})
	}
	share, most := p.Release.MaxShare, r.MaxShare.of(p.Release.MaxShare.Per)
	if got, limit := fraction(share.Fraction), fraction(most); got == nil || limit == nil || got.Cmp(limit) > 0 {
		found = append(found, breach{"release.maxShare.fraction", share.Fraction, fmt.Sprintf("at most %s per %s at grade %s", most, share.Per, r.Grade)})
	}
	return found
}

// cellBreaches is where an aggregate product is weaker.
func (r GradeRule) cellBreaches(a *Aggregate) []breach {
	var found []breach
	at := func(path, got, expected string) {
		found = append(found, breach{path, got, fmt.Sprintf("%s at grade %s", expected, r.Grade)})
	}
	for i, answer := range a.Answers {
		if !slices.Contains(r.Answers, answer) {
			at(index("aggregate.answers", i), answer, strings.Join(r.Answers, " or "))
		}
	}
	if !slices.Contains(r.Regimes, a.Regime()) {
		at("aggregate."+a.Regime(), a.Regime(), strings.Join(r.Regimes, " or "))
		return found
	}
	if rules := a.Disclosure; rules != nil && rules.MinSubjects < r.MinSubjects {
		at("aggregate.disclosure.minSubjects", fmt.Sprint(rules.MinSubjects), fmt.Sprintf("at least %d", r.MinSubjects))
	}
	if p := a.Privacy; p != nil && p.Rho > r.MaxRho {
		at("aggregate.privacy.rho", fmt.Sprint(p.Rho), fmt.Sprintf("at most %d", r.MaxRho))
	}
	for i, m := range a.Measures {
		if (m.Is == "min" || m.Is == "max") && !r.Extremes {
			at(index("aggregate.measures", i)+".is", m.Is, "no min and max")
		}
	}
	return found
}

// fraction reads a fraction of a document, or gives nil.
func fraction(s string) *big.Rat {
	f, _ := decimal(s, fractionPattern)
	return f
}

// Of is how many of a population the share lets one enterprise look up in a
// period: rounded down, but at least one, so that a product over few subjects
// can be used at all.
func (s Share) Of(population int64) int64 {
	f := fraction(s.Fraction)
	if f == nil || population <= 0 {
		return 0
	}
	n := new(big.Int).Mul(f.Num(), big.NewInt(population))
	return max(n.Quo(n, f.Denom()).Int64(), 1)
}
