// Package logtest makes small, real ledgers for tests: real keys, signatures,
// decisions, prices and tree, and no gateway, database or computation. It has
// hooks to plant faults. Nothing but tests may import it.
package logtest

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Names of the sample world.
const (
	Origin     = "yingbi.example/log"
	Enterprise = "91330100MA2AXK7T8P"
	Product    = "licence-holder"
	Sandbox    = "sandbox-sector"
	Industry   = "northwind-industry"
	Welfare    = "northwind-welfare"
)

// Start is when the sample ledger begins: 16:00 in China Standard Time.
var Start = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// Actors of entries.
const (
	OperatorURI   = "yingbi://operator/demo"
	ReviewerURI   = "yingbi://reviewer/li"
	EnterpriseURI = "yingbi://enterprise/" + Enterprise
)

// Key is a key that its name alone determines. For tests only.
func Key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("testInsecure " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Public is the public half of Key.
func Public(name string) ed25519.PublicKey { return Key(name).Public().(ed25519.PublicKey) }

// Digest is a digest of nothing in particular.
func Digest(name string) string { return ledger.Digest([]byte(name)) }

// Line is an entry as logged.
type Line struct {
	Seq   int64
	Salt  [ledger.SaltSize]byte
	Bytes []byte
}

// Log is a ledger under construction. Its world is folded as it grows, so that
// whatever is appended through Append is consistent.
type Log struct {
	T           testing.TB
	Now         time.Time
	World       *admission.World
	Lines       []Line
	Checkpoints [][]byte
	SignedBy    string // the name of the key that signs; empty: "ledger"

	hashes []tlog.Hash
	engine *admission.Engine
	jobs   int
}

// Empty is a log without entries.
func Empty(t testing.TB) *Log {
	return &Log{T: t, Now: Start, World: admission.NewWorld()}
}

// New is a log of a domain with everything in place: the keys, the documents,
// two published products, an enterprise with two grants.
func New(t testing.TB) *Log {
	l := Empty(t)
	l.Genesis()
	l.Enrol(vocabulary.RoleReviewer, ReviewerURI, "reviewer")
	l.Enrol(vocabulary.RoleEnterprise, EnterpriseURI, "enterprise")
	for _, doc := range Documents() {
		l.Apply(doc)
	}
	l.Import("business-licences", 1, 9614)
	l.Import("sandbox-licences", 1, 500)
	for _, product := range []string{Product, Sandbox} {
		l.Review(product)
		l.Publish(product, 1, 1)
	}
	return l
}

// ReadHashes implements tlog.HashReader.
func (l *Log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		out[i] = l.hashes[at]
	}
	return out, nil
}

// Tree is the tree over all entries so far.
func (l *Log) Tree() tlog.Tree {
	n := int64(len(l.Lines))
	root, err := tlog.TreeHash(n, l)
	l.must(err)
	return tlog.Tree{N: n, Hash: root}
}

// Signer signs checkpoints.
func (l *Log) Signer() *ledger.LogSigner { return l.signer(l.SignedBy) }

func (l *Log) signer(key string) *ledger.LogSigner {
	s, err := ledger.NewLogSigner(Origin, Key(cmp.Or(key, "ledger")))
	l.must(err)
	return s
}

// HandOver is the entry by which the log goes from one key to another as it is
// now.
func (l *Log) HandOver(from, to string) ledger.Entry {
	msg, err := ledger.SignHandOver(l.signer(from), l.signer(to), l.Tree())
	l.must(err)
	return ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{
		Action: "rotate", Purpose: ledger.PurposeLedger, ID: "ledger/2", Public: FormatPublic(to), HandOver: msg,
	}}
}

// Rotate hands the log over to another key.
func (l *Log) Rotate(to string) {
	l.Append(l.HandOver(l.SignedBy, to))
	l.SignedBy = to
}

// HandOvers are the hand-overs in the log.
func (l *Log) HandOvers() [][]byte {
	var out [][]byte
	for _, line := range l.Lines {
		if e, err := ledger.Decode(line.Bytes); err == nil && e.Key != nil && len(e.Key.HandOver) > 0 {
			out = append(out, e.Key.HandOver)
		}
	}
	return out
}

