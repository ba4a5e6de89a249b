package admission

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Status is where a product stands in its lifecycle.
type Status string

// The statuses (see the package comment for the moves).
const (
	StatusDraft     Status = "draft"
	StatusReviewed  Status = "reviewed"
	StatusPublished Status = "published"
	StatusSuspended Status = "suspended"
	StatusWithdrawn Status = "withdrawn"

	statusUnknown = "unknown" // no such product; in entities only
)

// Live is a published version of a product's operand.
type Live struct {
	Product        string
	Epoch, Version int
	Seq            int64  // the publish entry
	Population     int64  // subjects, or cells
	Regime         string // of cells: disclosure or privacy
	Descriptor     json.RawMessage
	At             time.Time
}

// Digest is the descriptor's digest, as settled jobs name it.
func (l Live) Digest() string { return ledger.Digest(l.Descriptor) }

// Revision is a product's newest document: what a review signs and a
// publication makes binding.
type Revision struct {
	Doc      *vocabulary.Product
	Document json.RawMessage // canonical
	Digest   string
	Author   string // the key that signed its manifest
	Status   Status // draft, reviewed, or published where it is the one that is served
	Review   int64  // the newest review entry over it; 0: none
}

// product is immutable: a change replaces it in the map, and its slices.
type product struct {
	doc    *vocabulary.Product // newest
	digest string
	author string
	review int64 // of digest; 0: none (entry 0 is the genesis)

	published     *vocabulary.Product // served; nil: never published
	publishedSum  string
	publishedFrom int64 // its review
	epochs        []epoch

	suspended, stopped, withdrawn bool
}

// epoch is one epoch of a product: number i+1 at index i.
type epoch struct {
	newest Live
	doc    *vocabulary.Product // under which newest was published
	ended  time.Time           // when the next epoch was published; zero: it is the live one

	shut    bool  // nothing is served from it any more: its key, or a column under it, is gone
	keyGone int64 // the entry that ended its key; 0: it is kept
}

func (p product) status() Status {
	switch {
	case p.withdrawn:
		return StatusWithdrawn
	case p.published != nil && (p.suspended || p.stopped):
		return StatusSuspended
	case p.published != nil:
		return StatusPublished
	case p.review != 0:
		return StatusReviewed
	}
	return StatusDraft
}

// Product returns the document that is served, or the newest one if none was
// ever published, and where the product stands.
func (w *World) Product(id string) (*vocabulary.Product, Status, bool) {
	p, ok := w.products[id]
	if !ok {
		return nil, "", false
	}
	if p.published != nil {
		return p.published, p.status(), true
	}
	return p.doc, p.status(), true
}

// Newest returns a product's newest document, which may be a draft beside the
// one that is served.
func (w *World) Newest(id string) (Revision, bool) {
	p, ok := w.products[id]
	if !ok {
		return Revision{}, false
	}
	status := StatusDraft
	switch {
	case p.published != nil && p.digest == p.publishedSum:
		status = StatusPublished
	case p.review != 0:
		status = StatusReviewed
	}
	document := w.documents[subject{string(vocabulary.KindProduct), id}].bytes
	return Revision{Doc: p.doc, Document: document, Digest: p.digest, Author: p.author, Status: status, Review: p.review}, true
}

// Live returns a product's newest published version. Whether it may be served is
// Product's to say.
func (w *World) Live(product string) (Live, bool) {
	epochs := w.products[product].epochs
	if len(epochs) == 0 {
		return Live{}, false
	}
	return epochs[len(epochs)-1].newest, true
}

// Served returns the newest version of an epoch, if that epoch is the live one
// or within the grace that its document promised after the next was published.
func (w *World) Served(product string, number int, now time.Time) (Live, bool) {
	e, ok := w.epoch(product, number)
	if !ok || !now.Before(e.until()) {
		return Live{}, false
	}
	return e.newest, true
}

func (w *World) epoch(product string, number int) (epoch, bool) {
	epochs := w.products[product].epochs
	if number < 1 || number > len(epochs) {
		return epoch{}, false
	}
	return epochs[number-1], true
}

// never ends an epoch that is live: the last instant that an entry's JSON keeps
// exact.
var never = time.UnixMilli(1<<53 - 1)

