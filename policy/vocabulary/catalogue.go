package vocabulary

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Document is a manifest: a pointer to one of the eight kinds.
type Document interface{ GetMeta() Meta }

// GetMeta returns what every manifest begins with.
func (m Meta) GetMeta() Meta { return m }

// Stored says where a document in force came from.
type Stored struct {
	Version int       // 1, 2, … per kind and id
	Seq     int64     // its manifest entry
	BoundAt time.Time // that entry's time
	Digest  string    // of its canonical form
}

// Held is a document in force with where it came from.
type Held[D Document] struct {
	Doc D
	Stored
}

// Catalogue is every manifest in force, by kind and id (资源目录). Documents in
// it are shared and never changed; Put replaces. It is not safe for a Put
// beside other calls: Clone first.
type Catalogue struct {
	held    map[Kind]map[string]Held[Document]
	tariffs map[string][]Held[*Tariff] // by product: all versions, see TariffVersions
}

// NewCatalogue returns an empty catalogue.
func NewCatalogue() *Catalogue {
	return &Catalogue{held: map[Kind]map[string]Held[Document]{}, tariffs: map[string][]Held[*Tariff]{}}
}

// Clone returns a catalogue that can be changed without changing c. It costs
// one map per kind; documents are shared.
func (c *Catalogue) Clone() *Catalogue {
	next := NewCatalogue()
	for kind, docs := range c.held {
		next.held[kind] = maps.Clone(docs)
	}
	next.tariffs = maps.Clone(c.tariffs)
	return next
}

// Put brings doc into force. It checks nothing: Check does, before.
func (c *Catalogue) Put(doc Document, seq int64, boundAt time.Time, digest string) Stored {
	meta := doc.GetMeta()
	docs := c.held[meta.Kind]
	if docs == nil {
		docs = map[string]Held[Document]{}
		c.held[meta.Kind] = docs
	}
	stored := Stored{Version: docs[meta.ID].Version + 1, Seq: seq, BoundAt: boundAt, Digest: digest}
	docs[meta.ID] = Held[Document]{Doc: doc, Stored: stored}
	if t, ok := doc.(*Tariff); ok { // never into a clone's memory
		c.tariffs[t.Product] = append(slices.Clip(c.tariffs[t.Product]), Held[*Tariff]{Doc: t, Stored: stored})
	}
	return stored
}

// Get returns the document of a kind and id, whatever its type.
func (c *Catalogue) Get(kind Kind, id string) (Held[Document], bool) {
	held, ok := c.held[kind][id]
	return held, ok
}

// All yields every document, in the order of Kinds and then by id.
func (c *Catalogue) All(yield func(Document, Stored) bool) {
	for _, kind := range Kinds {
		for _, id := range slices.Sorted(maps.Keys(c.held[kind])) {
			held := c.held[kind][id]
			if !yield(held.Doc, held.Stored) {
				return
			}
		}
	}
}

// Resource returns a resource by id.
func (c *Catalogue) Resource(id string) (Held[*Resource], bool) {
	return one[*Resource](c, KindResource, id)
}

// Product returns a product by id.
func (c *Catalogue) Product(id string) (Held[*Product], bool) {
	return one[*Product](c, KindProduct, id)
}

// Enterprise returns an enterprise by credit code.
func (c *Catalogue) Enterprise(code string) (Held[*Enterprise], bool) {
	return one[*Enterprise](c, KindEnterprise, code)
}

// Grant returns a grant by id.
func (c *Catalogue) Grant(id string) (Held[*Grant], bool) { return one[*Grant](c, KindGrant, id) }

// Tariff returns a tariff by id.
func (c *Catalogue) Tariff(id string) (Held[*Tariff], bool) { return one[*Tariff](c, KindTariff, id) }

// Resources returns all resources, by id.
func (c *Catalogue) Resources() []Held[*Resource] { return every[*Resource](c, KindResource) }

// Products returns all products, by id.
func (c *Catalogue) Products() []Held[*Product] { return every[*Product](c, KindProduct) }

// Enterprises returns all enterprises, by credit code.
func (c *Catalogue) Enterprises() []Held[*Enterprise] { return every[*Enterprise](c, KindEnterprise) }

// Grants returns all grants, by id.
func (c *Catalogue) Grants() []Held[*Grant] { return every[*Grant](c, KindGrant) }

// GrantsOf returns an enterprise's grants, the earliest to expire first and
// then by id.
func (c *Catalogue) GrantsOf(enterprise string) []Held[*Grant] {
	grants := slices.DeleteFunc(c.Grants(), func(g Held[*Grant]) bool { return g.Doc.Enterprise != enterprise })
	slices.SortStableFunc(grants, func(a, b Held[*Grant]) int { return cmp.Compare(a.Doc.Until, b.Doc.Until) })
	return grants
}

// Tariffs returns a product's tariffs, the earliest effective first; of one
// day, the one applied first.
func (c *Catalogue) Tariffs(product string) []Held[*Tariff] {
	tariffs := slices.DeleteFunc(every[*Tariff](c, KindTariff), func(t Held[*Tariff]) bool { return t.Doc.Product != product })
	slices.SortStableFunc(tariffs, func(a, b Held[*Tariff]) int {
		return cmp.Or(cmp.Compare(a.Doc.From, b.Doc.From), cmp.Compare(a.Seq, b.Seq))
	})
	return tariffs
}

// TariffVersions returns every version of a product's tariffs in the order in
// which they were applied. An older version prices until the next one binds.
func (c *Catalogue) TariffVersions(product string) []Held[*Tariff] {
	return slices.Clone(c.tariffs[product])
}

// Ceilings returns a product's ceilings, the earliest effective first; of one
// day, the one applied first.
func (c *Catalogue) Ceilings(product string) []Held[*Ceiling] {
	ceilings := slices.DeleteFunc(every[*Ceiling](c, KindCeiling), func(t Held[*Ceiling]) bool { return t.Doc.Product != product })
	slices.SortStableFunc(ceilings, func(a, b Held[*Ceiling]) int {
		return cmp.Or(cmp.Compare(a.Doc.From, b.Doc.From), cmp.Compare(a.Seq, b.Seq))
	})
	return ceilings
}

// Authorisations returns all authorisations, by id.
func (c *Catalogue) Authorisations() []Held[*Authorisation] {
	return every[*Authorisation](c, KindAuthorisation)
}

// NegativeLists returns all negative lists, by id.
func (c *Catalogue) NegativeLists() []Held[*NegativeList] {
	return every[*NegativeList](c, KindNegativeList)
}

func one[D Document](c *Catalogue, kind Kind, id string) (Held[D], bool) {
	held, ok := c.held[kind][id]
	if !ok {
		return Held[D]{}, false
	}
	doc, ok := held.Doc.(D)
	return Held[D]{Doc: doc, Stored: held.Stored}, ok
}

func every[D Document](c *Catalogue, kind Kind) []Held[D] {
	docs := make([]Held[D], 0, len(c.held[kind]))
	for _, id := range slices.Sorted(maps.Keys(c.held[kind])) {
		if held, ok := one[D](c, kind, id); ok {
			docs = append(docs, held)
		}
	}
	return docs
}
