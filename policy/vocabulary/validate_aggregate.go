package vocabulary

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// uses lists the columns of an aggregate product. The resource's own subject is
// counted, and is in no figure; one that the product names is reviewed.
func (a *Aggregate) uses() []use {
	var uses []use
	for i, dimension := range a.Dimensions {
		uses = append(uses, use{dimension.Column, "dimension", index("aggregate.dimensions", i) + ".column"})
	}
	for i, condition := range a.Filter {
		uses = append(uses, use{condition.Column, "condition", index("aggregate.filter", i) + ".column"})
	}
	for i, measure := range a.Measures {
		if measure.Column != "" {
			uses = append(uses, use{measure.Column, "measure", index("aggregate.measures", i) + ".column"})
		}
	}
	if a.Subject != "" {
		uses = append(uses, use{a.Subject, "subject", "aggregate.subject"})
	}
	return uses
}

// aggregate: rules between the fields of an aggregate product.
func (d *decoder) aggregate(p *Product, a *Aggregate) {
	if (a.Disclosure == nil) == (a.Privacy == nil) {
		got := "neither disclosure nor privacy"
		if a.Privacy != nil {
			got = "disclosure and privacy"
		}
		d.at("bad-regime", "aggregate", got, "exactly one of the two", "say under which regime cells are released")
		return // the rest hangs on it
	}
	d.cellNames(a)
	for i := range a.Dimensions {
		d.dimension(a, i)
	}
	d.margins(a)
	for i := range a.Filter {
		d.condition(a.Filter[i], index("aggregate.filter", i))
	}
	for i := range a.Measures {
		d.measure(a, i)
	}
	d.measures(a)
	d.releaseColumns(p)
}

// cellNames: dimensions, levels and measures are columns of one table.
func (d *decoder) cellNames(a *Aggregate) {
	first := map[string]string{}
	once := func(name, path string) {
		if as, twice := first[name]; twice {
			d.at("repeated-item", path, fmt.Sprintf("%s again (as %s)", name, as), "each name of a dimension, level or measure once", "rename one of the two")
			return
		}
		first[name] = path
	}
	for i, dimension := range a.Dimensions {
		path := index("aggregate.dimensions", i)
		once(dimension.Name, path+".name")
		for j, level := range dimension.Levels {
			once(level.Name, index(path+".levels", j)+".name")
		}
	}
	for i, measure := range a.Measures {
		once(measure.Name, index("aggregate.measures", i)+".name")
	}
}

func (d *decoder) dimension(a *Aggregate, i int) {
	dimension, path := a.Dimensions[i], index("aggregate.dimensions", i)
	var given []string
	for _, source := range [...]struct {
		name  string
		there bool
	}{{"codes", len(dimension.Codes) > 0}, {"edges", len(dimension.Edges) > 0}, {"learn", dimension.Learn > 0}} {
		if source.there {
			given = append(given, source.name)
		}
	}
	if len(given) != 1 {
		got := "none of codes, edges and learn"
		if len(given) > 1 {
			got = strings.Join(given, " and ")
		}
		d.at("bad-dimension", path, got, "exactly one of codes, edges and learn", "say what the codes of "+dimension.Name+" are")
	}
	d.ascending(dimension.Edges, path+".edges")
	if len(dimension.Edges) > 0 {
		d.onlyWith(path+".prefix", dimension.Prefix > 0, false, "codes or learn")
		d.onlyWith(path+".levels", len(dimension.Levels) > 0, false, "codes or learn")
	}
	for j, code := range dimension.Codes {
		if n := utf8.RuneCountInString(code); dimension.Prefix > 0 && n > dimension.Prefix {
			d.at("bad-dimension", index(path+".codes", j), fmt.Sprintf("%d characters", n), fmt.Sprintf("at most %d, the prefix", dimension.Prefix), "")
		}
	}
	for j, level := range dimension.Levels {
		if dimension.Prefix > 0 && level.Prefix >= dimension.Prefix {
			d.at("bad-dimension", index(path+".levels", j)+".prefix", fmt.Sprint(level.Prefix), fmt.Sprintf("less than the dimension's, %d", dimension.Prefix), "a level is coarser than its dimension")
		}
	}
	if a.Privacy == nil {
		return
	}
	// What occurs in the data must not show: the cells are known beforehand, and
	// nothing is refused for what is in it.
	if dimension.Learn > 0 {
		d.at("privacy-rule", path+".learn", "codes learned from the data", "declared codes or edges under privacy", "list the codes; those that do not occur are noised too")
	}
	for _, rule := range [...]struct{ name, value string }{{"blank", dimension.Blank}, {"other", dimension.Other}} {
		if rule.value == "refuse" {
			d.at("privacy-rule", path+"."+rule.name, "refuse", "keep or drop under privacy", "a refusal would tell about the data")
		}
	}
}