func (e epoch) until() time.Time {
	if e.shut {
		return time.UnixMilli(0) // whatever was promised
	}
	if e.ended.IsZero() {
		return never
	}
	return e.ended.Add(e.doc.Grace())
}

func (w *World) imported(e *ledger.Entry, i *ledger.Import) (faults, func()) {
	var f faults
	if _, ok := w.catalogue.Resource(i.Resource); !ok {
		f.add(ClassMeaning, "import of "+i.Resource, "a registered resource", "an unknown one")
	}
	if next := w.versions[i.Resource] + 1; i.Version != next {
		f.add(ClassDocument, "import of "+i.Resource, numbered("version", next), numbered("version", i.Version))
	}
	for _, c := range i.Columns {
		if seq, gone := w.Shredded(i.Resource, c.Name); gone {
			f.add(ClassMeaning, "import of "+i.Resource, "columns that are kept", c.Name+", which entry "+strconv.FormatInt(seq, 10)+" shredded")
		}
	}
	if of := w.imports[i.Reseals]; i.Reseals != 0 && (of.resource != i.Resource || of.rows != i.Rows) {
		f.add(ClassMeaning, "import of "+i.Resource, "an earlier import of it with as many rows, which it seals anew", "entry "+strconv.FormatInt(i.Reseals, 10))
	}
	return f, func() {
		w.versions[i.Resource] = max(i.Version, w.versions[i.Resource])
		w.imports[e.Seq] = imported{resource: i.Resource, rows: i.Rows}
	}
}

// review takes a reviewer's signature over the newest document of a product.
func (w *World) review(e *ledger.Entry, r *ledger.Review) (faults, func()) {
	var f faults
	what := "review of " + r.Product
	p, ok := w.products[r.Product]
	if !ok {
		f.add(ClassReview, what, "an applied product", "an unknown one")
		return f, nil
	}
	if r.Digest != p.digest {
		f.add(ClassReview, what, "the newest document, "+p.digest, r.Digest)
	}
	owner := w.owners[r.Signature.Key]
	id, enrolled := w.identities[owner]
	document := w.documents[subject{string(vocabulary.KindProduct), r.Product}].bytes
	key, err := ledger.ParseKey(r.Signature.Key)
	switch {
	case r.Signature.Key == p.author:
		f.add(ClassReview, what, "another key than the author's", "the author's")
	case !enrolled || id.Role != vocabulary.RoleReviewer || ledger.FormatKey(id.Key) != r.Signature.Key:
		f.add(ClassReview, what, "the key of an enrolled reviewer", r.Signature.Key)
	case r.Signature.Role != string(vocabulary.RoleReviewer):
		f.add(ClassReview, what, "a signature as reviewer", "one as "+r.Signature.Role)
	case err != nil || !ledger.Verify(key, ledger.ContextReview, document, r.Signature.Signature):
		f.add(ClassReview, what, "a signature over this document", "one that does not verify")
	}
	return f, func() {
		w.reviews[e.Seq] = reviewed{product: r.Product, digest: r.Digest}
		if r.Digest == p.digest {
			p.review = e.Seq
			w.products[r.Product] = p
		}
	}
}

// publish makes a version live: under the newest document, if it is reviewed,
// or again under the one that is served.
func (w *World) publish(e *ledger.Entry, b *ledger.Publish) (faults, func()) {
	var f faults
	what := "publication of " + b.Product
	p, ok := w.products[b.Product]
	if !ok {
		f.add(ClassPublish, what, "an applied product", "an unknown one")
		return f, nil
	}
	doc, digest := p.doc, p.digest
	if p.published != nil && b.Review != 0 && b.Review == p.publishedFrom {
		doc, digest = p.published, p.publishedSum
	}
	if r, ok := w.reviews[b.Review]; !ok || r.product != b.Product || r.digest != digest {
		f.add(ClassPublish, what, "a review of the document that it publishes, "+digest, "entry "+strconv.FormatInt(b.Review, 10))
	}
	if s := p.status(); s == StatusWithdrawn || s == StatusSuspended {
		f.add(ClassPublish, what, "a product that is neither suspended nor withdrawn", string(s))
	}
	w.checkData(&f, what, doc, b, e.Time.Time)
	checkSteps(&f, what, p, doc, b)
	w.checkRegime(&f, what, doc, b)
	return f, func() {
		w.spendings = nil
		w.released(doc.Resource, b.Regime, e.Seq)
		live := Live{Product: b.Product, Epoch: b.Epoch, Version: b.Version, Seq: e.Seq,
			Population: b.Population, Regime: b.Regime, Descriptor: b.Descriptor, At: e.Time.Time}
		p.published, p.publishedSum, p.publishedFrom = doc, digest, b.Review
		p.epochs = advanced(p.epochs, epoch{newest: live, doc: doc})
		w.products[b.Product] = p
	}
}

