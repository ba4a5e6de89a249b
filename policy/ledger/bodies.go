package ledger

import "strconv"

// One check per body, in the order of the kinds.

func (b *Manifest) check(c *checker, _ *Entry) {
	c.need("manifest.kind", isKindName(b.Kind), "a kind of document, [A-Z][A-Za-z]{0,31}")
	c.need("manifest.id", isAnyID(b.ID), "an id or a credit code")
	c.whole("manifest.version", int64(b.Version), 1, maxInt)
	c.digest("manifest.digest", b.Digest)
	canonical := len(b.Document) > 0 && b.Document[0] == '{' && checkCanonical(b.Document) == nil
	c.need("manifest.document", canonical, "a canonical JSON object")
	if canonical {
		c.need("manifest.digest", b.Digest == Digest(b.Document), "the document's digest")
	}
	c.need("manifest.signatures", len(b.Signatures) <= maxSignatures, "at most 16 signatures")
	for i := range b.Signatures {
		c.signature("manifest.signatures["+strconv.Itoa(i)+"]", &b.Signatures[i])
	}
}

func (b *Import) check(c *checker, e *Entry) {
	c.id("import.resource", b.Resource)
	c.whole("import.version", int64(b.Version), 1, maxInt)
	c.whole("import.rows", b.Rows, 0, maxInteger)
	c.need("import.columns", len(b.Columns) > 0 && len(b.Columns) <= maxColumns, "1 to 4096 columns")
	for i := range b.Columns {
		path, col := "import.columns["+strconv.Itoa(i)+"]", &b.Columns[i]
		c.need(path+".name", isColumn(col.Name), "a column, [a-z][a-z0-9_]{0,62}")
		c.whole(path+".present", col.Present, 0, b.Rows)
		c.whole(path+".distinct", col.Distinct, 0, col.Present)
	}
	c.digest("import.digest", b.Digest)
	if b.Reseals != 0 {
		c.before("import.reseals", b.Reseals, e)
	}
}

func (b *Review) check(c *checker, _ *Entry) {
	c.id("review.product", b.Product)
	c.digest("review.digest", b.Digest)
	c.signature("review.signature", &b.Signature)
}

func (b *Approve) check(c *checker, _ *Entry) {
	c.digest("approve.digest", b.Digest)
	c.signature("approve.signature", &b.Signature)
}

func (b *Publish) check(c *checker, e *Entry) {
	c.id("publish.product", b.Product)
	c.whole("publish.epoch", int64(b.Epoch), 0, maxInt)
	c.whole("publish.version", int64(b.Version), 1, maxInt)
	c.before("publish.import", b.Import, e)
	c.before("publish.review", b.Review, e)
	c.whole("publish.population", b.Population, 0, maxInteger)
	c.need("publish.descriptor", checkPlain(b.Descriptor) == nil, "a canonical JSON object without free text")
	c.need("publish.regime", oneOf(b.Regime, "", "disclosure", "privacy"), "disclosure or privacy, or nothing")
	if b.Regime != "privacy" {
		c.need("publish.rho", b.Rho == 0, "nothing, but under privacy")
		return
	}
	c.whole("publish.rho", b.Rho, 1, maxInteger)
}

func (b *Budget) check(c *checker, _ *Entry) {
	c.id("budget.resource", b.Resource)
	c.optional("budget.product", b.Product, c.id)
	c.need("budget.per", oneOf(b.Per, "period", "lifetime"), "period or lifetime")
	if b.Counter == "" {
		c.need("budget.window", isCostCentre(b.Window), "a period's name, [A-Za-z0-9._-]{1,32}")
	} else { // the window of a term is named by its grant
		c.plain("budget.counter", b.Counter)
		c.need("budget.window", isCostCentre(b.Window) || isID(b.Window), "a period's name, [A-Za-z0-9._-]{1,32}, or a grant's id")
		c.id("budget.product", b.Product)
		c.need("budget.action", b.Action == "spend", "spend, where there is a counter")
	}
	c.whole("budget.units", b.Units, 0, maxInteger)
	c.need("budget.action", oneOf(b.Action, "set", "spend"), "set or spend")
}

func (b *Call) check(c *checker, e *Entry) {
	c.call("call", b, e)
	if c.err == nil {
		c.paid("call.price", &b.Price, e)
	}
}

func (b *Exemption) check(c *checker, e *Entry) {
	c.call("exemption", &b.Call, e)
	c.free("exemption.price", &b.Price)
	c.optional("exemption.grant", b.Grant, c.digest)
	c.optional("exemption.evidence", b.Evidence, c.digest)
	c.optional("exemption.until", b.Until, c.day)
	switch b.Ground {
	case "purpose":
		c.need("exemption.grant", b.Grant != "", "the grant that states basis and conditions")
		c.need("exemption.evidence", b.Evidence != "", "the evidence's digest")
		c.need("exemption.until", b.Until != "", "the exemption's last day")
	case "renewal":
		c.need("exemption.header.renews", b.Header.Renews != "", "the job that is renewed")
	case "sandbox":
		c.need("exemption.grant", b.Grant == "" && b.Evidence == "" && b.Until == "", "nothing: the sandbox has no grant")
	default:
		c.need("exemption.ground", false, "purpose, sandbox or renewal")
	}
}