// Verifier verifies them.
func Verifier() note.Verifier {
	v, err := ledger.LogVerifier(Origin, Public("ledger"))
	if err != nil {
		panic(err)
	}
	return v
}

// Checkpoint signs and keeps a checkpoint of the log so far.
func (l *Log) Checkpoint() []byte {
	msg, err := ledger.SignCheckpoint(l.Signer(), Origin, l.Tree())
	l.must(err)
	l.Checkpoints = append(l.Checkpoints, msg)
	return msg
}

// Receipt is the receipt of an entry under the newest tree.
func (l *Log) Receipt(seq int64) *ledger.Receipt {
	tree := l.Tree()
	proof, err := tlog.ProveRecord(tree.N, seq, l)
	l.must(err)
	msg, err := ledger.SignCheckpoint(l.Signer(), Origin, tree)
	l.must(err)
	line := l.Lines[seq]
	return ledger.NewReceipt(line.Bytes, line.Salt, seq, proof, msg)
}

// Append numbers, times, folds and logs an entry, a minute after the last.
func (l *Log) Append(e ledger.Entry) *ledger.Entry {
	l.T.Helper()
	l.Fill(&e)
	if err := l.World.Fold(&e); err != nil {
		l.T.Fatal(err)
	}
	if !e.Kind.IsCall() && e.Kind != ledger.KindDenied {
		l.engine = nil
	}
	return l.Force(e)
}

// Follow logs an entry and folds it as an audit does, whatever is wrong with it.
func (l *Log) Follow(e ledger.Entry) *ledger.Entry {
	l.T.Helper()
	l.Fill(&e)
	l.World.Follow(&e)
	l.engine = nil
	return l.Force(e)
}

// Fill numbers and times an entry as the next.
func (l *Log) Fill(e *ledger.Entry) {
	l.Now = l.Now.Add(time.Minute)
	e.V, e.Seq, e.Time = ledger.Version, int64(len(l.Lines)), ledger.NewTime(l.Now)
	if e.Actor == "" {
		e.Actor = OperatorURI
	}
}

// Force logs an entry as it is, whatever is wrong with it.
func (l *Log) Force(e ledger.Entry) *ledger.Entry {
	l.T.Helper()
	text, err := e.Encode()
	l.must(err)
	l.Raw(text)
	return &e
}

// Raw logs bytes.
func (l *Log) Raw(text []byte) {
	n := int64(len(l.Lines))
	line := Line{Seq: n, Salt: sha256.Sum256(binary.BigEndian.AppendUint64([]byte("salt"), uint64(n))), Bytes: text}
	leaf := ledger.Leaf(ledger.Record(line.Salt, text))
	more, err := tlog.StoredHashesForRecordHash(n, leaf, l)
	l.must(err)
	l.Lines = append(l.Lines, line)
	l.hashes = append(l.hashes, more...)
}

// Rewrite is a new log with the same lines and checkpoints, for tampering: its
// tree is not recomputed.
func (l *Log) Rewrite() *Log {
	c := *l
	c.Lines = append([]Line(nil), l.Lines...)
	c.Checkpoints = append([][]byte(nil), l.Checkpoints...)
	return &c
}

// Edit replaces an entry by an edited one, in place.
func (l *Log) Edit(seq int64, edit func(*ledger.Entry)) {
	l.T.Helper()
	e, err := ledger.Decode(l.Lines[seq].Bytes)
	l.must(err)
	edit(e)
	text, err := e.Encode()
	l.must(err)
	l.Lines[seq].Bytes = text
}

// Genesis appends entry 0.
func (l *Log) Genesis() {
	l.Append(ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{
		Action: "genesis", Purpose: "ledger", Origin: Origin,
		Public:   ledger.FormatKey(Public("ledger")),
		Operator: ledger.FormatKey(Public("operator")), Authoriser: ledger.FormatKey(Public("authoriser")),
		Authority: ledger.FormatKey(Public("authority")), CA: Digest("ca"),
	}})
}

// Enrol appends an enrolment.
func (l *Log) Enrol(role vocabulary.Role, uri, key string) {
	l.Append(ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{
		Action: "enrol", Purpose: string(role), ID: uri, Public: ledger.FormatKey(Public(key)),
	}})
}

