package admission

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// manifest takes an applied document.
func (w *World) manifest(e *ledger.Entry, m *ledger.Manifest) (faults, func()) {
	s := subject{m.Kind, m.ID}
	var f faults
	if got := ledger.Digest(m.Document); got != m.Digest {
		f.add(ClassDocument, s.String(), "the document's digest, "+got, m.Digest)
	}
	if next := w.documents[s].version + 1; m.Version != next {
		f.add(ClassDocument, s.String(), numbered("version", next), numbered("version", m.Version))
	}
	author := w.signed(&f, s, m)
	put := w.document
	if m.Kind == KindOperatorPolicy {
		put = w.policy
	}
	more, apply := put(e, m, author)
	f = append(f, more...)
	return f, func() {
		if apply == nil { // not a document; its number is taken all the same
			old := w.documents[s]
			old.version = m.Version
			w.documents[s] = old
			return
		}
		apply()
		w.documents[s] = document{bytes: m.Document, digest: m.Digest, version: m.Version}
		if vocabulary.RequiredApproval(vocabulary.Kind(m.Kind)) != "" {
			w.spent[m.Digest] = true
		}
	}
}

// signed checks a manifest's signatures: one of the operator's, the approval
// that the kind demands, and none that does not verify. It returns the key of
// the author.
func (w *World) signed(f *faults, s subject, m *ledger.Manifest) (author string) {
	if w.genesis == nil {
		return "" // said once, as a missing genesis
	}
	operator := ledger.FormatKey(w.genesis.Operator)
	required := vocabulary.RequiredApproval(vocabulary.Kind(m.Kind))
	approved := required == ""
	for _, sig := range m.Signatures {
		if sig.Role != string(vocabulary.RoleOperator) {
			w.approval(f, s.String(), m.Document, sig)
			approved = approved || sig.Role == string(required)
			continue
		}
		author = sig.Key
		switch {
		case sig.Key != operator:
			f.add(ClassSignature, s.String(), "the operator's key, "+operator, sig.Key)
		case !ledger.Verify(w.genesis.Operator, ledger.ContextManifest, m.Document, sig.Signature):
			f.add(ClassSignature, s.String(), "the operator's signature over this document", "one that does not verify")
		}
	}
	if author == "" {
		f.add(ClassSignature, s.String(), "the operator's signature", "none")
	}
	switch {
	case !approved:
		f.add(ClassApproval, s.String(), "the signature of "+string(required), "none")
	case required != "" && w.spent[m.Digest]: // an operator could undo what the body decided since
		f.add(ClassApproval, s.String(), "an approval of the "+string(required)+" that was not used before: what comes back is another document, signed anew", "the one of an earlier version")
	}
	return author
}

// document takes a vocabulary document.
func (w *World) document(e *ledger.Entry, m *ledger.Manifest, author string) (faults, func()) {
	var f faults
	what := m.Kind + " " + m.ID
	doc, err := vocabulary.DecodeCanonical(vocabulary.Kind(m.Kind), m.Document)
	if err != nil {
		f.add(ClassDocument, what, "a document of its kind", reason(err))
		return f, nil
	}
	if meta := doc.GetMeta(); string(meta.Kind) != m.Kind || meta.ID != m.ID {
		f.add(ClassDocument, what, "the kind and id of the document", string(meta.Kind)+" "+meta.ID)
		return f, nil
	}
	w.fits(&f, doc, m, e.Time.Time)
	apply := func() {}
	switch doc := doc.(type) {
	case *vocabulary.Authorisation:
		if w.operator != "" && doc.Operator != w.operator { // signed, but for somebody else
			f.add(ClassMeaning, what+", operator", "this domain's operator, "+w.operator, doc.Operator)
		}
	case *vocabulary.Product:
		apply = func() { w.revise(doc, m, author) }
	case *vocabulary.Enterprise:
		uri := vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: doc.ID}.URI()
		w.holdsKey(&f, what, uri, doc)
		apply = func() { w.owners[doc.SigningKey] = uri }
	case *vocabulary.Grant:
		g, err := newGrant(doc, m.Digest, w.typesOf(doc))
		if err != nil {
			f.add(ClassDocument, what, "a grant that can be made a policy", err.Error())
			return f, nil
		}
		apply = func() { w.allow(g) }
	case *vocabulary.Tariff:
		t, err := newTariff(doc, e)
		if err != nil {
			f.add(ClassDocument, what, "a tariff that can price", err.Error())
			return f, nil
		}
		apply = func() { w.tariffs[t.Product] = append(slices.Clip(w.tariffs[t.Product]), t) }
	}
	return f, func() {
		w.catalogue.Put(doc, e.Seq, e.Time.Time, m.Digest)
		apply()
	}
}