// checkData: the version was made from an import of the product's resource, and
// the product may be published at all.
func (w *World) checkData(f *faults, what string, doc *vocabulary.Product, b *ledger.Publish, at time.Time) {
	switch i, ok := w.imports[b.Import]; {
	case !ok || i.resource != doc.Resource:
		f.add(ClassPublish, what, "an import of "+doc.Resource, "entry "+strconv.FormatInt(b.Import, 10))
	case doc.Aggregate != nil && b.Population < 1:
		f.add(ClassPublish, what, "a population of at least one cell", strconv.FormatInt(b.Population, 10))
	case doc.Aggregate == nil && (b.Population < 1 || b.Population > i.rows):
		f.add(ClassPublish, what, fmt.Sprintf("a population of 1 to %d, the import's rows", i.rows), strconv.FormatInt(b.Population, 10))
	}
	if column, seq, gone := w.ShreddedOf(doc); gone {
		f.add(ClassPublish, what, "columns that are kept", column+", which entry "+strconv.FormatInt(seq, 10)+" shredded")
	}
	if !json.Valid(b.Descriptor) {
		f.add(ClassPublish, what, "a descriptor in JSON", "something else")
	}
	if assessed, err := assessedUntil(doc); err != nil || !at.Before(assessed) {
		f.add(ClassPublish, what, "a risk assessment in force", "one until "+string(doc.Assessment.Expires))
	}
	facts := w.productFacts(doc)
	if facts.negative {
		f.add(ClassPublish, what, "nothing that a negative list names", "a listed column or category")
	}
	if !facts.gradePermits {
		f.add(ClassPublish, what, "a release rule that the grade allows", "grade "+string(facts.grade))
	}
}

// checkSteps: versions count within an epoch, epochs follow each other, and
// meaning changes with the epoch only.
func checkSteps(f *faults, what string, p product, doc *vocabulary.Product, b *ledger.Publish) {
	n := len(p.epochs)
	switch {
	case b.Epoch == n+1 && b.Version == 1:
	case doc.Aggregate != nil: // figures of two publications are never of one epoch
		f.add(ClassPublish, what, fmt.Sprintf("epoch %d version 1", n+1), fmt.Sprintf("epoch %d version %d", b.Epoch, b.Version))
	case n > 0 && b.Epoch == n && p.epochs[n-1].shut:
		f.add(ClassPublish, what, "a new epoch, since this one is shredded", fmt.Sprintf("epoch %d version %d", b.Epoch, b.Version))
	case n > 0 && b.Epoch == n && b.Version == p.epochs[n-1].newest.Version+1:
		if !reflect.DeepEqual(meaning(p.epochs[n-1].doc), meaning(doc)) {
			f.add(ClassPublish, what, "a new epoch, since what its answers mean has changed", "version "+strconv.Itoa(b.Version)+" of epoch "+strconv.Itoa(n))
		}
	case n == 0:
		f.add(ClassPublish, what, "epoch 1 version 1", fmt.Sprintf("epoch %d version %d", b.Epoch, b.Version))
	default:
		f.add(ClassPublish, what, fmt.Sprintf("epoch %d version %d, or epoch %d version 1", n, p.epochs[n-1].newest.Version+1, n+1),
			fmt.Sprintf("epoch %d version %d", b.Epoch, b.Version))
	}
}

// meaning is the part of a product that gives its answers their meaning.
func meaning(p *vocabulary.Product) any {
	m := struct {
		Type, Resource string
		Verify         vocabulary.Verify
	}{Type: p.Type, Resource: p.Resource}
	if p.Verify != nil {
		m.Verify = *p.Verify
		m.Verify.Duplicates, m.Verify.Blanks = "", ""
		m.Verify.MaxBatch, m.Verify.Padding, m.Verify.GraceDays = 0, 0, 0
	}
	return m
}

