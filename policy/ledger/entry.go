package ledger

import (
	"encoding/json"
	"time"
)

// Version is the entry schema's version. A reader refuses any other.
const Version = 1

// Kind says what an entry records and so which one body it carries.
type Kind string

// The kinds of schema v1.
const (
	KindManifest   Kind = "manifest"   // an applied manifest, whole, with its signatures
	KindImport     Kind = "import"     // raw data sealed
	KindReview     Kind = "review"     // a reviewer's signature on a product
	KindApprove    Kind = "approve"    // a signature added to something already logged
	KindPublish    Kind = "publish"    // a table version goes live, with its descriptor
	KindBudget     Kind = "budget"     // a privacy budget set or spent
	KindCall       Kind = "call"       // a settled, priced job
	KindExemption  Kind = "exemption"  // a settled job of a free purpose or of the sandbox
	KindDenied     Kind = "denied"     // a refused job, or a count of them
	KindCorrection Kind = "correction" // a line difference in an open month
	KindClose      Kind = "close"      // a statement month closed
	KindDispute    Kind = "dispute"    // an objection and its states
	KindAccess     Kind = "access"     // the operator's own acts on data: unlock, export, backup, restore, dry run
	KindKey        Kind = "key"        // keys pinned, made, rotated; entry 0 is the genesis
	KindStop       Kind = "stop"       // suspend, resume, withdraw, revoke, stop, lift
	KindShred      Kind = "shred"      // keys destroyed
)

// Entry is one ledger entry. Exactly one body is set, the one that Kind names;
// Validate holds it to that. Its canonical bytes (RFC 8785) are what is logged.
// Integers stay below 2^53, so that every JSON reader keeps them exact.
type Entry struct {
	V     int    `json:"v"`     // Version
	Seq   int64  `json:"seq"`   // the leaf index; dense from 0
	Time  Time   `json:"time"`  // never before the previous entry's
	Kind  Kind   `json:"kind"`  //
	Actor string `json:"actor"` // identity URI of who caused it

	Manifest   *Manifest   `json:"manifest,omitempty"`
	Import     *Import     `json:"import,omitempty"`
	Review     *Review     `json:"review,omitempty"`
	Approve    *Approve    `json:"approve,omitempty"`
	Publish    *Publish    `json:"publish,omitempty"`
	Budget     *Budget     `json:"budget,omitempty"`
	Call       *Call       `json:"call,omitempty"`
	Exemption  *Exemption  `json:"exemption,omitempty"`
	Denied     *Denied     `json:"denied,omitempty"`
	Correction *Correction `json:"correction,omitempty"`
	Close      *Close      `json:"close,omitempty"`
	Dispute    *Dispute    `json:"dispute,omitempty"`
	Access     *Access     `json:"access,omitempty"`
	Key        *Key        `json:"key,omitempty"`
	Stop       *Stop       `json:"stop,omitempty"`
	Shred      *Shred      `json:"shred,omitempty"`
}

// Time is an entry's time: UTC, whole milliseconds, written as
// 2026-11-24T08:00:00.000Z and in no other way.
type Time struct{ time.Time }

// Signature is a detached Ed25519 signature by a named role's key.
type Signature struct {
	Role      string `json:"role"`      // operator, authoriser, authority, reviewer, enterprise
	Key       string `json:"key"`       // "ed25519:" + base64
	Signature []byte `json:"signature"` // over the context and the canonical document, see Sign
}

// Manifest holds an applied document whole: from these an auditor rebuilds
// policies, entities, ceilings and tariffs.
type Manifest struct {
	Kind       string          `json:"kind"`     // vocabulary kind
	ID         string          `json:"id"`       //
	Version    int             `json:"version"`  // 1, 2, … per kind and id
	Digest     string          `json:"digest"`   // of Document's canonical bytes
	Document   json.RawMessage `json:"document"` // canonical JSON
	Signatures []Signature     `json:"signatures,omitempty"`
}

// Import records that raw data was sealed. It has counts only, no values.
type Import struct {
	Resource string         `json:"resource"`
	Version  int            `json:"version"` // 1, 2, … per resource
	Rows     int64          `json:"rows"`
	Columns  []ColumnCounts `json:"columns"`
	Digest   string         `json:"digest"` // of the sealed file
	// Reseals is the sequence of the import whose data this is, sealed anew under
	// fresh keys; 0: the data came in.
	Reseals int64 `json:"reseals,omitempty"`
}

