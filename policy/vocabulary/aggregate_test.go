package vocabulary_test

import (
	"os"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

// aggregateSample is a file of valid aggregate products, to break.
const aggregateSample = "testdata/valid/09-aggregate.yaml"

// TestAggregateRules is the specification of each rule of aggregate products:
// one change to the valid sample, and the faults that it gets.
func TestAggregateRules(t *testing.T) {
	b, err := os.ReadFile(aggregateSample)
	if err != nil {
		t.Fatal(err)
	}
	const privacy = "privacy: {rho: 500000, mechanism: gaussian, rows: 3, threshold: 20, nonNegative: true}"
	for _, c := range []struct {
		name, old, new string
		want           []string // id path: got …; expected …
	}{
		{"no regime", "  " + privacy + "\n", "",
			[]string{"bad-regime aggregate: got neither disclosure nor privacy; expected exactly one of the two"}},
		{"both regimes", privacy, privacy + "\n  disclosure: {minSubjects: 5}",
			[]string{"bad-regime aggregate: got disclosure and privacy; expected exactly one of the two"}},
		{"verify's fields", "  columns: [employer,", "  maxShare: {fraction: 1, per: day}\n  columns: [employer,",
			[]string{"field-not-allowed release.maxShare: got the field maxShare; expected it only with type verify"}},
		{"the wrong type", "type: aggregate\nregistration: CP-2026-000205", "type: verify\nregistration: CP-2026-000205",
			[]string{"missing-field verify: got nothing; expected the field verify with type verify",
				"field-not-allowed aggregate: got the field aggregate; expected it only with type aggregate",
				"missing-field release.maxShare: got nothing; expected the field maxShare with type verify"}},

		{"two sources of codes", "codes: [A, B, C]", "codes: [A, B, C], edges: [0, 1]",
			[]string{"bad-dimension aggregate.dimensions[0]: got codes and edges; expected exactly one of codes, edges and learn"}},
		{"no source of codes", "codes: [A, B, C], ", "",
			[]string{"bad-dimension aggregate.dimensions[0]: got none of codes, edges and learn; expected exactly one of codes, edges and learn"}},
		{"edges that do not ascend", "edges: [16, 30, 45, 60, 100]", "edges: [16, 30, 20]",
			[]string{`bad-edges aggregate.dimensions[1].edges[2]: got "20"; expected more than the edge before, 30`}},
		{"edges of two kinds", "edges: [16, 30, 45, 60, 100]", "edges: [16, 2026-01-01]",
			[]string{`bad-edges aggregate.dimensions[1].edges[1]: got "2026-01-01"; expected more than the edge before, 16`}},
		{"levels of edges", "edges: [16, 30, 45, 60, 100]", "edges: [16, 30], levels: [{name: tens, prefix: 1}]",
			[]string{"field-not-allowed aggregate.dimensions[1].levels: got the field levels; expected it only with codes or learn"}},
		{"a code beyond the prefix", "codes: [A, B, C]", "prefix: 1, codes: [A, BB]",
			[]string{"bad-dimension aggregate.dimensions[0].codes[1]: got 2 characters; expected at most 1, the prefix"}},
		{"a level as fine as its dimension", "{name: city, prefix: 4}", "{name: city, prefix: 5}",
			[]string{"bad-dimension aggregate.dimensions[1].levels[0].prefix: got 5; expected less than the dimension's, 5"}},
		{"numbers in bins", "{name: age, type: integer, role: dimension, title: {en: Age}}", "{name: age, type: number, role: dimension, title: {en: Age}}", nil},
		{"learned numbers", "{name: sector, type: string,", "{name: sector, type: number,", []string{
			"column-type aggregate.dimensions[0]: got codes of a number; expected edges, as sector is a number",
			"column-type aggregate.dimensions[0]: got codes of a number; expected edges, as sector is a number",
			`column-type aggregate.dimensions[0].codes[0]: got "A"; expected a decimal, as sector is of type number`}},
		{"edges of text", "codes: [A, B, C]", "edges: [1, 2]",
			[]string{"column-type aggregate.dimensions[0].edges: got edges for a string; expected codes or learn"}},
		{"edges of another type", "edges: [16, 30, 45, 60, 100]", "edges: [16.5, 30]",
			[]string{`column-type aggregate.dimensions[1].edges[0]: got "16.5"; expected a whole number, as age is of type integer`}},
		{"a prefix of a number", "edges: [16, 30, 45, 60, 100]", "prefix: 1, codes: [1, 2]",
			[]string{"column-type aggregate.dimensions[1].prefix: got a prefix of a integer; expected it only for text"}},
		{"codes of another type", "edges: [16, 30, 45, 60, 100]", "codes: [x, 2]",
			[]string{`column-type aggregate.dimensions[1].codes[0]: got "x"; expected a whole number, as age is of type integer`}},

		{"a margin of nothing known", "{by: [sector, city]}", "{by: [sector, town]}",
			[]string{`broken-reference aggregate.margins[0].by[1]: got "town"; expected a dimension or level of this product: city, place, province or sector`}},
		{"a margin by a dimension and its level", "{by: [sector, city]}", "{by: [place, city]}",
			[]string{"bad-margin aggregate.margins[0].by[1]: got city beside place; expected at most one of a dimension and its levels"}},
		{"a margin twice", "{by: [sector, city]}", "{by: [province]}",
			[]string{"repeated-item aggregate.margins[1]: got the grouping by [province] again (as aggregate.margins[0]); expected each grouping once, beside the finest"}},
		{"the finest as a margin", "{by: [sector, city]}", "{by: [place, sector]}",
			[]string{"repeated-item aggregate.margins[0]: got the grouping by [place, sector] again (as the finest grouping); expected each grouping once, beside the finest"}},
		{"a name twice", "{name: city, prefix: 4}", "{name: people, prefix: 4}", []string{
			`broken-reference aggregate.margins[0].by[1]: got "city"; expected a dimension or level of this product: people, place, province or sector`,
			"repeated-item aggregate.measures[0].name: got people again (as aggregate.dimensions[1].levels[0].name); expected each name of a dimension, level or measure once"}},

		{"a condition without a value", "{column: since, op: lt, values: [2026-01-01]}", "{column: since, op: lt}",
			[]string{"bad-condition aggregate.filter[1]: got 0 values; expected one value with lt"}},
		{"a value of nothing", "{column: postcode, op: notnull}", "{column: postcode, op: notnull, values: [x]}",
			[]string{"bad-condition aggregate.filter[2]: got 1 values; expected no values with notnull"}},
		{"a condition of another type", "values: [2026-01-01]", "values: [3]",
			[]string{`column-type aggregate.filter[1].values[0]: got "3"; expected a day, as since is of type date`}},
		{"an order of booleans", "op: ne", "op: gt",
			[]string{"column-type aggregate.filter[0].op: got gt for a boolean; expected eq, ne, in, null or notnull"}},

		{"a sum of nothing", "is: sum, column: wage, low: 0, high: 30000", "is: sum, low: 0, high: 30000", []string{
			"missing-field aggregate.measures[1].column: got nothing; expected the field column with is: sum",
			`release-columns release.columns[2]: got "wage", which the product does not use; expected exactly the columns used: sector, age, days`}},
		{"a sum of days", "is: sum, column: wage, low: 0, high: 30000}", "is: sum, column: hired, low: 0, high: 9}", []string{
			`release-columns release.columns: got no hired, which is used as a measure; expected exactly the columns used: sector, age, hired, days`,
			`release-columns release.columns[2]: got "wage", which the product does not use; expected exactly the columns used: sector, age, hired, days`}},
		{"a dimension as a measure", "is: histogram, column: days", "is: histogram, column: age",
			[]string{`release-columns release.columns[3]: got "days", which the product does not use; expected exactly the columns used: sector, age, wage`}},
		{"a hidden column", "columns: [sector, age, wage, days]", "columns: [sector, age, wage, days, remarks]",
			[]string{`release-columns release.columns[4]: got "remarks", which the product does not use; expected exactly the columns used: sector, age, wage, days`}},
		{"a histogram without edges", ", edges: [0, 10, 20, 31]", "",
			[]string{"missing-field aggregate.measures[2].edges: got nothing; expected the field edges with is: histogram"}},
		{"two histograms", "{name: people, is: count, share: 2}", "{name: people, is: histogram, column: days, low: 0, high: 31, edges: [0, 9]}",
			[]string{"repeated-item aggregate.measures[2].is: got histogram again (as aggregate.measures[0]); expected at most one histogram"}},
		{"decimals of a count", "{name: people, is: count, share: 2}", "{name: people, is: count, decimals: 1}",
			[]string{"field-not-allowed aggregate.measures[0].decimals: got the field decimals; expected it only with a sum, mean, variance, min or max"}},
		{"one bound", "low: 0, high: 30000", "low: 0",
			[]string{"bad-bounds aggregate.measures[1]: got one of low and high; expected both or neither"}},
		{"bounds the wrong way round", "low: 0, high: 30000", "low: 9, high: 9",
			[]string{"bad-bounds aggregate.measures[1].high: got 9; expected more than low, 9"}},
		{"bounds of a count", "{name: people, is: count, share: 2}", "{name: people, is: count, low: 0, high: 9}",
			[]string{"field-not-allowed aggregate.measures[0]: got low or high; expected neither with is: count"}},
		{"days as bounds", "low: 0, high: 30000", "low: 2026-01-01, high: 2026-02-01",
			[]string{"bad-bounds aggregate.measures[1]: got 2026-01-01 and 2026-02-01; expected two decimals"}},
		{"negative sums under disclosure", "is: sum, column: wage, low: 0, high: 100000, round: 1000, scale: 1000}\n    - {name: mean_wage, is: mean, column: wage, low: 0,",
			"is: sum, column: wage, low: -1, high: 100000, round: 1000, scale: 1000}\n    - {name: mean_wage, is: mean, column: wage, low: -1,", []string{
				"bad-bounds aggregate.measures[1].low: got -1; expected 0 or more for a sum under disclosure",
				"bad-bounds aggregate.measures[2].low: got -1; expected 0 or more for a mean under disclosure",
				"bad-scale aggregate.measures[2].scale: got 10; expected figures from low to high that are 0 to 1048576 after offset and scale"}},
		{"two bounds of a column", "mean, column: wage, low: 0, high: 100000", "mean, column: wage, low: 0, high: 90000",
			[]string{"bad-bounds aggregate.measures[2]: got other bounds of wage than aggregate.measures[1] has; expected one low and high for a column"}},

		{"a scale that does not divide", "round: 5, scale: 5", "round: 5, scale: 2",
			[]string{"bad-scale aggregate.measures[0].scale: got 2; expected a divisor of round, 5"}},
		{"an offset that is no multiple", "round: 5, scale: 5", "round: 5, scale: 5, offset: 3",
			[]string{"bad-scale aggregate.measures[0].offset: got 3; expected a multiple of round, 5"}},
		{"an offset of nothing", "round: 5, scale: 5", "round: 5, offset: 5",
			[]string{"field-not-allowed aggregate.measures[0].offset: got the field offset; expected it only with scale"}},
		{"figures too large to weigh", "decimals: 2, round: 100, scale: 10", "decimals: 4, round: 100, scale: 10",
			[]string{"bad-scale aggregate.measures[2].scale: got 10; expected figures from low to high that are 0 to 1048576 after offset and scale"}},
		{"a scale and no weights", "answers: [cells, weights]", "answers: [cells]", []string{
			"field-not-allowed aggregate.measures[0].scale: got the field scale; expected it only with answers: [weights]",
			"field-not-allowed aggregate.measures[1].scale: got the field scale; expected it only with answers: [weights]",
			"field-not-allowed aggregate.measures[2].scale: got the field scale; expected it only with answers: [weights]"}},
		{"weights and no scale", "answers: [cells]", "answers: [cells, weights]",
			[]string{"missing-field aggregate.measures: got no measure with a scale; expected at least one with answers: [weights]"}},
		{"a fingerprint without room", "answers: [cells]", "answers: [cells]\n  fingerprint: true",
			[]string{"missing-field aggregate.measures: got no measure with round; expected a round of 2 or more on at least one with fingerprint: true"}},
		{"a budget's share under disclosure", "round: 5, scale: 5", "round: 5, scale: 5, share: 2",
			[]string{"field-not-allowed aggregate.measures[0].share: got the field share; expected it only with privacy"}},

		{"privacy: learned codes", "codes: [A, B, C]", "learn: 3",
			[]string{"privacy-rule aggregate.dimensions[0].learn: got codes learned from the data; expected declared codes or edges under privacy"}},
		{"privacy: refusals", "codes: [A, B, C], other: keep", "codes: [A, B, C], other: refuse, blank: refuse", []string{
			"privacy-rule aggregate.dimensions[0].other: got refuse; expected keep or drop under privacy",
			"privacy-rule aggregate.dimensions[0].blank: got refuse; expected keep or drop under privacy"}},
		{"privacy: no bounds", ", low: 0, high: 30000", "",
			[]string{"privacy-rule aggregate.measures[1]: got no low and high for wage; expected low and high for what is not a count, under privacy"}},
		{"privacy: extremes", "is: sum, column: wage, low: 0, high: 30000", "is: max, column: wage, low: 0, high: 30000",
			[]string{"privacy-rule aggregate.measures[1].is: got max; expected count, sum, mean, variance or histogram under privacy"}},
		{"privacy: no budget", "budget: {lifetime: 3000000, period: 1500000, per: year}\n", "",
			[]string{"no-budget aggregate.privacy: got privacy over payrolls, which has no budget; expected a resource with a budget"}},
		{"privacy: of another subject", "  answers: [cells]\nrelease:\n  columns: [sector, age, wage, days]", "  answers: [cells]\n  subject: employer\nrelease:\n  columns: [sector, age, wage, days, employer]",
			[]string{"privacy-subject aggregate.subject: got privacy of each employer; expected that of each employee, the subject that the budget of payrolls is for"}},
		{"privacy: over the budget", "period: 1500000", "period: 400000",
			[]string{"over-budget aggregate.privacy.rho: got rho 500000; expected at most 400000, the budget of payrolls in a year, and 3000000, that of its lifetime"}},
		{"a period beyond the lifetime", "period: 1500000", "period: 3000001",
			[]string{"bad-number budget.period: got 3000001; expected at most lifetime, 3000000"}},

		{"a subject that may be empty", "title: {en: Employer}, required: true}", "title: {en: Employer}}",
			[]string{"optional-subject aggregate.subject: got employer, which may be empty, as the subject; expected a column with required: true"}},
		{"the resource's subject may be empty", "title: {en: Employee}, required: true}", "title: {en: Employee}}",
			[]string{"optional-subject resource: got employee, which may be empty, as the subject; expected a column with required: true"}},
		{"a number as the subject", "{name: employer, type: string", "{name: employer, type: number",
			[]string{"column-type aggregate.subject: got employer, of type number, as the subject; expected a column of type string or integer"}},
		{"grade: a small cohort", "minSubjects: 5", "minSubjects: 2",
			[]string{"grade-forbids aggregate.disclosure.minSubjects: got 2; expected at least 3 at grade general"}},
		{"grade: extremes", "is: mean, column: wage", "is: max, column: wage",
			[]string{"grade-forbids aggregate.measures[2].is: got max; expected no min and max at grade general"}},
		{"grade: much noise only", "rho: 500000", "rho: 1000001",
			[]string{"grade-forbids aggregate.privacy.rho: got 1000001; expected at most 1000000 at grade general"}},
		{"grade: core", "grade: general", "grade: core", []string{
			"grade-forbids aggregate.disclosure: got disclosure; expected privacy at grade core",
			"grade-forbids aggregate.answers[1]: got weights; expected cells at grade core",
			"grade-forbids aggregate.privacy.rho: got 500000; expected at most 50000 at grade core"}},
		{"grade: secret", "grade: general", "grade: secret", []string{
			"grade-forbids resource: got a resource of grade secret; expected a grade of which aggregate products are permitted",
			"grade-forbids resource: got a resource of grade secret; expected a grade of which aggregate products are permitted"}},

		{"cells of no product", "product: wage-table, dimension: city", "product: licence-sector, dimension: city",
			[]string{`broken-reference cells[0].product: got "licence-sector"; expected a product of this grant: wage-table or wage-noised`}},
		{"a grant of both types", "products: [wage-table, wage-noised]", "products: [wage-table, wage-noised, licence-sector]", nil},
		{"cells of no dimension", "product: wage-table, dimension: city", "product: wage-table, dimension: town",
			[]string{`broken-reference cells[0].dimension: got "town"; expected a dimension or level of wage-table: sector, place, city or province`}},
		{"cells of no code", "codes: [A, other]", "codes: [A, D]",
			[]string{`broken-reference cells[1].codes[1]: got "D"; expected a code of sector: A, B or C`}},
		{"a grant that counts nothing", "quotas: [{unit: cells, per: month, limit: 100000}, {unit: calls, per: day, limit: 50}]", "quotas: [{unit: subjects, per: day, limit: 50}]", []string{
			"no-quota quotas: got no quota that counts the use of wage-table; expected one of cells or calls",
			"no-quota quotas: got no quota that counts the use of wage-noised; expected one of cells or calls"}},
		{"a price by subject", "product: wage-table\nbasis: per-volume\namount: 0.05", "product: wage-table\nbasis: per-subject\namount: 0.05", []string{
			"bad-basis basis: got per-subject of wage-table, of type aggregate; expected per-call, per-volume or per-product",
			"no-ceiling from: got 2026-03-01, when no ceiling per-volume of wage-table is in force; expected a first day with a ceiling of the same basis"}},
		{"cells twice", "product: wage-noised, dimension: sector, codes: [A, other]", "product: wage-table, dimension: city, codes: [x]",
			[]string{"repeated-item cells[1]: got city of wage-table again (as cells[0]); expected each dimension of a product once"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := strings.Count(string(b), c.old); n != 1 {
				t.Fatalf("%q is there %d times", c.old, n)
			}
			got := faultsBeside(t, strings.Replace(string(b), c.old, c.new, 1))
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// faultsBeside checks a file of documents beside the other samples.
func faultsBeside(t *testing.T, text string) []string {
	t.Helper()
	docs, err := vocabulary.Parse("x.yaml", []byte(text))
	var faults vocabulary.Faults
	if err != nil {
		faults = err.(vocabulary.Faults)
	} else {
		base := vocabulary.NewCatalogue()
		for i, p := range vocabulary.Order(readValid(t)) {
			if p.At("").File != "09-aggregate.yaml" {
				base.Put(p.Doc, int64(i+1), today.Begin(), p.Digest)
			}
		}
		faults = base.Check(docs, approvedBy(testKey("authoriser"), vocabulary.RoleAuthoriser, docs))
	}
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.ID + " " + f.Path + ": got " + f.Got + "; expected " + f.Expected
	}
	return lines
}

// A resource whose budget shrinks or goes would break what is published from it.
func TestBudgetThatBreaksProducts(t *testing.T) {
	c := inForce(t)
	held, _ := c.Resource("payrolls")
	for _, budget := range []*vocabulary.Budget{nil, {Lifetime: 3_000_000, Period: 499_999, Per: "month"}} {
		changed := *held.Doc
		changed.Budget = budget
		p, err := vocabulary.FromDocument(&changed)
		if err != nil {
			t.Fatal(err)
		}
		faults := c.Check([]vocabulary.Parsed{p}, vocabulary.Evidence{Today: today})
		if len(faults) != 1 || faults[0].ID != "breaks-product" || !strings.Contains(faults[0].Got, "wage-noised") {
			t.Errorf("budget %+v: %v", budget, faults)
		}
	}
}

// What is left out has the value that the documents say.
func TestAggregateDefaults(t *testing.T) {
	c := inForce(t)
	exact, _ := c.Product("wage-table")
	noised, _ := c.Product("wage-noised")
	resource, _ := c.Resource("payrolls")
	a, n := exact.Doc.Aggregate, noised.Doc.Aggregate
	for what, ok := range map[string]bool{
		"regimes":        a.Regime() == "disclosure" && n.Regime() == "privacy",
		"subject":        a.SubjectOf(resource.Doc) == "employer" && n.SubjectOf(resource.Doc) == "employee",
		"blank":          a.OnBlank(a.Dimensions[0]) == "drop" && a.OnBlank(a.Dimensions[1]) == "keep" && n.OnBlank(n.Dimensions[0]) == "drop",
		"other":          a.OnOther(a.Dimensions[0]) == "refuse" && n.OnOther(n.Dimensions[0]) == "keep" && n.OnOther(n.Dimensions[1]) == "drop",
		"round":          a.Measures[0].Base() == 5 && n.Measures[0].Base() == 1,
		"share":          n.Measures[0].Weight() == 2 && n.Measures[1].Weight() == 1,
		"batch":          exact.Doc.Batch() == 5000 && noised.Doc.Batch() == 1<<20,
		"padding":        exact.Doc.Padding() == 0,
		"grace":          exact.Doc.Grace().Hours() == 14*24 && noised.Doc.Grace().Hours() == 7*24,
		"no consent":     !c.NeedsConsent(noised.Doc),
		"used":           strings.Join(exact.Doc.Used(), " ") == "sector postcode retired since wage employer",
		"subject unused": strings.Join(noised.Doc.Used(), " ") == "sector age wage days",
	} {
		if !ok {
			t.Errorf("%s: %+v, %+v", what, a, n)
		}
	}
}
