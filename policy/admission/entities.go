package admission

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// entity is a Cedar entity and its canonical JSON, which is what is digested.
type entity struct {
	cedar cedar.Entity
	json  []byte
}

// attributes of an entity: bool, string, int64, []string (a set) or an entity's
// UID.
type attributes map[string]any

func newEntity(uid cedar.EntityUID, attrs attributes, parents ...cedar.EntityUID) (entity, error) {
	record := cedar.RecordMap{}
	plain := map[string]any{}
	for name, value := range attrs {
		plain[name] = value
		switch v := value.(type) {
		case bool:
			record[cedar.String(name)] = cedar.Boolean(v)
		case string:
			record[cedar.String(name)] = cedar.String(v)
		case int64:
			record[cedar.String(name)] = cedar.Long(v)
		case []string:
			members := make([]cedar.Value, len(v))
			for i, s := range v {
				members[i] = cedar.String(s)
			}
			record[cedar.String(name)] = cedar.NewSet(members...)
		case cedar.EntityUID:
			record[cedar.String(name)] = v
			plain[name] = plainUID(v)
		}
	}
	above := make([]any, len(parents))
	for i, p := range parents {
		above[i] = plainUID(p)
	}
	text, err := ledger.Canonical(map[string]any{"uid": plainUID(uid), "attrs": plain, "parents": above})
	if err != nil {
		return entity{}, err
	}
	return entity{
		cedar: cedar.Entity{UID: uid, Parents: cedar.NewEntityUIDSet(parents...), Attributes: cedar.NewRecord(record)},
		json:  text,
	}, nil
}

func plainUID(uid cedar.EntityUID) map[string]any {
	return map[string]any{"type": string(uid.Type), "id": string(uid.ID)}
}

func uid(kind, id string) cedar.EntityUID {
	return cedar.NewEntityUID(cedar.EntityType(kind), cedar.String(id))
}

// productFacts are what admission derives from a product beside the documents
// in force: its resource, the negative lists, the grade table, the scopes of
// authorisations.
type productFacts struct {
	grade        vocabulary.Grade
	category     string
	personal     bool
	synthetic    bool
	negative     bool
	gradePermits bool
	needsConsent bool
	covering     []string // authorisations whose scope it is in, sorted
}

func (w *World) productFacts(doc *vocabulary.Product) productFacts {
	var f productFacts
	held, ok := w.catalogue.Resource(doc.Resource)
	if !ok {
		return f // no grade permits an unknown resource
	}
	r := held.Doc
	f.grade, f.category, f.personal, f.synthetic = r.Grade, r.Category, r.PersonalInformation, r.Synthetic
	_, forbids := w.catalogue.GradeForbids(doc)
	f.gradePermits = !forbids
	f.needsConsent = w.catalogue.NeedsConsent(doc)
	_, f.negative = w.catalogue.Listed(doc)
	for _, a := range w.catalogue.Authorisations() {
		if a.Doc.Covers(doc, r) {
			f.covering = append(f.covering, a.Doc.ID)
		}
	}
	slices.Sort(f.covering)
	return f
}

// assessedUntil is the end of the last day of a product's risk assessment.
func assessedUntil(doc *vocabulary.Product) (time.Time, error) {
	span, err := days(doc.Assessment.Expires, doc.Assessment.Expires)
	return span.until, err
}

// productView is what a product looks like to the policies: itself, its
// resource and the authorisations that cover it.
type productView struct {
	doc      *vocabulary.Product // nil: unknown
	entities map[cedar.EntityUID]entity
	before   []byte // canonical JSON of those that sort before Enterprise
	after    []byte // and after
}

