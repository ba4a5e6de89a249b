package admission

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strconv"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Fold takes the next entry. It returns a *FoldError and changes nothing if the
// entry is inconsistent with what came before. Entries may be left out if they
// are no control entries: settled and refused jobs change nothing but Seq.
func (w *World) Fold(e *ledger.Entry) error {
	faults, apply := w.plan(e)
	if len(faults) > 0 {
		return &FoldError{Seq: e.Seq, Kind: e.Kind, Faults: faults}
	}
	w.advance(e, apply)
	return nil
}

// Follow takes the next entry whatever is wrong with it, as far as it can be
// understood, and returns all that is. An audit goes on this way, so that one
// bad entry is one finding. Nobody who serves may call it.
func (w *World) Follow(e *ledger.Entry) []Fault {
	faults, apply := w.plan(e)
	w.advance(e, apply)
	return faults
}

// Rehearse folds entries that are not logged yet into a copy of w, numbered and
// timed as if they followed the last folded entry now. It returns the world that
// would be, or what is wrong. Neither w nor the entries change.
func (w *World) Rehearse(now time.Time, entries ...ledger.Entry) (*World, error) {
	next := w.Clone()
	at := ledger.NewTime(now)
	if at.Before(next.time) {
		at = ledger.NewTime(next.time)
	}
	for _, e := range entries {
		e.Seq, e.Time = next.seq+1, at
		if err := next.Fold(&e); err != nil {
			return nil, err
		}
	}
	return next, nil
}

func (w *World) advance(e *ledger.Entry, apply func()) {
	if apply != nil {
		apply()
	}
	w.seq = max(w.seq, e.Seq)
	if e.Time.After(w.time) {
		w.time = e.Time.Time
	}
}

// plan says what is wrong with an entry and how to apply it; nil: not at all.
func (w *World) plan(e *ledger.Entry) (faults, func()) {
	var f faults
	if e.Seq <= w.seq {
		f.add(ClassOrder, "sequence", "a number above "+strconv.FormatInt(w.seq, 10), strconv.FormatInt(e.Seq, 10))
	}
	if e.Time.Before(w.time) {
		f.add(ClassOrder, "time", "no earlier than "+ledger.NewTime(w.time).String(), e.Time.String())
	}
	if w.genesis == nil && !isGenesis(e) && w.seq < 0 {
		f.add(ClassGenesis, "genesis", "a key entry with action genesis as entry 0", string(e.Kind))
	}
	more, apply := w.body(e)
	if w.goesOn(e) {
		return append(f, more...), apply
	}
	seq, _ := w.Unspent()
	f.add(ClassSpend, "the spend of entry "+strconv.FormatInt(seq, 10), "the publication that it is for right after it", "a "+string(e.Kind)+" entry")
	return append(f, more...), func() {
		w.spendings = nil
		if apply != nil {
			apply()
		}
	}
}

func (w *World) body(e *ledger.Entry) (faults, func()) {
	switch {
	case e.Kind == ledger.KindKey && e.Key != nil:
		return w.key(e, e.Key)
	case e.Kind == ledger.KindManifest && e.Manifest != nil:
		return w.manifest(e, e.Manifest)
	case e.Kind == ledger.KindApprove && e.Approve != nil:
		return w.approve(e.Approve), nil
	case e.Kind == ledger.KindImport && e.Import != nil:
		return w.imported(e, e.Import)
	case e.Kind == ledger.KindReview && e.Review != nil:
		return w.review(e, e.Review)
	case e.Kind == ledger.KindPublish && e.Publish != nil:
		return w.publish(e, e.Publish)
	case e.Kind == ledger.KindBudget && e.Budget != nil:
		return w.spend(e, e.Budget)
	case e.Kind == ledger.KindAccess && e.Access != nil && e.Access.Former != nil && e.Seq == 1:
		return nil, func() { w.standsIn = true }
	case e.Kind == ledger.KindStop && e.Stop != nil:
		return w.stop(e.Stop)
	case e.Kind == ledger.KindShred && e.Shred != nil:
		return w.shred(e, e.Shred)
	}
	return nil, nil // of no consequence for admission
}

func isGenesis(e *ledger.Entry) bool {
	return e.Kind == ledger.KindKey && e.Key != nil && e.Key.Action == "genesis"
}

