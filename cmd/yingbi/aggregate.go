package main

import (
	"fmt"
	"strings"

	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

// printAggregate shows a reviewer what an aggregate product would release: whom
// and what it counts, into which cells, and what keeps subjects from being seen
// in them.
func (e *env) printAggregate(a *vocabulary.Aggregate) {
	for _, d := range a.Dimensions {
		e.say(e.T("aggregate.dimension", d.Name, e.codes(d), e.Word(a.OnBlank(d)), e.Word(a.OnOther(d))))
		for _, l := range d.Levels {
			e.say(e.T("aggregate.level", l.Name, l.Prefix, d.Name))
		}
	}
	for _, m := range a.Margins {
		e.say(e.T("aggregate.margin", e.grouping(m.By)))
	}
	for _, c := range a.Filter {
		e.say(e.T("aggregate.filter", c.Column, e.Word(c.Op), strings.Join(c.Values, ", ")))
	}
	for _, m := range a.Measures {
		e.say(e.T("aggregate.measure", m.Name, e.figureOf(m), m.Base(), m.Decimals))
	}
	if a.Fingerprint {
		e.say(e.T("aggregate.fingerprint"))
	}
	e.printRegime(a)
}

// codes says what a dimension's codes are.
func (e *env) codes(d vocabulary.Dimension) string {
	switch {
	case d.Learn > 0:
		return e.T("aggregate.learned", d.Column, d.Learn)
	case len(d.Edges) > 0:
		return e.T("aggregate.bins", d.Column, strings.Join(d.Edges, ", "))
	}
	const shown = 8
	codes := d.Codes[:min(shown, len(d.Codes))]
	if len(d.Codes) > shown {
		return e.T("aggregate.codes-more", d.Column, strings.Join(codes, ", "), len(d.Codes)-shown)
	}
	return e.T("aggregate.codes", d.Column, strings.Join(codes, ", "))
}

// grouping names dimensions and levels; by nothing is the total.
func (e *env) grouping(by []string) string {
	if len(by) == 0 {
		return e.T("aggregate.total")
	}
	return strings.Join(by, " × ")
}

// figureOf says what a measure is: mean of limit_bal, 0 to 1000000.
func (e *env) figureOf(m vocabulary.Statistic) string {
	s := e.Word(m.Is)
	if m.Column != "" {
		s = e.T("aggregate.of", s, m.Column)
	}
	if m.Low != "" || m.High != "" {
		s = e.T("aggregate.clamped", s, m.Low, m.High)
	}
	return s
}

// printRegime says by which rule cells are released.
func (e *env) printRegime(a *vocabulary.Aggregate) {
	if p := a.Privacy; p != nil {
		e.say(e.T("aggregate.privacy", e.Word(p.Mechanism), millionths(p.Rho), p.Rows))
		if p.Threshold > 0 {
			e.say(e.T("aggregate.threshold", p.Threshold))
		}
		return
	}
	d := a.Disclosure
	e.say(e.T("aggregate.disclosure", d.MinSubjects))
	if d.Dominance != nil {
		e.say(e.T("aggregate.dominance", d.Dominance.N, d.Dominance.K))
	}
	if d.Percent > 0 {
		e.say(e.T("aggregate.percent", d.Percent))
	}
}

// millionths writes an amount of rho as people write it: 0.05.
func millionths(rho int64) string {
	s := strings.TrimRight(fmt.Sprintf("%d.%06d", rho/vocabulary.PerRho, rho%vocabulary.PerRho), "0")
	return strings.TrimSuffix(s, ".")
}

// printReleased says what is published of an aggregate product, and what was
// spent of its resource's privacy budget.
func (e *env) printReleased(p sdk.Product) {
	e.say(e.T("products.cells", p.ResourceTitle, p.Cells, e.Word(p.Regime), e.Word(p.Grade), e.Word(p.UpdateCycle)))
	switch use := p.Privacy; {
	case use == nil:
	case use.GetHolds():
		e.say(e.T("products.spent", millionths(use.GetLifetime().GetSpent()), millionths(use.GetLifetime().GetLimit()),
			millionths(use.GetPeriod().GetSpent()), millionths(use.GetPeriod().GetLimit()), use.GetPeriod().GetWindow()))
	case use.GetEnded() != 0:
		e.say(e.T("products.mixed", use.GetEnded()))
	}
}

// asksCells says what an aggregate product gives: sector × ownership → licences.
func (e *env) asksCells(a *vocabulary.Aggregate) string {
	var by, gives []string
	for _, d := range a.Dimensions {
		by = append(by, d.Name)
	}
	for _, m := range a.Measures {
		gives = append(gives, m.Name)
	}
	return e.T("products.takes-gives", e.grouping(by), strings.Join(gives, ", "))
}
