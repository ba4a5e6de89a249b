package vocabulary

import (
	"fmt"
	"slices"
	"strings"
)

// grant holds a grant to what exists and to an authorisation
// (严禁未经授权超范围使用).
func (k *checker) grant(p Parsed, g *Grant) {
	if before, ok := k.old.Grant(g.ID); ok {
		k.same(p, "enterprise", g.Enterprise, before.Doc.Enterprise)
	}
	k.refers(p, "enterprise", KindEnterprise, g.Enterprise)
	seen := map[string]bool{}
	for i, id := range g.Products {
		path := index("products", i)
		if !k.refers(p, path, KindProduct, id) {
			continue
		}
		held, _ := k.now.Product(id)
		product := held.Doc
		if product.Sandbox {
			k.fault(p, "sandbox-granted", path, "the sandbox product "+id, "products that need a grant", "take it out; everybody may use the sandbox")
			continue
		}
		if units := []string{product.Unit(), UnitCalls}; !slices.ContainsFunc(g.Quotas, func(q Quota) bool { return slices.Contains(units, q.Unit) }) {
			k.fault(p, "no-quota", "quotas", "no quota that counts the use of "+id, "one of "+list(units), "add e.g. {unit: "+product.Unit()+", per: month, limit: 1000}")
		}
		for j, purpose := range g.Purposes {
			if _, ok := product.LegalBasis[purpose]; !ok {
				k.fault(p, "purpose-without-basis", index("purposes", j), fmt.Sprintf("%s, for which product %s names no legal basis", purpose, id), "purposes of every product: "+basisOf(product), "grant the products apart, or add the basis to the product")
			}
		}
		for _, f := range k.outside(g, i, product) {
			key := f.path + f.got
			if !seen[key] { // two products, one term
				k.fault(p, "outside-authorisation", f.path, f.got, f.expected, "")
			}
			seen[key] = true
		}
	}
	k.entitlements(p, g)
}

func basisOf(p *Product) string {
	return joinPurposes(slices.DeleteFunc(slices.Clone(Purposes), func(purpose Purpose) bool {
		_, ok := p.LegalBasis[purpose]
		return !ok
	}))
}

// outside says how a grant's product leaves every authorisation: by the one
// that comes closest. A grant must fit in one authorisation per product; terms
// of two do not add up.
func (k *checker) outside(g *Grant, i int, p *Product) []breach {
	resource, ok := k.now.Resource(p.Resource)
	if !ok {
		return nil // the product's own fault
	}
	path := index("products", i)
	authorisations := k.now.Authorisations()
	if len(authorisations) == 0 {
		return []breach{{path, p.ID + ", and nothing is authorised", "an authorisation by the authorising body that covers it"}}
	}
	var closest []breach
	var scopes []string
	for _, a := range authorisations {
		if !a.Doc.Covers(p, resource.Doc) {
			scopes = append(scopes, a.Doc.ID+" ("+a.Doc.scope()+")")
			continue
		}
		found := a.Doc.leftBy(g)
		if len(found) == 0 {
			return nil
		}
		if closest == nil || len(found) < len(closest) {
			closest = found
		}
	}
	if closest == nil {
		return []breach{{path, fmt.Sprintf("%s, over %s of category %s, scenario %s", p.ID, resource.Doc.ID, resource.Doc.Category, p.Scenario), "a product within " + list(scopes)}}
	}
	return closest
}

// scope says in words what an authorisation covers.
func (a *Authorisation) scope() string {
	scope := "whole"
	switch a.Mode {
	case "sector":
		scope = "sectors " + strings.Join(a.Sectors, ", ")
	case "scenario":
		scope = "scenarios " + strings.Join(a.Scenarios, ", ")
	}
	if len(a.Resources) > 0 {
		scope += ", resources " + strings.Join(a.Resources, ", ")
	}
	return scope
}

// leftBy says how a grant leaves an authorisation that covers its product.
func (a *Authorisation) leftBy(g *Grant) []breach {
	var found []breach
	for i, purpose := range g.Purposes {
		if !slices.Contains(a.Purposes, purpose) {
			found = append(found, breach{index("purposes", i), string(purpose), fmt.Sprintf("a purpose of authorisation %s: %s", a.ID, joinPurposes(a.Purposes))})
		}
	}
	if g.From < a.From {
		found = append(found, breach{"from", string(g.From), fmt.Sprintf("a day not before authorisation %s begins, %s", a.ID, a.From)})
	}
	if g.From > a.Until {
		found = append(found, breach{"from", string(g.From), fmt.Sprintf("a day not after authorisation %s ends, %s", a.ID, a.Until)})
	}
	if g.Until > a.Until {
		found = append(found, breach{"until", string(g.Until), fmt.Sprintf("a day not after authorisation %s ends, %s", a.ID, a.Until)})
	}
	return found
}

func joinPurposes(purposes []Purpose) string {
	names := make([]string, len(purposes))
	for i, purpose := range purposes {
		names[i] = string(purpose)
	}
	return strings.Join(names, ", ")
}