// ColumnCounts are one column's completeness and uniqueness, as counts.
type ColumnCounts struct {
	Name     string `json:"name"`
	Present  int64  `json:"present"`
	Distinct int64  `json:"distinct"`
}

// Review is a reviewer's signature over what was reviewed: the product's
// canonical document.
type Review struct {
	Product   string    `json:"product"`
	Digest    string    `json:"digest"` // of the product's canonical document
	Signature Signature `json:"signature"`
}

// Approve records a signature added to a document that is already logged.
type Approve struct {
	Digest    string    `json:"digest"`
	Signature Signature `json:"signature"`
}

// Publish makes a version of a product's operand live. Descriptor is the
// operand's own JSON; the ledger does not read it.
type Publish struct {
	Product    string          `json:"product"`
	Epoch      int             `json:"epoch"`
	Version    int             `json:"version"` // of the table within the epoch
	Import     int64           `json:"import"`  // sequence of the import entry
	Review     int64           `json:"review"`  // sequence of the review entry
	Population int64           `json:"population"`
	Descriptor json.RawMessage `json:"descriptor"`

	// Regime and Rho are of an aggregate product: what its cells were released
	// under, and what that spent of the resource's privacy budget, in millionths of
	// rho. The two spends are the entries right before.
	Regime string `json:"regime,omitempty"` // disclosure or privacy
	Rho    int64  `json:"rho,omitempty"`    // privacy
}

// Budget is a privacy budget spent, in millionths of rho: of a month or year and
// of the resource's lifetime, right before the publication that spends it. With
// a Counter it carries a count of calls over.
type Budget struct {
	Resource string `json:"resource"`
	Product  string `json:"product,omitempty"`
	Per      string `json:"per"`    // period or lifetime
	Window   string `json:"window"` // the period's name: 2026-11, 2026, lifetime
	Units    int64  `json:"units"`  // spent, or the limit where Action is set
	Action   string `json:"action"` // "set" or "spend"

	// Counter, where it is there, says that calls are charged to the same
	// counter: a quota's or a share's, as policy/admission names it. What is
	// spent of it is then Units of what the product counts.
	Counter string `json:"counter,omitempty"`
}

// AllUnits, as what is spent, leaves nothing of a counter under any limit.
const AllUnits = maxInteger

// Call is a settled job.
type Call struct {
	Header     Header     `json:"header"`
	Key        string     `json:"key"`       // the enterprise's signing key
	Signature  []byte     `json:"signature"` // over the header
	Decision   Decision   `json:"decision"`
	Usage      Usage      `json:"usage"`
	Price      Price      `json:"price"`
	Epoch      int        `json:"epoch"`
	Version    int        `json:"version"`    // newest table version when it settled
	Descriptor string     `json:"descriptor"` // digest of that version's descriptor
	Answer     string     `json:"answer"`     // digest of the answer
	Contract   string     `json:"contract,omitempty"`
	Settled    SettleFact `json:"settled"`
}

// SettleFact is what the settling transaction knew and an auditor recounts.
type SettleFact struct {
	Admitted Time `json:"admitted"` // when admission decided; the tariff in force then prices the call
}

// Exemption is a settled job that costs nothing: a free purpose under a grant
// that names its basis, conditions and evidence, or the sandbox.
type Exemption struct {
	Call
	Ground   string `json:"ground"`             // "purpose", "sandbox" or "renewal"
	Grant    string `json:"grant,omitempty"`    // digest of the grant document that states the basis
	Evidence string `json:"evidence,omitempty"` // digest of the evidence, from the grant
	Until    string `json:"until,omitempty"`    // the exemption's last day, 2006-01-02
}

// Usage is what a job used. Units are what its tariff counts.
type Usage struct {
	CPUNs    int64 `json:"cpu_ns"`
	BytesIn  int64 `json:"bytes_in"`
	BytesOut int64 `json:"bytes_out"`
	Units    int64 `json:"units"`
}

// Price is the exact price of a call, and what it follows from.
type Price struct {
	Tariff string `json:"tariff,omitempty"` // tariff id; empty where nothing is charged
	Seq    int64  `json:"seq,omitempty"`    // the tariff's manifest entry
	Basis  string `json:"basis,omitempty"`  // per-subject, per-call, …
	Unit   string `json:"unit,omitempty"`   // price of one unit, yuan
	Units  int64  `json:"units"`            // units charged
	Amount string `json:"amount"`           // exact, yuan, unrounded
}

