package enclave

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Action is what applying a document does.
type Action string

// The actions.
const (
	Unchanged Action = "unchanged" // in force already
	Create    Action = "create"
	Update    Action = "update"
	Suspend   Action = "suspend" // of a product that a new negative list names
	Withdraw  Action = "withdraw"
)

// Change is what applying one document does, or would do.
type Change struct {
	Kind    string
	ID      string
	Action  Action
	Version int             // of the document, afterwards
	Digest  string          // of the document
	Before  json.RawMessage // canonical; empty where it is created
	After   json.RawMessage
	Seq     int64 // the entry; -1: none, in a dry run too
}

// Apply brings documents into force, all or none, with the operator's
// signature on each. It also logs DIR/policies/*.cedar where they changed. With
// dryRun it changes nothing. Documents that do not fit what is in force give
// vocabulary.Faults; ones in force already are Unchanged and no entry.
func (d *Domain) Apply(ctx context.Context, docs []vocabulary.Parsed, approvals []vocabulary.Approval, dryRun bool) ([]Change, error) {
	policies, err := d.readPolicies()
	if err != nil {
		return nil, err
	}
	operator, err := seedKey(ctx, d.ring, secretOperator)
	if err != nil {
		return nil, err
	}
	defer clear(operator)
	var changes []Change
	prepare := func(w *admission.World) ([]ledger.Entry, error) {
		a := application{world: w, sign: func(document []byte) ledger.Signature { return admission.SignManifest(operator, document) }}
		evidence := vocabulary.Evidence{Today: vocabulary.Date(fees.Day(d.Now())), Approvals: approvals}
		if err := a.documents(docs, evidence); err != nil {
			return nil, err
		}
		if err := a.policies(policies); err != nil {
			return nil, err
		}
		if err := a.listed(d.Now()); err != nil {
			return nil, err
		}
		changes = a.changes
		return a.entries, nil
	}
	seqs, err := d.changeOr(ctx, dryRun, prepare)
	if err != nil {
		return nil, err
	}
	for i := range changes {
		changes[i].Seq = -1
		if changes[i].Action != Unchanged && len(seqs) > 0 {
			changes[i].Seq, seqs = seqs[0], seqs[1:]
		}
	}
	return changes, nil
}

// application collects what an apply logs.
type application struct {
	world   *admission.World
	sign    func(document []byte) ledger.Signature
	changes []Change
	entries []ledger.Entry
}

func (a *application) documents(docs []vocabulary.Parsed, evidence vocabulary.Evidence) error {
	evidence.Authoriser = a.world.Keys().Authoriser
	if faults := a.world.Catalogue().Check(docs, evidence); len(faults) > 0 {
		return faults
	}
	for _, doc := range vocabulary.Order(docs) {
		meta := doc.Doc.GetMeta()
		signatures := append([]ledger.Signature{a.sign(doc.Canonical)}, evidence.Signatures(doc)...)
		a.manifest(string(meta.Kind), meta.ID, doc.Canonical, signatures)
	}
	return nil
}

func (a *application) manifest(kind, id string, document []byte, signatures []ledger.Signature) {
	before, digest, version, known := a.world.Document(kind, id)
	c := Change{Kind: kind, ID: id, Action: Create, Version: version + 1, Digest: ledger.Digest(document), Before: before, After: document}
	switch {
	case known && digest == c.Digest:
		c.Action, c.Version = Unchanged, version
		a.changes = append(a.changes, c)
		return
	case known:
		c.Action = Update
	}
	a.changes = append(a.changes, c)
	a.entries = append(a.entries, ledger.Entry{Kind: ledger.KindManifest, Manifest: &ledger.Manifest{
		Kind: kind, ID: id, Version: c.Version, Digest: c.Digest, Document: document, Signatures: signatures,
	}})
}

func (a *application) stop(action Action, kind, id string, reason ledger.Reason) {
	a.changes = append(a.changes, Change{Kind: kind, ID: id, Action: action})
	a.entries = append(a.entries, ledger.Entry{Kind: ledger.KindStop, Stop: &ledger.Stop{
		Action: string(action), Kind: kind, ID: id, Reason: reason}})
}

// policies logs the operator's own forbids where they differ from what is in
// force; one whose file is gone is withdrawn.
func (a *application) policies(files map[string]string) error {
	for _, id := range slices.Sorted(maps.Keys(files)) {
		document, err := admission.EncodePolicy(admission.PolicyDocument{ID: id, Cedar: files[id], Title: vocabulary.Text{En: id}})
		if err != nil {
			return fmt.Errorf("%s/%s.cedar: %w", policiesDir, id, err)
		}
		a.manifest(admission.KindOperatorPolicy, id, document, []ledger.Signature{a.sign(document)})
	}
	for _, id := range a.world.OperatorPolicies() {
		if _, ok := files[id]; !ok {
			a.stop(Withdraw, admission.KindOperatorPolicy, id, ledger.ReasonOperatorDecision)
		}
	}
	return nil
}

// listed suspends the published products that the documents' negative lists
// newly name.
func (a *application) listed(now time.Time) error {
	next, err := a.world.Rehearse(now, a.entries...)
	if err != nil {
		return err
	}
	for _, held := range next.Catalogue().Products() {
		served, status, _ := next.Product(held.Doc.ID)
		_, hit := next.Catalogue().Listed(served)
		_, before := a.world.Catalogue().Listed(served)
		if status == admission.StatusPublished && hit && !before {
			a.stop(Suspend, string(vocabulary.KindProduct), held.Doc.ID, ledger.ReasonNegativeList)
		}
	}
	return nil
}

const policySuffix = ".cedar"

// readPolicies reads DIR/policies/*.cedar.
func (d *Domain) readPolicies() (map[string]string, error) {
	names, err := filepath.Glob(filepath.Join(d.dir, policiesDir, "*"+policySuffix))
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("reading the operator's policies: %w", err)
		}
		if info.Size() > admission.MaxPolicyText {
			return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, info.Size(), admission.MaxPolicyText)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the operator's policies: %w", err)
		}
		files[strings.TrimSuffix(filepath.Base(name), policySuffix)] = string(b)
	}
	return files, nil
}
