package vocabulary

import (
	"fmt"
	"slices"
	"strings"
)

// product holds a product to its resource: references, roles of columns, bands,
// grade, negative lists, sandbox.
func (k *checker) product(p Parsed, doc *Product) {
	if before, ok := k.old.Product(doc.ID); ok {
		k.same(p, "type", doc.Type, before.Doc.Type)
	}
	if !k.refers(p, "resource", KindResource, doc.Resource) {
		return
	}
	held, _ := k.now.Resource(doc.Resource)
	resource := held.Doc
	for _, wrong := range k.misuses(doc, resource) {
		k.fault(p, wrong.id, wrong.path, wrong.got, wrong.expected, wrong.fix)
	}
	if doc.Verify != nil {
		for i := range doc.Verify.Labels {
			k.bandTypes(p, doc, resource, i)
		}
	}
	if doc.Aggregate != nil {
		k.aggregate(p, doc, resource)
	}
	if doc.Sandbox && !resource.Synthetic {
		k.fault(p, "sandbox-real-data", "sandbox", "true over "+resource.ID+", which holds real data", "a sandbox over a resource with synthetic: true", "")
	}
	rule := RuleFor(resource.Grade, doc.Type)
	for _, breach := range rule.breaches(doc) {
		k.fault(p, "grade-forbids", breach.path, breach.got, breach.expected, rule.Reason.En)
	}
	if item, path, hit := k.now.listed(doc); hit {
		k.fault(p, "negative-list", path, item+", which is on a negative list", "columns and categories that are on none", "take it out of the product")
	}
}

// misuse is a column of a product that its resource does not offer so.
type misuse struct {
	id, path, got, expected, fix string
	columnPath                   string // where the resource says so
}

// uses by role: what a column of a role may be in a product.
var rolesFor = map[string][]string{
	"key":   {"key"},
	"claim": {"key", "label"},
	"label": {"label", "dimension"},

	"dimension": {"label", "dimension"},
	"measure":   {"measure"},
	"condition": {"label", "dimension", "measure"},
	"subject":   {"key", "label", "dimension"},
}

// misuses holds a product's columns to their roles in the resource. A hidden
// column is never used.
func (k *checker) misuses(p *Product, r *Resource) []misuse {
	var found []misuse
	for _, use := range p.uses() {
		i := columnIndex(r, use.column)
		if i < 0 {
			names := columnNames(r)
			found = append(found, misuse{
				id: "broken-reference", path: use.path, columnPath: "columns", got: quote(use.column),
				expected: fmt.Sprintf("a column of %s: %s", r.ID, list(names)), fix: suggestion(use.column, names),
			})
			continue
		}
		if roles := rolesFor[use.as]; !slices.Contains(roles, r.Columns[i].Role) {
			found = append(found, misuse{
				id: "column-role", path: use.path, columnPath: index("columns", i) + ".role",
				got:      fmt.Sprintf("%s, of role %s, as a %s", use.column, r.Columns[i].Role, use.as),
				expected: "a column of role " + strings.Join(roles, " or "),
			})
		}
	}
	return found
}

// bandTypes holds bands to their column's type.
func (k *checker) bandTypes(p Parsed, doc *Product, r *Resource, label int) {
	column, ok := r.Column(doc.Verify.Labels[label].Column)
	if !ok {
		return
	}
	for i, band := range doc.Verify.Labels[label].Bands {
		path := index(index("verify.labels", label)+".bands", i)
		switch {
		case column.Type == "boolean":
			k.fault(p, "bad-bands", path, "a band of true and false", "no bands for a boolean", "take the bands out")
			return
		case band.Prefix != "" && column.Type != "string":
			k.fault(p, "bad-bands", path+".prefix", "a prefix for a "+column.Type, "below", "")
		case band.Below != "" && column.Type == "string":
			k.fault(p, "bad-bands", path+".below", "an upper bound for text", "prefix", "")
		case band.Below != "" && column.Type == "date" && checkDate(band.Below) != nil:
			k.fault(p, "bad-bands", path+".below", quote(band.Below), "a day, as "+column.Name+" is a date", "write e.g. below: 2026-01-31")
		case band.Below != "" && (column.Type == "number" || column.Type == "integer") && bound(band.Below) == nil:
			k.fault(p, "bad-bands", path+".below", quote(band.Below), "a decimal, as "+column.Name+" is a number", "write e.g. below: 100")
		}
	}
}
