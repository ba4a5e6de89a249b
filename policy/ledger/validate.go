package ledger

import (
	"crypto/ed25519"
	"strconv"
	"strings"
)

// Bounds of what lists an entry may hold.
const (
	maxPayloads   = 256
	maxColumns    = 4096
	maxSignatures = 16
	maxInt        = 1<<31 - 1 // epochs, versions and other small counters
)

// IsCall tells whether an entry of this kind is a settled job.
func (k Kind) IsCall() bool { return k == KindCall || k == KindExemption }

// TheCall is the settled job of a call or exemption entry, else nil.
func (e *Entry) TheCall() *Call {
	switch {
	case e.Kind == KindCall:
		return e.Call
	case e.Kind == KindExemption && e.Exemption != nil:
		return &e.Exemption.Call
	}
	return nil
}

// Validate checks what an entry alone can show: the version, one body, the one
// that Kind names, and every field's pattern and range. What needs other
// entries or keys (order, signatures, decisions, prices) is policy/audit's.
func (e *Entry) Validate() error {
	if e.V != Version {
		return ErrVersion
	}
	var c checker
	c.whole("seq", e.Seq, 0, maxInteger)
	c.time("time", e.Time)
	c.need("actor", isActor(e.Actor), "an identity URI, yingbi://role/id")
	body := e.body(&c)
	if c.err != nil {
		return c.err
	}
	body.check(&c, e)
	return c.err
}

// checked is an entry's body.
type checked interface{ check(*checker, *Entry) }

// body returns the one body that is set, if it is the one that Kind names.
func (e *Entry) body(c *checker) checked {
	var found checked
	count := 0
	see := func(kind Kind, set bool, body checked) {
		if !set {
			return
		}
		count++
		if kind == e.Kind {
			found = body
		}
	}
	see(KindManifest, e.Manifest != nil, e.Manifest)
	see(KindImport, e.Import != nil, e.Import)
	see(KindReview, e.Review != nil, e.Review)
	see(KindApprove, e.Approve != nil, e.Approve)
	see(KindPublish, e.Publish != nil, e.Publish)
	see(KindBudget, e.Budget != nil, e.Budget)
	see(KindCall, e.Call != nil, e.Call)
	see(KindExemption, e.Exemption != nil, e.Exemption)
	see(KindDenied, e.Denied != nil, e.Denied)
	see(KindCorrection, e.Correction != nil, e.Correction)
	see(KindClose, e.Close != nil, e.Close)
	see(KindDispute, e.Dispute != nil, e.Dispute)
	see(KindAccess, e.Access != nil, e.Access)
	see(KindKey, e.Key != nil, e.Key)
	see(KindStop, e.Stop != nil, e.Stop)
	see(KindShred, e.Shred != nil, e.Shred)
	c.need("kind", count == 1 && found != nil, "the name of the one body that is set")
	return found
}

// Validate checks the header's patterns and ranges.
func (h *Header) Validate() error {
	if h.V != Version {
		return ErrVersion
	}
	var c checker
	c.header("header", h)
	return c.err
}

// checker keeps the first field that is wrong.
type checker struct{ err error }

func (c *checker) need(path string, ok bool, want string) {
	if !ok && c.err == nil {
		c.err = &FieldError{Path: path, Want: want}
	}
}

func (c *checker) whole(path string, n, least, most int64) {
	if n < least || n > most {
		c.need(path, false, "an integer of "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10))
	}
}

// before: the sequence number of an earlier entry.
func (c *checker) before(path string, seq int64, e *Entry) {
	c.need(path, seq >= 0 && seq < e.Seq, "the sequence number of an earlier entry")
}

func (c *checker) time(path string, t Time) {
	c.need(path, t.valid(), "a UTC time in whole milliseconds, see NewTime")
}

func (c *checker) id(path, s string) { c.need(path, isID(s), "an id, [a-z0-9][a-z0-9.-]{0,62}") }

func (c *checker) enterprise(path, s string) {
	c.need(path, isCreditCode(s), "a unified social credit code of 18 characters")
}

func (c *checker) digest(path, s string) {
	c.need(path, isDigest(s), `a digest, "sha256:" and 64 lower-case hex digits`)
}

func (c *checker) optional(path, s string, check func(path, s string)) {
	if s != "" {
		check(path, s)
	}
}

func (c *checker) month(path, s string) { c.need(path, isMonth(s), "a month like 2026-11") }

func (c *checker) day(path, s string) { c.need(path, isDay(s), "a day like 2026-11-24") }

func (c *checker) amount(path, s string) {
	c.need(path, isAmount(s), "yuan like 15.37, with two to twelve decimals and no zero after the second")
}

func (c *checker) fen(path, s string) {
	c.need(path, isFen(s), "yuan in whole fen like 15.37")
}

func (c *checker) verb(path, s string) {
	c.need(path, isVerb(s), "a word, [a-z][a-z0-9-]{0,31}")
}

func (c *checker) reason(path string, r Reason) {
	c.need(path, isReason(r), "a reason, [A-Z][A-Z0-9_]{0,63}")
}