func (b *Denied) check(c *checker, _ *Entry) {
	c.enterprise("denied.enterprise", b.Enterprise)
	c.reason("denied.reason", b.Reason)
	c.plain("denied.rule", b.Rule)
	c.whole("denied.count", b.Count, 1, maxInteger)
	if b.Header == nil {
		c.need("denied.header", b.Key == "" && len(b.Signature) == 0 && b.Decision == nil, "a header, where key, signature or decision are given")
		c.need("denied.from", b.From != nil && b.To != nil, "the times of the first and the last, where there is no header")
		if b.From != nil && b.To != nil {
			c.timeRange("denied", b.From, b.To)
		}
		return
	}
	c.header("denied.header", b.Header)
	c.whole("denied.count", b.Count, 1, 1)
	c.need("denied.from", b.From == nil && b.To == nil, "no times: the entry's own is the job's")
	c.optional("denied.key", b.Key, c.key)
	if len(b.Signature) > 0 {
		c.sig("denied.signature", b.Signature)
	}
	if b.Decision != nil {
		c.decision("denied.decision", b.Decision)
		c.need("denied.decision.allow", !b.Decision.Allow, "false")
	}
}

func (b *Correction) check(c *checker, e *Entry) {
	c.before("correction.of", b.Of, e)
	c.month("correction.month", b.Month)
	c.verb("correction.basis", b.Basis)
	c.fen("correction.was", b.Was)
	c.fen("correction.should", b.Should)
	c.fen("correction.amount", b.Amount)
	c.reason("correction.reason", b.Reason)
	if b.Dispute != 0 {
		c.before("correction.dispute", b.Dispute, e)
	}
}

func (b *Close) check(c *checker, e *Entry) {
	c.enterprise("close.enterprise", b.Enterprise)
	c.month("close.month", b.Month)
	c.before("close.through", b.Through, e)
	c.fen("close.total", b.Total)
	c.digest("close.digest", b.Digest)
}

func (b *Dispute) check(c *checker, e *Entry) {
	c.id("dispute.id", b.ID)
	c.before("dispute.about", b.About, e)
	c.verb("dispute.state", b.State)
	c.reason("dispute.reason", b.Reason)
	c.optional("dispute.deadline", b.Deadline, c.day)
	c.optional("dispute.document", b.Document, c.digest)
}

func (b *Access) check(c *checker, _ *Entry) {
	c.need("access.action", oneOf(b.Action, "unlock", "export", "backup", "handover", "restore", "dry-run"),
		"unlock, export, backup, handover, restore or dry-run")
	c.plain("access.object", b.Object)
	c.whole("access.count", b.Count, 0, maxInteger)
	if f := b.Former; f != nil {
		c.need("access.former", b.Action == "restore", "nothing, but in a restore")
		c.need("access.former.origin", isOrigin(f.Origin), "a log's origin")
		c.whole("access.former.size", f.Size, 1, maxInteger)
		c.digest("access.former.root", f.Root)
	}
}

func (b *Key) check(c *checker, e *Entry) {
	c.need("key.action", oneOf(b.Action, "genesis", "enrol", "create", "rotate", "retire"), "genesis, enrol, create, rotate or retire")
	c.verb("key.purpose", b.Purpose)
	c.optional("key.id", b.ID, c.plain)
	c.optional("key.public", b.Public, c.plain)
	c.optional("key.operator", b.Operator, c.key)
	c.optional("key.authoriser", b.Authoriser, c.key)
	c.optional("key.authority", b.Authority, c.key)
	c.optional("key.ca", b.CA, c.digest)
	if b.Action == "genesis" {
		c.whole("seq", e.Seq, 0, 0)
		c.key("key.public", b.Public)
		c.need("key.origin", isOrigin(b.Origin), "the log's origin")
		c.key("key.operator", b.Operator)
		c.key("key.authoriser", b.Authoriser)
		c.key("key.authority", b.Authority)
		b.checkHandOver(c, e)
		return
	}
	c.need("key.origin", b.Origin == "" && b.Operator == "" && b.Authoriser == "" && b.Authority == "" && b.CA == "",
		"pinned keys in the genesis only")
	b.checkHandOver(c, e)
}

// checkHandOver: the ledger's key changes by a hand-over, at this very entry, and
// nothing else has one. Who signed it is not the form's business.
func (b *Key) checkHandOver(c *checker, e *Entry) {
	if b.Action != "rotate" || b.Purpose != PurposeLedger {
		c.need("key.handOver", len(b.HandOver) == 0, "no hand-over but in a rotation of the ledger's key")
		return
	}
	h, err := ParseHandOver(b.HandOver)
	c.need("key.handOver", err == nil && h.Tree.N == e.Seq, "a hand-over at as many entries as come before this one")
	c.need("key.public", err == nil && b.Public == FormatKey(h.NewKey()), "the key that the hand-over leads to")
}

func (b *Stop) check(c *checker, _ *Entry) {
	c.need("stop.action", oneOf(b.Action, "suspend", "resume", "withdraw", "revoke", "stop", "lift"),
		"suspend, resume, withdraw, revoke, stop or lift")
	c.need("stop.kind", isKindName(b.Kind), "a kind of document, [A-Z][A-Za-z]{0,31}")
	c.need("stop.id", isAnyID(b.ID), "an id or a credit code")
	c.reason("stop.reason", b.Reason)
}

func (b *Shred) check(c *checker, _ *Entry) {
	_, _, column := b.Column()
	_, _, epoch := b.Epoch()
	c.need("shred.object", column || epoch, "column/RESOURCE/COLUMN or epoch/PRODUCT/EPOCH")
	c.whole("shred.keys", int64(b.Keys), 1, maxInt)
}
