package vocabulary

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
	}
	d.releaseColumns(p)
}