// ascending refuses edges that do not ascend or mix numbers and days.
func (d *decoder) ascending(edges []string, path string) {
	for i := 1; i < len(edges); i++ {
		if !ascends(edges[i-1], edges[i]) {
			d.at("bad-edges", index(path, i), quote(edges[i]), "more than the edge before, "+edges[i-1], "put the edges in ascending order, all numbers or all days")
			return
		}
	}
}

// margins: groupings of published names, at most one of an axis, each once, and
// none the finest, which is published anyhow.
func (d *decoder) margins(a *Aggregate) {
	axes := map[string]int{}
	finest := make([]string, len(a.Dimensions))
	for i, dimension := range a.Dimensions {
		axes[dimension.Name], finest[i] = i, dimension.Name
		for _, level := range dimension.Levels {
			axes[level.Name] = i
		}
	}
	slices.Sort(finest)
	first := map[string]string{strings.Join(finest, " "): "the finest grouping"}
	for i, margin := range a.Margins {
		path := index("aggregate.margins", i)
		used := map[int]string{}
		for j, name := range margin.By {
			axis, ok := axes[name]
			if !ok {
				names := slices.Sorted(maps.Keys(axes))
				d.at("broken-reference", index(path+".by", j), quote(name), "a dimension or level of this product: "+list(names), suggestion(name, names))
				continue
			}
			if other, twice := used[axis]; twice {
				d.at("bad-margin", index(path+".by", j), name+" beside "+other, "at most one of a dimension and its levels", "remove one of the two")
			}
			used[axis] = name
		}
		by := slices.Sorted(slices.Values(margin.By))
		key := strings.Join(by, " ")
		if as, twice := first[key]; twice {
			d.at("repeated-item", path, fmt.Sprintf("the grouping by [%s] again (as %s)", strings.Join(margin.By, ", "), as), "each grouping once, beside the finest", "remove one of the two")
		}
		first[key] = path
	}
}

// values that a condition takes.
func (d *decoder) condition(c Condition, path string) {
	expected := ""
	switch n := len(c.Values); {
	case c.Op == "null" || c.Op == "notnull":
		if n > 0 {
			expected = "no values with " + c.Op
		}
	case c.Op == "in":
		if n == 0 {
			expected = "values with in"
		}
	case n != 1:
		expected = "one value with " + c.Op
	}
	if expected != "" {
		d.at("bad-condition", path, fmt.Sprintf("%d values", len(c.Values)), expected, "")
	}
}

// needs of measures by what they are.
func (d *decoder) measure(a *Aggregate, i int) {
	m, path := &a.Measures[i], index("aggregate.measures", i)
	counts := m.Is == "count" || m.Is == "histogram"
	if m.Is != "count" {
		d.onlyWith(path+".column", m.Column != "", true, "is: "+m.Is)
	}
	d.onlyWith(path+".edges", len(m.Edges) > 0, m.Is == "histogram", "is: histogram")
	d.ascending(m.Edges, path+".edges")
	if counts && m.Decimals > 0 {
		d.onlyWith(path+".decimals", true, false, "a sum, mean, variance, min or max")
	}
	if m.Is == "count" {
		d.clamp(path, m, false)
	} else {
		d.clamp(path, m, a.Privacy != nil)
	}
	if m.Share > 0 {
		d.onlyWith(path+".share", true, a.Privacy != nil, "privacy")
	}
	if a.Privacy != nil && (m.Is == "min" || m.Is == "max") {
		d.at("privacy-rule", path+".is", m.Is, "count, sum, mean, variance or histogram under privacy", "an extreme is one subject's value")
	}
	if low := bound(m.Low); a.Disclosure != nil && low != nil && low.Sign() < 0 && (m.Is == "sum" || m.Is == "mean" || m.Is == "variance") {
		// Contributions that cancel would hide a dominant one.
		d.at("bad-bounds", path+".low", m.Low, "0 or more for a "+m.Is+" under disclosure", "raise low; values below it count as low")
	}
	d.weighed(a, m, path)
}