func (w *World) viewProduct(id string) (*productView, error) {
	doc, status, ok := w.Product(id)
	attrs := attributes{
		"status": statusUnknown, "serves": uid("Action", ""), "sandbox": false, "scenario": "",
		"purposes": []string{}, "maxBatch": int64(0), "assessedUntil": int64(0),
		"negativeListed": false, "gradePermits": false, "grade": "", "category": "", "personalInformation": false, "needsConsent": false,
	}
	var all []entity
	var parents []cedar.EntityUID
	if ok {
		facts := w.productFacts(doc)
		assessed, err := assessedUntil(doc)
		if err != nil {
			return nil, err
		}
		purposes := make([]string, 0, len(doc.LegalBasis))
		for _, p := range slices.Sorted(maps.Keys(doc.LegalBasis)) {
			purposes = append(purposes, string(p))
		}
		attrs = attributes{
			"status": string(status), "serves": uid("Action", doc.Type), "scenario": doc.Scenario,
			"sandbox":  doc.Sandbox && facts.synthetic, // made-up data only
			"purposes": purposes, "maxBatch": int64(doc.Batch()), "assessedUntil": assessed.UnixMilli(),
			"negativeListed": facts.negative, "gradePermits": facts.gradePermits,
			"grade": string(facts.grade), "category": facts.category, "personalInformation": facts.personal, "needsConsent": facts.needsConsent,
		}
		around, err := w.around(doc, facts)
		if err != nil {
			return nil, err
		}
		for _, e := range around {
			parents = append(parents, e.cedar.UID)
		}
		all = around
	} else {
		doc = nil
	}
	self, err := newEntity(uid("Product", id), attrs, parents...)
	if err != nil {
		return nil, err
	}
	return arrange(doc, append(all, self)), nil
}

// around are the entities that a product is in.
func (w *World) around(doc *vocabulary.Product, facts productFacts) ([]entity, error) {
	var out []entity
	for _, id := range facts.covering {
		stopped := w.halted[subject{string(vocabulary.KindAuthorisation), id}] || w.revoked[subject{string(vocabulary.KindAuthorisation), id}]
		a, err := newEntity(uid("Authorisation", id), attributes{"stopped": stopped})
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	r, err := newEntity(uid("Resource", doc.Resource), attributes{
		"grade": string(facts.grade), "category": facts.category,
		"personalInformation": facts.personal, "synthetic": facts.synthetic,
	})
	if err != nil {
		return nil, err
	}
	return append(out, r), nil
}

// arrange sorts a product's entities by type and id, and leaves the place of the
// enterprise open.
func arrange(doc *vocabulary.Product, all []entity) *productView {
	slices.SortFunc(all, func(a, b entity) int {
		return cmp.Or(strings.Compare(string(a.cedar.UID.Type), string(b.cedar.UID.Type)),
			strings.Compare(string(a.cedar.UID.ID), string(b.cedar.UID.ID)))
	})
	v := &productView{doc: doc, entities: map[cedar.EntityUID]entity{}}
	var before, after [][]byte
	for _, e := range all {
		v.entities[e.cedar.UID] = e
		if e.cedar.UID.Type < "Enterprise" {
			before = append(before, e.json)
		} else {
			after = append(after, e.json)
		}
	}
	v.before, v.after = bytes.Join(before, []byte(",")), bytes.Join(after, []byte(","))
	return v
}

// enterpriseView is what an enterprise looks like to the policies, and the
// permits that can be its.
type enterpriseView struct {
	registered bool
	entity     entity
	grants     []*grant // not revoked, the earliest to expire first
}

func (w *World) viewEnterprise(code string) (*enterpriseView, error) {
	attrs := attributes{"registered": false, "standing": standingUnknown, "jurisdiction": ""}
	held, registered := w.catalogue.Enterprise(code)
	if registered {
		attrs = attributes{"registered": true, "standing": w.Standing(code), "jurisdiction": held.Doc.Jurisdiction}
	}
	self, err := newEntity(uid("Enterprise", code), attrs)
	if err != nil {
		return nil, err
	}
	v := &enterpriseView{registered: registered, entity: self}
	for _, g := range w.grantsOf(code) {
		if !w.revoked[g.subject()] {
			v.grants = append(v.grants, g)
		}
	}
	return v, nil
}

// pair is the entities of one request.
type pair struct {
	enterprise *enterpriseView
	product    *productView
}

// Get implements cedar's EntityGetter.
func (p pair) Get(id cedar.EntityUID) (cedar.Entity, bool) {
	if id == p.enterprise.entity.cedar.UID {
		return p.enterprise.entity.cedar, true
	}
	e, ok := p.product.entities[id]
	return e.cedar, ok
}

// digest is over the canonical JSON array of the entities.
func (p pair) digest() string { return ledger.Digest(p.json()) }

func (p pair) json() []byte {
	b := make([]byte, 0, len(p.product.before)+len(p.product.after)+len(p.enterprise.entity.json)+4)
	b = append(b, '[')
	if len(p.product.before) > 0 {
		b = append(append(b, p.product.before...), ',')
	}
	b = append(append(b, p.enterprise.entity.json...), ',')
	return append(append(b, p.product.after...), ']')
}