// Decision is an admission decision with all that is needed to decide again.
type Decision struct {
	Allow    bool            `json:"allow"`
	Request  json.RawMessage `json:"request"`            // the full Cedar request
	Entities string          `json:"entities"`           // digest of the entities it met
	Policies string          `json:"policies"`           // digest of the policy set
	Policy   string          `json:"policy,omitempty"`   // the policy that decided
	Grant    string          `json:"grant,omitempty"`    // the grant that is charged
	GrantDoc string          `json:"grantDoc,omitempty"` // digest of its document
}

// Denied is a refused job, or a count of them (Header absent). It is free and
// does not consume the job id.
type Denied struct {
	Enterprise string    `json:"enterprise"`
	Reason     Reason    `json:"reason"`
	Rule       string    `json:"rule"` // the policy, quota or check that refused
	Header     *Header   `json:"header,omitempty"`
	Key        string    `json:"key,omitempty"`
	Signature  []byte    `json:"signature,omitempty"`
	Decision   *Decision `json:"decision,omitempty"`
	Count      int64     `json:"count"`
	From       *Time     `json:"from,omitempty"` // counted denials: first and last
	To         *Time     `json:"to,omitempty"`
}

// Correction is the line as it should have been minus the line as it was.
type Correction struct {
	Of      int64  `json:"of"` // the original entry
	Month   string `json:"month"`
	Basis   string `json:"basis"`
	Was     string `json:"was"`
	Should  string `json:"should"`
	Amount  string `json:"amount"`
	Reason  Reason `json:"reason"`
	Dispute int64  `json:"dispute,omitempty"`
}

// Close closes an enterprise's month.
type Close struct {
	Enterprise string `json:"enterprise"`
	Month      string `json:"month"`
	Through    int64  `json:"through"` // last entry counted
	Total      string `json:"total"`   // yuan, rounded lines summed
	Digest     string `json:"digest"`  // of the statement
}

// Dispute is an objection, or a change of its state.
type Dispute struct {
	ID       string `json:"id"`
	About    int64  `json:"about"` // the entry it is about
	State    string `json:"state"`
	Reason   Reason `json:"reason"`
	Deadline string `json:"deadline,omitempty"`
	Document string `json:"document,omitempty"` // digest
}

// Access is an act of the operator's own: what, on what, how much. A handover
// is the last entry that a domain writes before it is moved elsewhere.
type Access struct {
	Action string `json:"action"` // unlock, export, backup, handover, restore, dry-run
	Object string `json:"object"`
	Count  int64  `json:"count"`

	// Former is the log that this one stands in for: where a restore could not
	// tell how far the log had come, and so began a new one.
	Former *Former `json:"former,omitempty"`
}

// Former is a log that ended, as far as it is known.
type Former struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   string `json:"root"` // of the tree of that size, as a digest
}

// Key records keys pinned, made, rotated or retired. The genesis pins the keys
// that everything later is checked against. A retired OPRF key is one of an epoch
// whose grace has ended; a retired wrapping key takes all before it along.
type Key struct {
	Action     string `json:"action"`               // genesis, enrol, create, rotate, retire
	Purpose    string `json:"purpose"`              // ledger, oprf, wrap, certificate; enrol: the role
	ID         string `json:"id,omitempty"`         // key id, e.g. product/answer/epoch
	Public     string `json:"public,omitempty"`     // the public key
	Origin     string `json:"origin,omitempty"`     // genesis: the log's origin
	Operator   string `json:"operator,omitempty"`   // genesis: the operator's signing key
	Authoriser string `json:"authoriser,omitempty"` // genesis: pinned
	Authority  string `json:"authority,omitempty"`  // genesis: pinned
	CA         string `json:"ca,omitempty"`         // genesis: digest of the CA certificate
	HandOver   []byte `json:"handOver,omitempty"`   // rotate of the ledger's key: the note that both keys signed
}

// Stop stops something or lets it go on.
type Stop struct {
	Action string `json:"action"` // suspend, resume, withdraw, revoke, stop, lift
	Kind   string `json:"kind"`   // vocabulary kind
	ID     string `json:"id"`     //
	Reason Reason `json:"reason"` //
}

// Shred records that keys are destroyed for good. From this entry on nothing
// that needs them is served; the keys go right after it.
type Shred struct {
	Object string `json:"object"` // see ColumnObject and EpochObject
	Keys   int    `json:"keys"`   // how many
}