// fits checks what a document means beside those in force.
func (w *World) fits(f *faults, doc vocabulary.Document, m *ledger.Manifest, at time.Time) {
	parsed := vocabulary.Parsed{Doc: doc, Canonical: m.Document, Digest: m.Digest}
	for _, fault := range w.catalogue.Fits(parsed, vocabulary.DateOf(at)) {
		what := m.Kind + " " + m.ID
		if fault.Path != "" {
			what += ", " + fault.Path
		}
		f.add(ClassMeaning, what, fault.Expected, fault.Got)
	}
}

// holdsKey: an enrolled enterprise signs with the key that it enrolled.
func (w *World) holdsKey(f *faults, what, uri string, doc *vocabulary.Enterprise) {
	id, enrolled := w.identities[uri]
	if owner, taken := w.owners[doc.SigningKey]; taken && owner != uri {
		f.add(ClassKey, what, "a signing key that nobody else holds", "the key of "+owner)
	}
	if enrolled && ledger.FormatKey(id.Key) != doc.SigningKey {
		f.add(ClassKey, what, "the enrolled signing key, "+ledger.FormatKey(id.Key), doc.SigningKey)
	}
}

func (w *World) revise(doc *vocabulary.Product, m *ledger.Manifest, author string) {
	p := w.products[doc.ID]
	p.doc, p.digest, p.author, p.review = doc, m.Digest, author, 0
	if p.published != nil && p.digest == p.publishedSum {
		p.review = p.publishedFrom // back to what is served: its review holds
	}
	w.products[doc.ID] = p
}

// allow brings a grant into force. Policies of a grant's older versions are
// gone with it.
func (w *World) allow(g *grant) {
	id := g.doc.ID
	if old := w.grants[id]; old != nil && old.doc.Enterprise != g.doc.Enterprise {
		rest := slices.Clone(w.granted[old.doc.Enterprise])
		w.granted[old.doc.Enterprise] = slices.DeleteFunc(rest, func(other string) bool { return other == id })
	}
	if of := w.granted[g.doc.Enterprise]; !slices.Contains(of, id) {
		w.granted[g.doc.Enterprise] = append(slices.Clip(of), id)
	}
	w.grants[id] = g
}

// newTariff is one version of a tariff: it binds from its first day or its
// entry, whichever is later.
func newTariff(doc *vocabulary.Tariff, e *ledger.Entry) (fees.Tariff, error) {
	unit, err := fees.ParseMoney(doc.Price)
	if err != nil {
		return fees.Tariff{}, err
	}
	from, err := fees.ParseDay(string(doc.From))
	if err != nil {
		return fees.Tariff{}, err
	}
	var until time.Time
	if doc.Until != "" {
		if until, err = fees.ParseDay(string(doc.Until)); err != nil {
			return fees.Tariff{}, err
		}
	}
	return fees.Tariff{ID: doc.ID, Seq: e.Seq, Product: doc.Product, Basis: doc.Basis, Unit: unit,
		Trial: doc.Trial, From: from, Until: until, BoundAt: e.Time.Time}, nil
}

// reason is the first fault of a document, without the document.
func reason(err error) string {
	var all vocabulary.Faults
	if errors.As(err, &all) && len(all) > 0 {
		more := ""
		if len(all) > 1 {
			more = ", and " + strconv.Itoa(len(all)-1) + " more"
		}
		return all[0].Error() + more
	}
	return err.Error()
}

// policy takes a policy of the operator's own.
func (w *World) policy(_ *ledger.Entry, m *ledger.Manifest, _ string) (faults, func()) {
	var f faults
	what := m.Kind + " " + m.ID
	p, err := decodePolicy(m.Document)
	if err != nil {
		f.add(ClassDocument, what, "a policy document with forbids only", err.Error())
		return f, nil
	}
	if p.doc.ID != m.ID {
		f.add(ClassDocument, what, "the id of the document", p.doc.ID)
		return f, nil
	}
	if canonical, err := ledger.Canonical(m.Document); err != nil || !bytes.Equal(canonical, m.Document) {
		f.add(ClassDocument, what, "canonical JSON", "another form")
	}
	return f, func() { w.policies[m.ID] = p }
}