func (w *World) key(e *ledger.Entry, k *ledger.Key) (faults, func()) {
	switch role := vocabulary.Role(k.Purpose); {
	case k.Action == "genesis":
		return w.pin(e, k)
	case k.Action == "rotate" && k.Purpose == ledger.PurposeLedger:
		return w.handOver(e, k)
	case k.Action == "enrol", (k.Action == "rotate" || k.Action == "retire") && enrollable(role):
		return w.enrol(e, k, role)
	case k.Action == "retire" && k.Purpose == "oprf":
		return w.retireKey(e, k)
	}
	return nil, nil // OPRF and wrapping keys are not admission's business
}

// handOver takes the passing of the log to another key, which the key in force
// and the new one signed. That its root is the log's is for those to check who
// have the tree.
func (w *World) handOver(e *ledger.Entry, k *ledger.Key) (faults, func()) {
	var f faults
	what := "the hand-over of the log's key"
	if w.logKeys == nil {
		f.add(ClassHandOver, what, "a ledger key that the genesis pins", "none")
		return f, nil
	}
	if owner, taken := w.owners[k.Public]; taken {
		f.add(ClassHandOver, what, "a key that nobody holds or held", "the key of "+owner)
	}
	next := w.logKeys.Clone()
	before := len(next.HandOvers())
	switch err := next.Follow(k.HandOver); {
	case err != nil:
		f.add(ClassHandOver, what, "one that the key in force and the new key signed", err.Error())
		return f, nil
	case len(next.HandOvers()) == before:
		f.add(ClassHandOver, what, "one that was not made before", "the same again")
		return f, nil
	}
	if h, err := ledger.ParseHandOver(k.HandOver); err != nil || h.Tree.N != e.Seq {
		f.add(ClassHandOver, what, "one at the tree before entry "+strconv.FormatInt(e.Seq, 10), "one at another")
		return f, nil
	}
	return f, func() {
		w.logKeys = next
		w.owners[k.Public] = ledger.PurposeLedger
	}
}

// pin takes the genesis. The three bodies must be three keys: an operator that
// held the authoriser's key could set its own ceilings.
func (w *World) pin(e *ledger.Entry, k *ledger.Key) (faults, func()) {
	var f faults
	if e.Seq != 0 || w.genesis != nil {
		f.add(ClassGenesis, "genesis", "one, as entry 0", "one as entry "+strconv.FormatInt(e.Seq, 10))
	}
	g := Genesis{Origin: k.Origin, CA: k.CA}
	owners := map[string]string{}
	for _, pin := range []struct {
		role vocabulary.Role
		text string
		key  *ed25519.PublicKey
		need bool
	}{
		{vocabulary.RoleOperator, k.Operator, &g.Operator, true},
		{vocabulary.RoleAuthoriser, k.Authoriser, &g.Authoriser, false},
		{vocabulary.RoleAuthority, k.Authority, &g.Authority, false},
		{"ledger", k.Public, &g.Log, false},
	} {
		if pin.text == "" && !pin.need {
			continue
		}
		key, err := ledger.ParseKey(pin.text)
		if err != nil {
			f.add(ClassGenesis, "the genesis key of "+string(pin.role), "an Ed25519 public key", "something else")
			continue
		}
		if other, taken := owners[pin.text]; taken {
			f.add(ClassGenesis, "the genesis key of "+string(pin.role), "a key of its own", "the key of "+other)
		}
		*pin.key, owners[pin.text] = key, string(pin.role)
	}
	return f, func() {
		if w.genesis != nil {
			return // pinned means pinned
		}
		w.genesis = &g
		if by, err := vocabulary.ParseURI(e.Actor); err == nil && by.Role == vocabulary.RoleOperator && vocabulary.CheckCreditCode(by.ID) == nil {
			w.operator = by.ID
		}
		if v, err := ledger.LogVerifier(g.Origin, g.Log); g.Log != nil && err == nil {
			w.logKeys, _ = ledger.NewLogKeys(v) // without hand-overs there is nothing to refuse
		}
		for text, role := range owners {
			w.owners[text] = role
		}
	}
}

// enrollable are the roles whose keys come by enrolment. The operator's,
// authoriser's and authority's are pinned: no later entry makes them.
func enrollable(role vocabulary.Role) bool {
	switch role {
	case vocabulary.RoleEnterprise, vocabulary.RoleReviewer, vocabulary.RoleAuditor,
		vocabulary.RoleProvider, vocabulary.RoleServer:
		return true
	}
	return false
}