// Apply appends a manifest with the signatures that its kind needs.
func (l *Log) Apply(doc vocabulary.Document) *ledger.Entry {
	l.T.Helper()
	return l.Append(l.Manifest(doc))
}

// Manifest is the entry of a document, signed.
func (l *Log) Manifest(doc vocabulary.Document) ledger.Entry {
	l.T.Helper()
	meta := doc.GetMeta()
	text, err := ledger.Canonical(doc)
	l.must(err)
	return l.ManifestOf(string(meta.Kind), meta.ID, text)
}

// ManifestOf is the entry of a document's bytes, signed.
func (l *Log) ManifestOf(kind, id string, text []byte) ledger.Entry {
	signatures := []ledger.Signature{admission.SignManifest(Key("operator"), text)}
	if role := vocabulary.RequiredApproval(vocabulary.Kind(kind)); role != "" {
		signatures = append(signatures, ledger.Signature{
			Role: string(role), Key: ledger.FormatKey(Public(string(role))),
			Signature: ledger.Sign(Key(string(role)), ledger.ContextApproval, text),
		})
	}
	_, _, version, _ := l.World.Document(kind, id)
	return ledger.Entry{Kind: ledger.KindManifest, Manifest: &ledger.Manifest{
		Kind: kind, ID: id, Version: version + 1, Digest: ledger.Digest(text), Document: text, Signatures: signatures,
	}}
}

// Policy appends an operator policy.
func (l *Log) Policy(id, cedar string) *ledger.Entry {
	l.T.Helper()
	text, err := admission.EncodePolicy(admission.PolicyDocument{ID: id, Cedar: cedar, Title: vocabulary.Text{En: id}})
	l.must(err)
	return l.Append(l.ManifestOf(admission.KindOperatorPolicy, id, text))
}

// Import appends an import.
func (l *Log) Import(resource string, version int, rows int64) *ledger.Entry {
	l.T.Helper()
	return l.Append(ledger.Entry{Kind: ledger.KindImport, Import: &ledger.Import{
		Resource: resource, Version: version, Rows: rows, Digest: Digest(resource),
		Columns: []ledger.ColumnCounts{{Name: "id", Present: rows, Distinct: rows}},
	}})
}

// Review appends a review of a product's newest document.
func (l *Log) Review(product string) *ledger.Entry {
	l.T.Helper()
	r, ok := l.World.Newest(product)
	if !ok {
		l.T.Fatalf("no product %s", product)
	}
	review := admission.SignReview(Key("reviewer"), product, r.Document)
	return l.Append(ledger.Entry{Kind: ledger.KindReview, Actor: ReviewerURI, Review: &review})
}

// Publish appends a publication of a reviewed product.
func (l *Log) Publish(product string, epoch, version int) *ledger.Entry {
	l.T.Helper()
	return l.Append(l.Publication(product, epoch, version))
}

// Publication is a publish entry of a product's newest document.
func (l *Log) Publication(product string, epoch, version int) ledger.Entry {
	r, _ := l.World.Newest(product)
	seq, rows, _, _ := l.World.Import(r.Doc.Resource)
	descriptor := json.RawMessage(fmt.Sprintf(`{"epoch":%d,"product":%q,"version":%d}`, epoch, product, version))
	return ledger.Entry{Kind: ledger.KindPublish, Publish: &ledger.Publish{
		Product: product, Epoch: epoch, Version: version, Import: seq, Review: r.Review, Population: rows, Descriptor: descriptor,
	}}
}

// Stop appends a stop.
func (l *Log) Stop(action, kind, id string) *ledger.Entry {
	l.T.Helper()
	return l.Append(ledger.Entry{Kind: ledger.KindStop, Stop: &ledger.Stop{
		Action: action, Kind: kind, ID: id, Reason: ledger.ReasonOperatorDecision,
	}})
}

// Engine is the compiled world.
func (l *Log) Engine() *admission.Engine {
	l.T.Helper()
	if l.engine == nil {
		e, err := admission.Compile(l.World, nil)
		l.must(err)
		l.engine = e
	}
	return l.engine
}

