package vocabulary

import (
	"fmt"
	"math/big"
	"slices"
)

// maxCells is the most cells that a cube of declared codes may have.
const maxCells = 1<<24 - 1

// aggregate holds an aggregate product to its resource: types of columns, and
// the budget.
func (k *checker) aggregate(p Parsed, doc *Product, r *Resource) {
	a := doc.Aggregate
	cells := big.NewInt(1)
	for i := range a.Dimensions {
		d, path := &a.Dimensions[i], index("aggregate.dimensions", i)
		cells.Mul(cells, big.NewInt(int64(max(len(d.Codes), len(d.Edges)-1, 1))))
		column, ok := r.Column(d.Column)
		if !ok {
			continue // said already
		}
		k.dimensionType(p, d, column, path)
	}
	if cells.Cmp(big.NewInt(maxCells)) > 0 {
		k.fault(p, "too-many-cells", "aggregate.dimensions", cells.String()+" cells", fmt.Sprintf("at most %d", maxCells), "make codes or edges coarser")
	}
	for i := range a.Filter {
		if column, ok := r.Column(a.Filter[i].Column); ok {
			k.conditionType(p, &a.Filter[i], column, index("aggregate.filter", i))
		}
	}
	for i := range a.Measures {
		m, path := &a.Measures[i], index("aggregate.measures", i)
		column, ok := r.Column(m.Column)
		if !ok {
			continue
		}
		if !slices.Contains([]string{"integer", "number", "boolean"}, column.Type) && m.Is != "count" {
			k.fault(p, "column-type", path+".column", fmt.Sprintf("%s, of type %s, as a %s", column.Name, column.Type, m.Is), "a column of type integer, number or boolean", "")
			continue
		}
		k.values(p, m.Edges, column, path+".edges")
	}
	for _, wrong := range unfit(doc, r) {
		k.fault(p, wrong.id, wrong.path, wrong.got, wrong.expected, wrong.fix)
	}
}

func (k *checker) dimensionType(p Parsed, d *Dimension, column Column, path string) {
	switch {
	case d.Prefix > 0 && column.Type != "string":
		k.fault(p, "column-type", path+".prefix", "a prefix of a "+column.Type, "it only for text", "take it out")
	case len(d.Levels) > 0 && column.Type != "string":
		k.fault(p, "column-type", path+".levels", "levels of a "+column.Type, "them only for text", "take them out")
	case len(d.Edges) > 0 && !slices.Contains([]string{"integer", "number", "date"}, column.Type):
		k.fault(p, "column-type", path+".edges", "edges for a "+column.Type, "codes or learn", "")
	case len(d.Edges) == 0 && column.Type == "number":
		k.fault(p, "column-type", path, "codes of a number", "edges, as "+column.Name+" is a number", "write e.g. edges: [0, 100, 1000]")
	}
	k.values(p, d.Edges, column, path+".edges")
	k.values(p, d.Codes, column, path+".codes")
}

func (k *checker) conditionType(p Parsed, c *Condition, column Column, path string) {
	if column.Type == "boolean" && slices.Contains([]string{"lt", "le", "gt", "ge"}, c.Op) {
		k.fault(p, "column-type", path+".op", c.Op+" for a boolean", "eq, ne, in, null or notnull", "")
	}
	k.values(p, c.Values, column, path+".values")
}

// values holds values of a document to a column's type: the first that is none.
func (k *checker) values(p Parsed, values []string, column Column, path string) {
	expected := map[string]string{"integer": "a whole number", "number": "a decimal", "date": "a day", "boolean": "true or false"}
	for i, value := range values {
		ok := true
		switch column.Type {
		case "integer":
			_, err := parseWhole(value)
			ok = err == nil
		case "number":
			ok = bound(value) != nil
		case "date":
			ok = checkDate(value) == nil
		case "boolean":
			ok = value == "true" || value == "false"
		}
		if !ok {
			k.fault(p, "column-type", index(path, i), quote(value), expected[column.Type]+", as "+column.Name+" is of type "+column.Type, "")
			return
		}
	}
}