func (w *World) enrol(e *ledger.Entry, k *ledger.Key, role vocabulary.Role) (faults, func()) {
	var f faults
	id, err := vocabulary.ParseURI(k.ID)
	if err != nil || id.Role != role || !enrollable(role) {
		f.add(ClassKey, k.Action+" of "+k.ID, "an identity of an enrollable role, with that role as purpose", k.Purpose)
		return f, nil
	}
	what := k.Action + " of " + k.ID
	switch old, known := w.identities[k.ID]; {
	case known && k.Action == "enrol":
		f.add(ClassKey, what, "an identity not enrolled yet", "one enrolled by entry "+strconv.FormatInt(old.Seq, 10))
	case !known && k.Action != "enrol":
		f.add(ClassKey, what, "an enrolled identity", "an unknown one")
	}
	if k.Action == "retire" {
		return f, func() { delete(w.identities, k.ID) }
	}
	key, err := ledger.ParseKey(k.Public)
	if err != nil {
		f.add(ClassKey, what, "an Ed25519 public key", "something else")
		return f, nil
	}
	if owner, taken := w.owners[k.Public]; taken && owner != k.ID {
		f.add(ClassKey, what, "a key that nobody else holds", "the key of "+owner)
	}
	if signs, ok := w.SigningKey(id.ID); ok && role == vocabulary.RoleEnterprise && k.Action == "enrol" && !bytes.Equal(signs, key) {
		f.add(ClassKey, what, "the signing key of its manifest", "another key")
	}
	return f, func() {
		w.identities[k.ID] = Identity{URI: k.ID, Role: role, Key: key, Seq: e.Seq}
		w.owners[k.Public] = k.ID
	}
}

// approve checks a signature added to a document that is already logged.
func (w *World) approve(a *ledger.Approve) faults {
	var f faults
	for s, d := range w.documents {
		if d.digest == a.Digest && d.bytes != nil {
			w.approval(&f, s.String(), d.bytes, a.Signature)
			return f
		}
	}
	f.add(ClassApproval, "approval of "+a.Digest, "the digest of a document in force", "an unknown one")
	return f
}

// approval checks one signature of a pinned role.
func (w *World) approval(f *faults, what string, document []byte, s ledger.Signature) {
	if w.genesis == nil {
		return // said once, as a missing genesis
	}
	var pinned ed25519.PublicKey
	switch vocabulary.Role(s.Role) {
	case vocabulary.RoleAuthoriser:
		pinned = w.genesis.Authoriser
	case vocabulary.RoleAuthority:
		pinned = w.genesis.Authority
	default:
		f.add(ClassApproval, what, "an approval by authoriser or authority", "one by "+s.Role)
		return
	}
	switch {
	case pinned == nil:
		f.add(ClassApproval, what, "a role whose key the genesis pins", s.Role)
	case s.Key != ledger.FormatKey(pinned):
		f.add(ClassApproval, what, "the pinned key of "+s.Role+", "+ledger.FormatKey(pinned), s.Key)
	case !ledger.Verify(pinned, ledger.ContextApproval, document, s.Signature):
		f.add(ClassApproval, what, "a signature of "+s.Role+" over this document", "one that does not verify")
	}
}

// SignManifest signs a document's canonical bytes as the operator: what every
// manifest entry carries.
func SignManifest(operator ed25519.PrivateKey, document []byte) ledger.Signature {
	return signature(vocabulary.RoleOperator, operator, ledger.ContextManifest, document)
}

// SignReview signs a product's canonical document as a reviewer.
func SignReview(reviewer ed25519.PrivateKey, product string, document []byte) ledger.Review {
	return ledger.Review{
		Product:   product,
		Digest:    ledger.Digest(document),
		Signature: signature(vocabulary.RoleReviewer, reviewer, ledger.ContextReview, document),
	}
}

func signature(role vocabulary.Role, key ed25519.PrivateKey, context string, document []byte) ledger.Signature {
	public, _ := key.Public().(ed25519.PublicKey)
	return ledger.Signature{
		Role:      string(role),
		Key:       ledger.FormatKey(public),
		Signature: ledger.Sign(key, context, document),
	}
}

func numbered(what string, n int) string { return fmt.Sprintf("%s %d", what, n) }