// advanced returns epochs with next in its place; the old slice is shared and
// stays as it is.
func advanced(epochs []epoch, next epoch) []epoch {
	out := slices.Clone(epochs)
	if n := len(out); n > 0 && next.newest.Epoch <= n {
		at := max(next.newest.Epoch, 1) - 1 // below 1 only where an audit follows a bad entry
		next.ended, next.shut, next.keyGone = out[at].ended, out[at].shut, out[at].keyGone
		out[at] = next
		return out
	}
	if n := len(out); n > 0 {
		out[n-1].ended = next.newest.At
	}
	return append(out, next)
}

// stop takes a halt, its end, or an end for good. What each kind admits:
//
//	Product                    suspend/resume, stop/lift, withdraw
//	Enterprise                 suspend/resume, stop/lift
//	Authorisation              suspend/resume, stop/lift, revoke
//	Grant                      revoke
//	OperatorPolicy             withdraw
//
// An emergency stop and a suspension of a product are lifted apart.
func (w *World) stop(b *ledger.Stop) (faults, func()) {
	s := subject{b.Kind, b.ID}
	switch s.kind {
	case string(vocabulary.KindProduct):
		return w.stopProduct(b)
	case string(vocabulary.KindGrant), string(vocabulary.KindEnterprise), string(vocabulary.KindAuthorisation), KindOperatorPolicy:
	default:
		return faults{{ClassStop, b.Action + " of " + s.String(), "a kind that can be stopped", b.Kind}}, nil
	}
	var f faults
	if _, ok := w.documents[s]; !ok {
		f.add(ClassStop, b.Action+" of "+s.String(), "an applied document", "an unknown one")
		return f, nil
	}
	halts := s.kind == string(vocabulary.KindEnterprise) || s.kind == string(vocabulary.KindAuthorisation)
	ends := s.kind == string(vocabulary.KindGrant) || s.kind == string(vocabulary.KindAuthorisation)
	switch {
	case halts && (b.Action == "suspend" || b.Action == "stop"):
		f.unless(!w.halted[s], b, "one that is not suspended")
		return f, func() { w.halted[s] = true }
	case halts && (b.Action == "resume" || b.Action == "lift"):
		f.unless(w.halted[s], b, "one that is suspended")
		return f, func() { delete(w.halted, s) }
	case ends && b.Action == "revoke":
		f.unless(!w.revoked[s], b, "one that is not revoked")
		return f, func() { w.revoked[s] = true }
	case s.kind == KindOperatorPolicy && b.Action == "withdraw":
		f.unless(w.policies[b.ID] != nil, b, "a policy in force")
		return f, func() {
			delete(w.policies, b.ID)
			w.documents[s] = document{version: w.documents[s].version} // the same text may come back
		}
	}
	f.add(ClassStop, b.Action+" of "+s.String(), "an action that the kind admits", b.Action)
	return f, nil
}

func (w *World) stopProduct(b *ledger.Stop) (faults, func()) {
	var f faults
	p, ok := w.products[b.ID]
	if !ok {
		f.add(ClassStop, b.Action+" of Product "+b.ID, "an applied document", "an unknown one")
		return f, nil
	}
	f.unless(!p.withdrawn, b, "a product that is not withdrawn")
	switch b.Action {
	case "suspend":
		f.unless(p.published != nil && !p.suspended, b, "a published product")
		p.suspended = true
	case "resume":
		f.unless(p.suspended, b, "a suspended product")
		p.suspended = false
	case "stop":
		f.unless(p.published != nil && !p.stopped, b, "a published product")
		p.stopped = true
	case "lift":
		f.unless(p.stopped, b, "a stopped product")
		p.stopped = false
	case "withdraw":
		p.withdrawn = true
	default:
		f.add(ClassStop, b.Action+" of Product "+b.ID, "suspend, resume, stop, lift or withdraw", b.Action)
		return f, nil
	}
	return f, func() { w.products[b.ID] = p }
}

func (f *faults) unless(ok bool, b *ledger.Stop, expected string) {
	if !ok {
		f.add(ClassStop, b.Action+" of "+b.Kind+" "+b.ID, expected, "one in another state")
	}
}
