package vocabulary

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Evidence is what Check needs beside the documents.
type Evidence struct {
	Today      Date              // in China Standard Time
	Approvals  []Approval        // of FILE.approvals
	Authoriser ed25519.PublicKey // pinned at init
}

// Check says what stands against applying the documents together: each against
// all that would then be in force, in whatever order they come; the approvals
// that some kinds demand; and what the change would break in documents that
// stay. A document that is in force already, byte for byte, is passed over. A
// new negative list, a new grade or an authorisation's end is never refused for
// the products it stops: admission stops them.
func (c *Catalogue) Check(docs []Parsed, evidence Evidence) Faults {
	k := checker{old: c, now: c.Clone(), today: evidence.Today}
	first := map[string]Position{}
	changes := map[string]bool{}
	var changed []Parsed
	for _, p := range docs {
		meta := p.Doc.GetMeta()
		key := string(meta.Kind) + " " + meta.ID
		if at, twice := first[key]; twice {
			k.fault(p, "repeated-document", "id", key+" again (first at "+at.String()+")", "each document once", "remove one of the two")
			continue
		}
		first[key] = p.At("")
		if !c.Has(p) {
			changed = append(changed, p)
			changes[key] = true
			k.put(p)
		}
	}
	for _, p := range changed {
		k.fits(p)
		k.approved(p, evidence)
		k.consequences(p, changes)
	}
	return k.done()
}

// Fits says what stands against one document beside those in force, as Check
// does, but without approvals and without what it would break in others. It is
// what an auditor asks of each manifest entry in turn.
func (c *Catalogue) Fits(doc Parsed, today Date) Faults {
	k := checker{old: c, now: c, today: today}
	if _, ok := doc.Doc.(*Tariff); ok { // the one kind that is looked at among its like
		k.now = c.Clone()
		k.put(doc)
	}
	k.fits(doc)
	return k.done()
}

// Has says whether the document is in force already, byte for byte.
func (c *Catalogue) Has(doc Parsed) bool {
	meta := doc.Doc.GetMeta()
	held, ok := c.Get(meta.Kind, meta.ID)
	return ok && held.Digest == doc.Digest
}

// Order sorts documents so that each comes after those it refers to, and
// otherwise leaves their order.
func Order(docs []Parsed) []Parsed {
	sorted := slices.Clone(docs)
	slices.SortStableFunc(sorted, func(a, b Parsed) int {
		return cmp.Compare(slices.Index(Kinds, a.Doc.GetMeta().Kind), slices.Index(Kinds, b.Doc.GetMeta().Kind))
	})
	return sorted
}

// checker holds documents against the catalogue as it would be.
type checker struct {
	report
	old, now *Catalogue
	today    Date
	puts     int64
}

// pending is the first sequence of documents that are not applied yet.
const pending = int64(1) << 62

// put brings a document into the catalogue as it would be: today, after all
// others.
func (k *checker) put(p Parsed) {
	k.now.Put(p.Doc, pending+k.puts, k.today.end(), p.Digest)
	k.puts++
}

func (k *checker) fault(p Parsed, id, path, got, expected, fix string) {
	k.add(Fault{ID: id, Position: p.At(path), Path: path, Got: got, Expected: expected, Fix: fix})
}

func (k *checker) fits(p Parsed) {
	switch doc := p.Doc.(type) {
	case *Authorisation:
		for i, id := range doc.Resources {
			k.refers(p, index("resources", i), KindResource, id)
		}
	case *Resource:
		k.registration(p, doc.Registration, KindResource)
		k.columnsStay(p, doc)
	case *Product:
		k.registration(p, doc.Registration, KindProduct)
		k.product(p, doc)
	case *Enterprise:
		k.ownKey(p, doc)
	case *Grant:
		k.grant(p, doc)
	case *Ceiling:
		k.ceiling(p, doc)
	case *Tariff:
		k.tariff(p, doc)
	case *NegativeList:
		k.negativeList(p, doc)
	}
}

// refers demands that a document exists, and says which do.
func (k *checker) refers(p Parsed, path string, kind Kind, id string) bool {
	if _, ok := k.now.Get(kind, id); ok {
		return true
	}
	ids := slices.Sorted(maps.Keys(k.now.held[kind]))
	fix := suggestion(id, ids)
	if fix == "" || kind == KindEnterprise { // another enterprise's code is never what was meant
		fix = fmt.Sprintf("apply the %s first, or with this file", kind)
	}
	k.fault(p, "broken-reference", path, quote(id), fmt.Sprintf("a registered %s: %s", kind, list(ids)), fix)
	return false
}

// same refuses to change what an id stands for.
func (k *checker) same(p Parsed, path, now, before string) {
	if now != before {
		k.fault(p, "immutable", path, quote(now), quote(before)+", which this id stands for", "give the new document an id of its own")
	}
}

func (k *checker) registration(p Parsed, number string, kind Kind) {
	for _, held := range k.now.held[kind] {
		other := ""
		switch doc := held.Doc.(type) {
		case *Resource:
			other = doc.Registration
		case *Product:
			other = doc.Registration
		}
		if id := held.Doc.GetMeta().ID; id != p.Doc.GetMeta().ID && other == number {
			k.fault(p, "registration-taken", "registration", quote(number), "a number of its own", "it is "+id+"'s")
		}
	}
}

