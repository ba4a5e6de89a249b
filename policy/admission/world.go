package admission

import (
	"crypto/ed25519"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// World is what the ledger says is so: a fold over its entries. Clone gives it
// value semantics; what it hands out is shared and must not be changed. It is
// not safe for a Fold beside other calls.
type World struct {
	seq  int64     // last folded entry; -1: none
	time time.Time // its time

	genesis   *Genesis
	operator  string          // credit code of who made the genesis; empty: it is named otherwise
	logKeys   *ledger.LogKeys // immutable; nil where the genesis names no ledger key
	catalogue *vocabulary.Catalogue
	documents map[subject]document

	identities map[string]Identity // by URI
	owners     map[string]string   // key text → URI of who holds it

	products map[string]product
	grants   map[string]*grant
	granted  map[string][]string // enterprise → ids of its grants
	tariffs  map[string][]fees.Tariff
	policies map[string]*operatorPolicy

	imports  map[int64]imported
	versions map[string]int // resource → newest import's version
	reviews  map[int64]reviewed
	shredded map[string]int64 // columns, as the entry names them → the entry

	standsIn  bool              // the log says that it stands in for another
	budgets   map[string]budget // by resource
	spendings []spending        // by the entries right before; the publication comes next

	spent   map[string]bool  // digests of documents whose approval has been used
	halted  map[subject]bool // suspended or stopped: enterprises, authorisations
	revoked map[subject]bool // for good: grants, authorisations
}

// subject names a manifest.
type subject struct{ kind, id string }

func (s subject) String() string { return s.kind + " " + s.id }

// document is a manifest's newest version as logged; without bytes, where that
// is withdrawn or was none.
type document struct {
	bytes   json.RawMessage
	digest  string
	version int
}

// Genesis are the keys that entry 0 pins, and the log's origin.
type Genesis struct {
	Origin     string
	Operator   ed25519.PublicKey
	Authoriser ed25519.PublicKey // nil: none pinned, so no ceiling can be set
	Authority  ed25519.PublicKey // nil: none pinned
	Log        ed25519.PublicKey // the ledger's first signing key; nil where entry 0 does not name it
	CA         string            // digest of the CA certificate
}

// Identity is an enrolled identity and its signing key.
type Identity struct {
	URI  string
	Role vocabulary.Role
	Key  ed25519.PublicKey
	Seq  int64 // the key entry
}

type imported struct {
	resource string
	rows     int64
}

type reviewed struct{ product, digest string }

// NewWorld returns the world before entry 0.
func NewWorld() *World {
	return &World{
		seq:        -1,
		catalogue:  vocabulary.NewCatalogue(),
		documents:  map[subject]document{},
		identities: map[string]Identity{},
		owners:     map[string]string{},
		products:   map[string]product{},
		grants:     map[string]*grant{},
		granted:    map[string][]string{},
		tariffs:    map[string][]fees.Tariff{},
		policies:   map[string]*operatorPolicy{},
		imports:    map[int64]imported{},
		versions:   map[string]int{},
		reviews:    map[int64]reviewed{},
		shredded:   map[string]int64{},
		budgets:    map[string]budget{},
		spent:      map[string]bool{},
		halted:     map[subject]bool{},
		revoked:    map[subject]bool{},
	}
}

// Clone returns a copy that can be folded on without changing w. It costs a
// copy of the maps; what they hold is immutable and shared.
func (w *World) Clone() *World {
	c := *w
	c.catalogue = w.catalogue.Clone()
	c.documents = maps.Clone(w.documents)
	c.identities = maps.Clone(w.identities)
	c.owners = maps.Clone(w.owners)
	c.products = maps.Clone(w.products)
	c.grants = maps.Clone(w.grants)
	c.granted = maps.Clone(w.granted)
	c.tariffs = maps.Clone(w.tariffs)
	c.policies = maps.Clone(w.policies)
	c.imports = maps.Clone(w.imports)
	c.versions = maps.Clone(w.versions)
	c.reviews = maps.Clone(w.reviews)
	c.shredded = maps.Clone(w.shredded)
	c.budgets = maps.Clone(w.budgets)
	c.spent = maps.Clone(w.spent)
	c.halted = maps.Clone(w.halted)
	c.revoked = maps.Clone(w.revoked)
	return &c
}

// Seq is the last folded entry's sequence number, -1 before the first.
func (w *World) Seq() int64 { return w.seq }

// Time is the last folded entry's time.
func (w *World) Time() time.Time { return w.time }

// Catalogue is every manifest in force. A product in it is the newest document,
// which may be a draft: see Product for the one that is served.
func (w *World) Catalogue() *vocabulary.Catalogue { return w.catalogue }

// Keys are the pinned keys, zero before entry 0.
func (w *World) Keys() Genesis {
	if w.genesis == nil {
		return Genesis{}
	}
	return *w.genesis
}

// LogKeys are the keys that sign the log's checkpoints: the pinned one and those
// that it was handed over to. Nil before entry 0. Do not change it.
func (w *World) LogKeys() *ledger.LogKeys { return w.logKeys }

// EnrolledKey is the signing key enrolled for an identity.
func (w *World) EnrolledKey(uri string) (ed25519.PublicKey, bool) {
	id, ok := w.identities[uri]
	return id.Key, ok
}

// Enrolled are the enrolled identities of a role, by URI.
func (w *World) Enrolled(role vocabulary.Role) []Identity {
	var out []Identity
	for _, uri := range slices.Sorted(maps.Keys(w.identities)) {
		if id := w.identities[uri]; id.Role == role {
			out = append(out, id)
		}
	}
	return out
}

// Reviewers are the enrolled reviewers, by URI.
func (w *World) Reviewers() []Identity { return w.Enrolled(vocabulary.RoleReviewer) }

// SigningKey is the key that an enterprise signs requests with, from its
// manifest.
func (w *World) SigningKey(enterprise string) (ed25519.PublicKey, bool) {
	held, ok := w.catalogue.Enterprise(enterprise)
	if !ok {
		return nil, false
	}
	key, err := ledger.ParseKey(held.Doc.SigningKey)
	return key, err == nil
}

// Document returns the logged bytes and the digest of a manifest's newest
// version, of any kind, operator policies included. A policy that was withdrawn
// is not ok, but goes on being numbered.
func (w *World) Document(kind, id string) (doc json.RawMessage, digest string, version int, ok bool) {
	d := w.documents[subject{kind, id}]
	return d.bytes, d.digest, d.version, d.bytes != nil
}

// OperatorPolicies are the ids of the operator's own policies in force, sorted.
func (w *World) OperatorPolicies() []string { return slices.Sorted(maps.Keys(w.policies)) }

// Import is the newest import of a resource: its entry and its rows.
func (w *World) Import(resource string) (seq, rows int64, version int, ok bool) {
	version, ok = w.versions[resource]
	if !ok {
		return 0, 0, 0, false
	}
	for at, i := range w.imports {
		if i.resource == resource && at >= seq {
			seq, rows = at, i.rows
		}
	}
	return seq, rows, version, true
}

// Tariff is the tariff that prices a product at a time.
func (w *World) Tariff(product string, at time.Time) (fees.Tariff, bool) {
	return fees.InForce(w.tariffs[product], product, at)
}

// Grants are an enterprise's grants of a product that are in force at a time,
// the earliest to expire first. The empty product stands for all products.
func (w *World) Grants(enterprise, product string, at time.Time) []*vocabulary.Grant {
	var out []*vocabulary.Grant
	for _, g := range w.grantsOf(enterprise) {
		if !w.revoked[g.subject()] && g.term.holds(at) && (product == "" || slices.Contains(g.doc.Products, product)) {
			out = append(out, g.doc)
		}
	}
	return out
}

// grantsOf are all grants of an enterprise, the earliest to expire first, then
// by id, revoked and expired ones included.
func (w *World) grantsOf(enterprise string) []*grant {
	ids := w.granted[enterprise]
	out := make([]*grant, len(ids))
	for i, id := range ids {
		out[i] = w.grants[id]
	}
	slices.SortFunc(out, sooner)
	return out
}

// Revoked says whether a grant was revoked.
func (w *World) Revoked(grant string) bool {
	return w.revoked[subject{string(vocabulary.KindGrant), grant}]
}

// Standing is an enterprise's standing: good, suspended, or unknown where it is
// not registered.
func (w *World) Standing(enterprise string) string {
	held, ok := w.catalogue.Enterprise(enterprise)
	switch {
	case !ok:
		return standingUnknown
	case held.Doc.Standing != standingGood, w.halted[subject{string(vocabulary.KindEnterprise), enterprise}]:
		return standingSuspended
	}
	return standingGood
}

const (
	standingGood      = "good"
	standingSuspended = "suspended"
	standingUnknown   = "unknown"
)

// term is a half-open span of time.
type term struct{ from, until time.Time }

func (t term) holds(at time.Time) bool { return !at.Before(t.from) && at.Before(t.until) }

// days is the span from the first day's beginning to the last day's end, in
// China Standard Time.
func days(first, last vocabulary.Date) (term, error) {
	from, err := time.ParseInLocation(time.DateOnly, string(first), fees.CST)
	if err != nil {
		return term{}, err
	}
	end, err := time.ParseInLocation(time.DateOnly, string(last), fees.CST)
	if err != nil {
		return term{}, err
	}
	return term{from: from, until: end.AddDate(0, 0, 1)}, nil
}