func (c *checker) plain(path, s string) {
	c.need(path, isPlain(s, 256), "1 to 256 printable ASCII characters without spaces")
}

func (c *checker) key(path, s string) {
	_, err := ParseKey(s)
	c.need(path, err == nil, `a public key, "ed25519:" and base64`)
}

func (c *checker) sig(path string, b []byte) {
	c.need(path, len(b) == ed25519.SignatureSize, "an Ed25519 signature of 64 bytes")
}

func (c *checker) signature(path string, s *Signature) {
	c.need(path+".role", oneOf(s.Role, "operator", "authoriser", "authority", "reviewer", "enterprise", "provider"),
		"the role that signs")
	c.key(path+".key", s.Key)
	c.sig(path+".signature", s.Signature)
}

func (c *checker) header(path string, h *Header) {
	c.whole(path+".v", int64(h.V), Version, Version)
	c.need(path+".job", isUUID(h.Job), "a UUID in lower case")
	c.enterprise(path+".enterprise", h.Enterprise)
	c.id(path+".product", h.Product)
	c.need(path+".purpose", oneOf(h.Purpose, "public-governance", "public-welfare", "industry"),
		"public-governance, public-welfare or industry")
	c.optional(path+".grant", h.Grant, c.id)
	c.need(path+".kind", oneOf(h.Kind, "verify", "model", "aggregate"), "verify, model or aggregate")
	c.whole(path+".epoch", int64(h.Epoch), 0, maxInt)
	c.need(path+".origin", isOrigin(h.Origin), "a log's origin")
	c.whole(path+".units", h.Units, 1, maxInteger)
	c.need(path+".payloads", h.Payloads != nil && len(h.Payloads) <= maxPayloads, "a list of at most 256 digests, not null")
	for i, d := range h.Payloads {
		if !isDigest(d) {
			c.digest(path+".payloads["+strconv.Itoa(i)+"]", d)
		}
	}
	c.optional(path+".consentRoot", h.ConsentRoot, c.digest)
	c.need(path+".costCentre", h.CostCentre == "" || isCostCentre(h.CostCentre), "[A-Za-z0-9._-]{1,32}")
	c.need(path+".renews", h.Renews == "" || isUUID(h.Renews), "a UUID in lower case")
}

func (c *checker) call(path string, b *Call, e *Entry) {
	c.header(path+".header", &b.Header)
	c.key(path+".key", b.Key)
	c.sig(path+".signature", b.Signature)
	c.decision(path+".decision", &b.Decision)
	c.need(path+".decision.allow", b.Decision.Allow, "true")
	c.whole(path+".usage.cpu_ns", b.Usage.CPUNs, 0, maxInteger)
	c.whole(path+".usage.bytes_in", b.Usage.BytesIn, 0, maxInteger)
	c.whole(path+".usage.bytes_out", b.Usage.BytesOut, 0, maxInteger)
	c.whole(path+".usage.units", b.Usage.Units, 0, maxInteger)
	c.whole(path+".price.units", b.Price.Units, 0, maxInteger)
	c.amount(path+".price.amount", b.Price.Amount)
	c.whole(path+".epoch", int64(b.Epoch), 0, maxInt)
	c.whole(path+".version", int64(b.Version), 0, maxInt)
	c.digest(path+".descriptor", b.Descriptor)
	c.digest(path+".answer", b.Answer)
	c.optional(path+".contract", b.Contract, c.digest)
	c.time(path+".settled.admitted", b.Settled.Admitted)
	c.need(path+".settled.admitted", !b.Settled.Admitted.After(e.Time.Time), "no later than the entry")
}

func (c *checker) decision(path string, d *Decision) {
	c.need(path+".request", checkPlain(d.Request) == nil, "a canonical JSON object without free text")
	c.digest(path+".entities", d.Entities)
	c.digest(path+".policies", d.Policies)
	c.optional(path+".policy", d.Policy, c.plain)
	c.optional(path+".grant", d.Grant, c.id)
	c.optional(path+".grantDoc", d.GrantDoc, c.digest)
}

// paid: a call names the tariff that its price follows from.
func (c *checker) paid(path string, p *Price, e *Entry) {
	c.id(path+".tariff", p.Tariff)
	c.before(path+".seq", p.Seq, e)
	c.verb(path+".basis", p.Basis)
	c.amount(path+".unit", p.Unit)
	c.need(path+".amount", !strings.HasPrefix(p.Amount, "-") && !strings.HasPrefix(p.Unit, "-"), "no negative price")
}

// free: an exemption names no tariff and costs nothing.
func (c *checker) free(path string, p *Price) {
	c.need(path, p.Tariff == "" && p.Seq == 0 && p.Basis == "" && p.Unit == "" && p.Amount == "0.00",
		"a price of 0.00 without a tariff")
}

func (c *checker) timeRange(path string, from, to *Time) {
	c.time(path+".from", *from)
	c.time(path+".to", *to)
	c.need(path+".to", !to.Before(from.Time), "no earlier than from")
}