// unfit says what a resource lacks for an aggregate product beside columns: the
// subjects to count, and what a publication spends.
func unfit(p *Product, r *Resource) []misuse {
	var found []misuse
	name := p.Aggregate.SubjectOf(r)
	path := "aggregate.subject"
	if p.Aggregate.Subject == "" {
		path = "resource"
	}
	if i := columnIndex(r, name); i >= 0 {
		switch column := r.Columns[i]; {
		case !slices.Contains([]string{"string", "integer"}, column.Type):
			found = append(found, misuse{id: "column-type", path: path, columnPath: index("columns", i) + ".type",
				got: fmt.Sprintf("%s, of type %s, as the subject", name, column.Type), expected: "a column of type string or integer"})
		case !column.Required: // a row of nobody is in no cohort, and no bound holds for it
			found = append(found, misuse{id: "optional-subject", path: path, columnPath: index("columns", i) + ".required",
				got: name + ", which may be empty, as the subject", expected: "a column with required: true"})
		}
	}
	if p.Aggregate.Privacy == nil {
		return found
	}
	// What is spent adds up for subjects of one kind: a statement about employers, or
	// about rows, is none about the people whom the resource is about.
	if r.Subject != "" && name != r.Subject {
		found = append(found, misuse{id: "privacy-subject", path: path, columnPath: "subject",
			got: fmt.Sprintf("privacy of each %s", name), expected: fmt.Sprintf("that of each %s, the subject that the budget of %s is for", r.Subject, r.ID)})
	}
	rho := p.Aggregate.Privacy.Rho
	switch b := r.Budget; {
	case b == nil:
		found = append(found, misuse{id: "no-budget", path: "aggregate.privacy", columnPath: "budget",
			got: "privacy over " + r.ID + ", which has no budget", expected: "a resource with a budget", fix: "add budget: {lifetime: …, period: …, per: …} to the resource"})
	case rho > b.Lifetime || rho > b.Period:
		found = append(found, misuse{id: "over-budget", path: "aggregate.privacy.rho", columnPath: "budget",
			got: fmt.Sprintf("rho %d", rho), expected: fmt.Sprintf("at most %d, the budget of %s in a %s, and %d, that of its lifetime", b.Period, r.ID, b.Per, b.Lifetime)})
	}
	return found
}

// entitlements hold a grant's cells to its products: those that have cells, and
// names and codes that they have.
func (k *checker) entitlements(p Parsed, g *Grant) {
	for i, e := range g.Cells {
		path := index("cells", i)
		if !slices.Contains(g.Products, e.Product) {
			k.fault(p, "broken-reference", path+".product", quote(e.Product), "a product of this grant: "+list(g.Products), suggestion(e.Product, g.Products))
			continue
		}
		held, ok := k.now.Product(e.Product)
		if !ok {
			continue // said already
		}
		a := held.Doc.Aggregate
		if a == nil {
			k.fault(p, "broken-reference", path+".product", quote(e.Product)+", of type "+held.Doc.Type, "an aggregate product", "take it out")
			continue
		}
		var names []string
		for j := range a.Dimensions {
			d := &a.Dimensions[j]
			names = append(names, d.Name)
			for _, level := range d.Levels {
				names = append(names, level.Name)
			}
			if d.Name == e.Dimension {
				k.entitledCodes(p, e, d, path)
			}
		}
		if !slices.Contains(names, e.Dimension) {
			k.fault(p, "broken-reference", path+".dimension", quote(e.Dimension), "a dimension or level of "+e.Product+": "+list(names), suggestion(e.Dimension, names))
		}
	}
}

// entitledCodes refuses codes that a dimension with declared ones does not have:
// a mistyped one would grant nothing.
func (k *checker) entitledCodes(p Parsed, e Entitlement, d *Dimension, path string) {
	if len(d.Codes) == 0 {
		return
	}
	for i, code := range e.Codes {
		if !slices.Contains(d.Codes, code) && code != "other" && code != "null" {
			k.fault(p, "broken-reference", index(path+".codes", i), quote(code), "a code of "+d.Name+": "+list(d.Codes), suggestion(code, d.Codes))
		}
	}
}