// columnsStay: sealed data and products rely on a resource's columns.
func (k *checker) columnsStay(p Parsed, r *Resource) {
	before, ok := k.old.Resource(r.ID)
	if !ok {
		return
	}
	for _, column := range before.Doc.Columns {
		switch now, ok := r.Column(column.Name); {
		case !ok:
			k.fault(p, "immutable", "columns", "no column "+column.Name, "all columns of the version before", "keep it; role hidden takes it out of use")
		case now.Type != column.Type:
			k.fault(p, "immutable", index("columns", columnIndex(r, column.Name))+".type", now.Type, column.Type+", as in the version before", "add a column with the new type under another name")
		}
	}
}

func columnIndex(r *Resource, name string) int {
	return slices.IndexFunc(r.Columns, func(c Column) bool { return c.Name == name })
}

func (k *checker) ownKey(p Parsed, e *Enterprise) {
	for _, held := range k.now.held[KindEnterprise] { // unsorted: there may be many
		if other, ok := held.Doc.(*Enterprise); ok && other.ID != e.ID && other.SigningKey == e.SigningKey {
			k.fault(p, "key-taken", "signingKey", "the key of "+other.ID, "a key of its own", "make one with: yingbi identity new")
		}
	}
}

// negativeList refuses names of nothing: a mistyped item would protect nothing.
func (k *checker) negativeList(p Parsed, n *NegativeList) {
	for i, item := range n.Columns {
		of, column := splitColumn(item)
		path := index("columns", i)
		if of == "*" || !k.refers(p, path, KindResource, of) {
			continue
		}
		resource, _ := k.now.Resource(of)
		if _, ok := resource.Doc.Column(column); !ok {
			names := columnNames(resource.Doc)
			k.fault(p, "broken-reference", path, quote(column), fmt.Sprintf("a column of %s: %s", of, list(names)), suggestion(column, names))
		}
	}
}

// approved demands the approval that a kind needs.
func (k *checker) approved(p Parsed, evidence Evidence) {
	meta := p.Doc.GetMeta()
	role := RequiredApproval(meta.Kind)
	if role == "" {
		return
	}
	// Whatever is wrong with an approval, making a good one is the remedy.
	fix := fmt.Sprintf("run: yingbi approve %s --identity DIR, with the %s's identity", cmp.Or(p.At("").File, "FILE"), role)
	expected := fmt.Sprintf("the %s's approval of %s", role, p.Digest)
	if len(evidence.Authoriser) != ed25519.PublicKeySize {
		k.fault(p, "missing-approval", "", fmt.Sprintf("no pinned key of the %s", role), expected, "the key is pinned by: yingbi init --authoriser KEY")
		return
	}
	id, got := "missing-approval", "no approval"
	for _, approval := range evidence.Approvals {
		if approval.Kind != meta.Kind || approval.ID != meta.ID {
			continue
		}
		err := approval.Verify(p.Canonical, evidence.Authoriser)
		if err == nil {
			return
		}
		id, got = whyNot(err, approval)
	}
	k.fault(p, id, "", got, expected, fix)
}

func whyNot(err error, a Approval) (id, got string) {
	switch {
	case errors.Is(err, ErrApprovalDocument):
		return "approval-of-other", "an approval of another version, " + a.Digest
	case errors.Is(err, ErrApprovalRole):
		return "approval-wrong-role", "an approval by role " + quote(a.Signature.Role)
	case errors.Is(err, ErrApprovalKey):
		return "approval-wrong-key", "an approval by the key " + a.Signature.Key + ", which is not pinned"
	}
	return "approval-bad-signature", "an approval whose signature does not verify"
}

// Signatures are the approvals that count for a document, for its entry: the
// first of the role that its kind demands, or none.
func (e Evidence) Signatures(p Parsed) []ledger.Signature {
	meta := p.Doc.GetMeta()
	if RequiredApproval(meta.Kind) == "" {
		return nil
	}
	for _, approval := range e.Approvals {
		if approval.Kind == meta.Kind && approval.ID == meta.ID && approval.Verify(p.Canonical, e.Authoriser) == nil {
			return []ledger.Signature{approval.Signature}
		}
	}
	return nil
}

// consequences finds what a change breaks in documents that stay as they are.
// Those that change with it have their own faults.
func (k *checker) consequences(p Parsed, changes map[string]bool) {
	switch doc := p.Doc.(type) {
	case *Resource:
		for _, product := range k.now.Products() {
			if product.Doc.Resource == doc.ID && !changes["Product "+product.Doc.ID] {
				k.breaks(p, doc, product.Doc)
			}
		}
	case *Product:
		if tariffs := k.now.Tariffs(doc.ID); doc.Sandbox && len(tariffs) > 0 {
			k.fault(p, "sandbox-priced", "sandbox", "true", "no sandbox, as tariff "+tariffs[0].Doc.ID+" prices the product", "give the sandbox an id of its own")
		}
	case *Ceiling:
		k.undercuts(p, "amount", doc.Product)
	case *Tariff:
		k.undercuts(p, "from", doc.Product) // one that ended earlier may come back
	}
}

// breaks says which columns a product could no longer use.
func (k *checker) breaks(p Parsed, r *Resource, product *Product) {
	for _, wrong := range k.misuses(product, r) {
		k.fault(p, "breaks-product", wrong.columnPath, "a change that breaks product "+product.ID+": "+wrong.got, wrong.expected, "change the product with it")
	}
	if product.Aggregate != nil {
		for _, wrong := range unfit(product, r) {
			k.fault(p, "breaks-product", wrong.columnPath, "a change that breaks product "+product.ID+": "+wrong.got, wrong.expected, "change the product with it")
		}
	}
	if product.Sandbox && !r.Synthetic {
		k.fault(p, "breaks-product", "synthetic", "real data", "synthetic: true, as the sandbox product "+product.ID+" is over it", "")
	}
}