// Header is a job's header, with an id of its own. Alter it before Settle signs.
func (l *Log) Header(product string, purpose vocabulary.Purpose, units int64) ledger.Header {
	l.jobs++
	id := sha256.Sum256(fmt.Appendf(nil, "job %d", l.jobs))
	h := hex.EncodeToString(id[:16])
	live, _ := l.World.Live(product)
	kind := vocabulary.TypeVerify
	if doc, _, ok := l.World.Product(product); ok {
		kind = doc.Type
	}
	return ledger.Header{
		V: ledger.Version, Job: h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:],
		Enterprise: Enterprise, Product: product, Purpose: string(purpose), Kind: kind,
		Epoch: live.Epoch, Origin: Origin, Units: units, Payloads: []string{Digest(h)},
	}
}

// Call settles a job and appends its entry.
func (l *Log) Call(product string, purpose vocabulary.Purpose, units int64) *ledger.Entry {
	l.T.Helper()
	return l.Settle(l.Header(product, purpose, units))
}

// Settle decides, prices and appends a job as a gateway does. The quota is not
// looked at.
func (l *Log) Settle(h ledger.Header) *ledger.Entry {
	l.T.Helper()
	return l.Append(l.Settlement(h, 0))
}

// Settlement is the entry of a job under one of its candidates.
func (l *Log) Settlement(h ledger.Header, candidate int) ledger.Entry {
	l.T.Helper()
	now := l.Now.Add(time.Minute)
	o, err := l.Engine().Decide(admission.FactsOf(&h, now))
	l.must(err)
	if !o.Admitted() {
		l.T.Fatalf("job refused: %s by %s", o.Reason, o.Rule)
	}
	return l.Entry(h, o.Candidates[candidate], now)
}

// Entry is the entry of a job under a candidate.
func (l *Log) Entry(h ledger.Header, c admission.Candidate, now time.Time) ledger.Entry {
	l.T.Helper()
	text, err := h.Encode()
	l.must(err)
	live, _ := l.World.Served(h.Product, h.Epoch, now)
	call := ledger.Call{
		Header: h, Key: ledger.FormatKey(Public("enterprise")), Signature: ledger.Sign(Key("enterprise"), ledger.ContextRequest, text),
		Decision: c.Decision, Price: c.Price, Contract: c.Contract,
		Usage: ledger.Usage{CPUNs: 1000, BytesIn: 32 * h.Units, BytesOut: 32*h.Units + 64, Units: h.Units},
		Epoch: live.Epoch, Version: live.Version, Descriptor: live.Digest(), Answer: Digest("answer " + h.Job),
		Settled: ledger.SettleFact{Admitted: ledger.NewTime(now)},
	}
	e := ledger.Entry{Kind: ledger.KindCall, Actor: EnterpriseURI, Call: &call}
	if c.Ground != "" {
		e = ledger.Entry{Kind: ledger.KindExemption, Actor: EnterpriseURI, Exemption: c.Exemption(call)}
	}
	return e
}

// Deny appends the refusal of a job.
func (l *Log) Deny(h ledger.Header) *ledger.Entry {
	l.T.Helper()
	now := l.Now.Add(time.Minute)
	o, err := l.Engine().Decide(admission.FactsOf(&h, now))
	l.must(err)
	if o.Admitted() {
		l.T.Fatal("job admitted")
	}
	return l.Append(l.Denial(h, o.Decision, o.Reason, o.Rule))
}

// Denial is a denied entry.
func (l *Log) Denial(h ledger.Header, d ledger.Decision, reason ledger.Reason, rule string) ledger.Entry {
	text, err := h.Encode()
	l.must(err)
	return ledger.Entry{Kind: ledger.KindDenied, Actor: EnterpriseURI, Denied: &ledger.Denied{
		Enterprise: h.Enterprise, Reason: reason, Rule: rule, Header: &h, Count: 1, Decision: &d,
		Key: ledger.FormatKey(Public("enterprise")), Signature: ledger.Sign(Key("enterprise"), ledger.ContextRequest, text),
	}}
}

func (l *Log) must(err error) {
	l.T.Helper()
	if err != nil {
		l.T.Fatal(err)
	}
}

// FormatPublic is a key's text.
func FormatPublic(name string) string { return ledger.FormatKey(Public(name)) }