// clamp: bounds come in pairs, are numbers, and low is the less.
func (d *decoder) clamp(path string, m *Statistic, wanted bool) {
	switch {
	case m.Is == "count" && m.Low+m.High != "":
		d.at("field-not-allowed", path, "low or high", "neither with is: count", "take them out")
	case m.Low == "" && m.High == "":
		if wanted {
			d.at("privacy-rule", path, "no low and high for "+m.Column, "low and high for what is not a count, under privacy", "say how much one value can be; noise is in proportion to it")
		}
	case m.Low == "" || m.High == "":
		d.at("bad-bounds", path, "one of low and high", "both or neither", "")
	case bound(m.Low) == nil || bound(m.High) == nil:
		d.at("bad-bounds", path, m.Low+" and "+m.High, "two decimals", "")
	case !ascends(m.Low, m.High):
		d.at("bad-bounds", path+".high", m.High, "more than low, "+m.Low, "")
	}
}

// largestWeighed is the largest cell that compute/dot weighs.
const largestWeighed = 1 << 20

// weighed: (figure − offset) / scale is exact for what is a multiple of round,
// and where the bounds say so, small enough.
func (d *decoder) weighed(a *Aggregate, m *Statistic, path string) {
	if m.Scale == 0 {
		if m.Offset != 0 {
			d.onlyWith(path+".offset", true, false, "scale")
		}
		return
	}
	d.onlyWith(path+".scale", true, slices.Contains(a.Answers, AnswerWeights), "answers: [weights]")
	if m.Base()%m.Scale != 0 {
		d.at("bad-scale", path+".scale", fmt.Sprint(m.Scale), fmt.Sprintf("a divisor of round, %d", m.Base()), "figures divided by it must stay whole")
	}
	if m.Offset%m.Base() != 0 {
		d.at("bad-scale", path+".offset", fmt.Sprint(m.Offset), fmt.Sprintf("a multiple of round, %d", m.Base()), "figures less it must stay multiples of round")
	}
	low, high := bound(m.Low), bound(m.High)
	if m.Is != "mean" && m.Is != "min" && m.Is != "max" || low == nil || high == nil {
		return // the release says whether the figures fit
	}
	for _, end := range []*big.Rat{low, high} {
		cell := new(big.Rat).Mul(end, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(m.Decimals)), nil)))
		cell.Sub(cell, new(big.Rat).SetInt64(m.Offset)).Quo(cell, new(big.Rat).SetInt64(m.Scale))
		if cell.Sign() < 0 || cell.Cmp(new(big.Rat).SetInt64(largestWeighed)) > 0 {
			d.at("bad-scale", path+".scale", fmt.Sprint(m.Scale), fmt.Sprintf("figures from low to high that are 0 to %d after offset and scale", largestWeighed), "change offset, or enlarge scale with round")
			return
		}
	}
}

// measures: what they owe each other.
func (d *decoder) measures(a *Aggregate) {
	histogram, scaled, rounded := -1, false, false
	bounds := map[string]int{} // by column: the first that is bounded
	for i := range a.Measures {
		m, path := &a.Measures[i], index("aggregate.measures", i)
		if m.Is == "histogram" {
			if histogram >= 0 {
				d.at("repeated-item", path+".is", "histogram again (as "+index("aggregate.measures", histogram)+")", "at most one histogram", "make a product of its own")
			}
			histogram = i
		}
		scaled = scaled || m.Scale > 0
		rounded = rounded || m.Base() >= 2
		if m.Is == "count" {
			continue
		}
		if at, ok := bounds[m.Column]; !ok {
			bounds[m.Column] = i
		} else if first := &a.Measures[at]; first.Low != m.Low || first.High != m.High {
			d.at("bad-bounds", path, fmt.Sprintf("other bounds of %s than %s has", m.Column, index("aggregate.measures", at)), "one low and high for a column", "")
		}
	}
	if !scaled && slices.Contains(a.Answers, AnswerWeights) {
		d.at("missing-field", "aggregate.measures", "no measure with a scale", "at least one with answers: [weights]", "write e.g. scale: 1")
	}
	if a.Fingerprint && !rounded {
		d.at("missing-field", "aggregate.measures", "no measure with round", "a round of 2 or more on at least one with fingerprint: true", "write e.g. round: 5")
	}
}
