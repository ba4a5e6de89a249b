package vocabulary

import (
	"slices"
	"strings"
)

// Covers says whether a product over a resource lies in the authorisation's
// scope: by its mode, within its list of resources if it has one.
func (a *Authorisation) Covers(p *Product, r *Resource) bool {
	if len(a.Resources) > 0 && !slices.Contains(a.Resources, r.ID) {
		return false
	}
	switch a.Mode {
	case "whole":
		return true
	case "sector":
		return slices.Contains(a.Sectors, r.Category)
	case "scenario":
		return slices.Contains(a.Scenarios, p.Scenario)
	}
	return false
}

// Listed says whether a product uses what a negative list names, and names the
// item: a column it uses, or its resource's category.
func (c *Catalogue) Listed(p *Product) (item string, hit bool) {
	item, _, hit = c.listed(p)
	return item, hit
}

// listed says besides at which field of the product.
func (c *Catalogue) listed(p *Product) (item, path string, hit bool) {
	resource, known := c.Resource(p.Resource)
	for _, list := range c.NegativeLists() {
		for _, use := range p.uses() {
			for _, item := range list.Doc.Columns {
				of, column := splitColumn(item)
				if column == use.column && (of == "*" || of == p.Resource) {
					return item, use.path, true
				}
			}
		}
		if known && slices.Contains(list.Doc.Categories, resource.Doc.Category) {
			return resource.Doc.Category, "resource", true
		}
	}
	return "", "", false
}

// splitColumn cuts resource.column at its last dot: ids have dots, columns none.
func splitColumn(item string) (resource, column string) {
	at := strings.LastIndexByte(item, '.')
	return item[:max(at, 0)], item[at+1:]
}

// GradeForbids says whether a product is weaker than the grade of its resource
// permits, as it may be after the resource was graded anew, and why.
func (c *Catalogue) GradeForbids(p *Product) (why string, hit bool) {
	resource, ok := c.Resource(p.Resource)
	if !ok {
		return "its resource " + p.Resource + " is not registered", true
	}
	for _, breach := range RuleFor(resource.Doc.Grade, p.Type).breaches(p) {
		return breach.path + ": got " + breach.got + ", expected " + breach.expected, true
	}
	return "", false
}

// NeedsConsent says whether a product's jobs must carry a consent root: the
// resource holds personal information and its grade asks for it.
func (c *Catalogue) NeedsConsent(p *Product) bool {
	resource, ok := c.Resource(p.Resource)
	return ok && resource.Doc.PersonalInformation && RuleFor(resource.Doc.Grade, p.Type).Consent
}
