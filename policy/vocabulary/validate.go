package vocabulary

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// validate holds a document to the rules between its own fields. What needs
// other documents is Check's.
func (d *decoder) validate(doc Document) {
	switch doc := doc.(type) {
	case *Authorisation:
		d.authorisation(doc)
	case *Resource:
		d.resource(doc)
	case *Product:
		d.product(doc)
	case *Grant:
		d.grant(doc)
	case *Tariff:
		if doc.Until != "" {
			d.term(doc.From, doc.Until)
		}
	case *NegativeList:
		if len(doc.Columns)+len(doc.Categories) == 0 {
			d.at("missing-field", "", "neither columns nor categories", "at least one of the two", "")
		}
	}
}

// at adds a fault at a field's place, or at that of what should hold it.
func (d *decoder) at(id, path, got, expected, fix string) {
	d.add(Fault{ID: id, Position: locate(d.marks, path), Path: path, Got: got, Expected: expected, Fix: fix})
}

func locate(marks map[string]Position, path string) Position {
	for {
		if at, ok := marks[path]; ok || path == "" {
			return at
		}
		path = path[:max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['), 0)]
	}
}

func (d *decoder) term(from, until Date) {
	if until < from {
		d.at("bad-term", "until", string(until), "a day not before from, "+string(from), "")
	}
}

func (d *decoder) authorisation(a *Authorisation) {
	d.term(a.From, a.Until)
	d.onlyWith("sectors", len(a.Sectors) > 0, a.Mode == "sector", "mode sector")
	d.onlyWith("scenarios", len(a.Scenarios) > 0, a.Mode == "scenario", "mode scenario")
}

// onlyWith demands a field exactly where a condition holds.
func (d *decoder) onlyWith(path string, present, wanted bool, condition string) {
	switch {
	case present && !wanted:
		d.at("field-not-allowed", path, "the field "+name(path), "it only with "+condition, "take it out")
	case !present && wanted:
		d.at("missing-field", path, "nothing", fmt.Sprintf("the field %s with %s", name(path), condition), "")
	}
}

func (d *decoder) resource(r *Resource) {
	names := map[string]int{}
	for i, column := range r.Columns {
		path := index("columns", i)
		if first, twice := names[column.Name]; twice {
			d.at("repeated-item", path+".name", fmt.Sprintf("%s again (as %s)", column.Name, index("columns", first)), "each column once", "remove one of the two")
		}
		names[column.Name] = i
		if column.MaxBytes != 0 && column.Type != "string" {
			d.at("field-not-allowed", path+".maxBytes", "the field maxBytes", "it only with type string", "take it out")
		}
	}
	if b := r.Budget; b != nil && b.Period > b.Lifetime {
		d.at("bad-number", "budget.period", fmt.Sprint(b.Period), fmt.Sprintf("at most lifetime, %d", b.Lifetime), "")
	}
	if _, ok := names[r.Subject]; !ok {
		d.at("broken-reference", "subject", quote(r.Subject), "a column of this resource: "+list(columnNames(r)), suggestion(r.Subject, columnNames(r)))
	}
}

func columnNames(r *Resource) []string {
	names := make([]string, len(r.Columns))
	for i, column := range r.Columns {
		names[i] = column.Name
	}
	return names
}

func suggestion(name string, names []string) string {
	if like := nearest(name, names); like != "" {
		return fmt.Sprintf("did you mean %s?", like)
	}
	return ""
}

func (d *decoder) product(p *Product) {
	d.onlyWith("verify", p.Verify != nil, p.Type == TypeVerify, "type verify")
	d.onlyWith("aggregate", p.Aggregate != nil, p.Type == TypeAggregate, "type aggregate")
	d.onlyWith("release.maxShare", p.Release.MaxShare != Share{}, p.Type == TypeVerify, "type verify")
	switch {
	case p.Type == TypeVerify && p.Verify != nil:
		d.lookup(p, p.Verify)
	case p.Type == TypeAggregate && p.Aggregate != nil:
		d.aggregate(p, p.Aggregate)
	}
}

// lookup: rules between the fields of a verify product.
func (d *decoder) lookup(p *Product, v *Verify) {
	d.onlyWith("verify.claims", len(v.Claims) > 0, v.Answer == "equals", "answer equals")
	d.onlyWith("verify.labels", len(v.Labels) > 0, v.Answer == "label", "answer label")
	d.onlyWith("verify.labelBytes", v.LabelBytes > 0, v.Answer == "label", "answer label")
	d.onlyWith("release.maxLabelBits", p.Release.MaxLabelBits > 0, v.Answer == "label", "answer label")
	if most := 8 * v.LabelBytes; v.Answer == "label" && most > 0 && p.Release.MaxLabelBits > most {
		d.at("bad-number", "release.maxLabelBits", fmt.Sprint(p.Release.MaxLabelBits), fmt.Sprintf("at most %d, the bits of labelBytes: %d", most, v.LabelBytes), "")
	}
	d.useOnce(p)
	d.releaseColumns(p)
	for i := range v.Labels {
		d.bands(v, i)
	}
}

// useOnce refuses a column in two parts of a product: what is a key or a claim
// is known to who asks, and answers nothing.
func (d *decoder) useOnce(p *Product) {
	first := map[string]string{}
	for _, use := range p.uses() {
		if as, twice := first[use.column]; twice {
			d.at("repeated-item", use.path, fmt.Sprintf("%s again (as %s)", use.column, as), "each column in one place", "remove one of the two")
			continue
		}
		first[use.column] = use.path
	}
}

// use is a column that reaches an answer, an input or a condition.
type use struct {
	column, as, path string
}

// uses lists a product's columns as they are used: as key, claim or label; as
// dimension, measure, condition or subject.
func (p *Product) uses() []use {
	var uses []use
	if v := p.Verify; v != nil {
		for i, column := range v.Keys {
			uses = append(uses, use{column, "key", index("verify.keys", i)})
		}
		for i, column := range v.Claims {
			uses = append(uses, use{column, "claim", index("verify.claims", i)})
		}
		for i, label := range v.Labels {
			uses = append(uses, use{label.Column, "label", index("verify.labels", i) + ".column"})
		}
	}
	if p.Aggregate != nil {
		uses = append(uses, p.Aggregate.uses()...)
	}
	return uses
}

// Used lists the columns that reach an answer, an input or a condition, each
// once.
func (p *Product) Used() []string {
	var columns []string
	for _, use := range p.uses() {
		if !slices.Contains(columns, use.column) {
			columns = append(columns, use.column)
		}
	}
	return columns
}

// releaseColumns holds the reviewed columns to the used ones: a reviewer reads
// release, so it must say neither less nor more than the product does.
func (d *decoder) releaseColumns(p *Product) {
	used := p.Used()
	for i, column := range p.Release.Columns {
		if !slices.Contains(used, column) {
			d.at("release-columns", index("release.columns", i), quote(column)+", which the product does not use", "exactly the columns used: "+strings.Join(used, ", "), "take it out")
		}
	}
	missing := map[string]bool{}
	for _, use := range p.uses() {
		if !slices.Contains(p.Release.Columns, use.column) && !missing[use.column] {
			missing[use.column] = true
			d.at("release-columns", "release.columns", fmt.Sprintf("no %s, which is used as a %s", use.column, use.as), "exactly the columns used: "+strings.Join(used, ", "), "add "+use.column)
		}
	}
}

// bands checks one label's bands: ranges named once (several prefixes may share
// a name), fitting a label, every value of the column in the first band that
// takes it.
func (d *decoder) bands(v *Verify, label int) {
	bands := v.Labels[label].Bands
	path := index("verify.labels", label) + ".bands"
	names := map[string]bool{}
	for i, band := range bands {
		at := index(path, i)
		if names[band.Name] && band.Prefix == "" {
			d.at("repeated-item", at+".name", quote(band.Name)+" again", "each band's name once", "")
		}
		names[band.Name] = true
		if v.LabelBytes > 0 && len(band.Name) > v.LabelBytes {
			d.at("label-too-long", at+".name", fmt.Sprintf("%d bytes", len(band.Name)), fmt.Sprintf("at most labelBytes, %d", v.LabelBytes), "")
		}
		last := i == len(bands)-1
		switch {
		case band.Below != "" && band.Prefix != "":
			d.at("bad-bands", at, "below and prefix", "one of the two", "")
		case last && band.Below != "":
			d.at("bad-bands", at+".below", quote(band.Below), "no upper bound in the last band", "take it out, or add a band for the values above")
		case !last && band.Below == "" && band.Prefix == "":
			d.at("bad-bands", at, "a band for every value", "it only as the last", "give it below (numbers, dates) or prefix (text)")
		case i > 0:
			d.bandAfter(bands[i-1], band, at)
		}
		if band.Below != "" && bound(band.Below) == nil && checkDate(band.Below) != nil {
			d.at("bad-bands", at+".below", quote(band.Below), "a decimal or a day", "write e.g. below: 100")
		}
	}
	d.prefixes(bands, path)
}

// bandAfter checks a band against the one before it.
func (d *decoder) bandAfter(before, band Band, at string) {
	switch {
	case band.Below == "" && band.Prefix == "": // the last
	case (before.Below == "") != (band.Below == ""):
		d.at("bad-bands", at, "below and prefix mixed", "one of the two in all bands", "")
	case band.Below != "" && !ascends(before.Below, band.Below):
		d.at("bad-bands", at+".below", quote(band.Below), "more than the band before, "+before.Below, "put the bands in ascending order")
	}
}

// prefixes refuses a band that an earlier one leaves nothing for.
func (d *decoder) prefixes(bands []Band, path string) {
	for i, band := range bands {
		for _, earlier := range bands[:i] {
			if earlier.Prefix != "" && strings.HasPrefix(band.Prefix, earlier.Prefix) {
				d.at("bad-bands", index(path, i)+".prefix", quote(band.Prefix), "a prefix that no earlier band takes", fmt.Sprintf("put it before %s", quote(earlier.Prefix)))
				break
			}
		}
	}
}

var boundPattern = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$`)

// bound reads a numeric bound, or gives nil.
func bound(s string) *big.Rat {
	f, _ := decimal(s, boundPattern)
	return f
}

// ascends says whether two bounds of one kind, numbers or days, ascend.
func ascends(a, b string) bool {
	if checkDate(a) == nil && checkDate(b) == nil {
		return a < b
	}
	low, high := bound(a), bound(b)
	return low != nil && high != nil && low.Cmp(high) < 0
}

func (d *decoder) grant(g *Grant) {
	d.term(g.From, g.Until)
	seen := map[string]int{}
	for i, quota := range g.Quotas {
		key := quota.Unit + " per " + quota.Per
		if first, twice := seen[key]; twice {
			d.at("repeated-item", index("quotas", i), fmt.Sprintf("%s again (as %s)", key, index("quotas", first)), "each unit and period once", "remove one of the two")
		}
		seen[key] = i
	}
	entitled := map[[2]string]int{}
	for i, e := range g.Cells {
		key := [2]string{e.Product, e.Dimension}
		if first, twice := entitled[key]; twice {
			d.at("repeated-item", index("cells", i), fmt.Sprintf("%s of %s again (as %s)", e.Dimension, e.Product, index("cells", first)), "each dimension of a product once", "put the codes into one list")
		}
		entitled[key] = i
	}
	for i, purpose := range g.Purposes {
		if !purpose.Free() {
			continue
		}
		// 65号 一: free of charge under conditions, which have to be on record.
		for _, ground := range [...]struct{ name, value string }{{"basis", g.Basis.En}, {"conditions", g.Conditions.En}, {"evidence", g.Evidence}} {
			if ground.value == "" {
				d.at("free-without-ground", index("purposes", i), fmt.Sprintf("the free purpose %s without %s", purpose, ground.name), "basis, conditions and evidence", "add the field "+ground.name)
			}
		}
	}
}
