package vocabulary

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/yingbi/yingbi/policy/ledger"
)

// ApprovalsSuffix is added to a manifest file's name for its approvals.
const ApprovalsSuffix = ".approvals"

// Limits of an approvals file.
const (
	MaxApprovalsFile = 1 << 20
	MaxApprovals     = 4 * MaxDocuments
)

// Approval is a detached signature of a document: one line of FILE.approvals.
type Approval struct {
	Kind      Kind             `json:"kind"`
	ID        string           `json:"id"`
	Digest    string           `json:"digest"`    // of the document's canonical form
	Signature ledger.Signature `json:"signature"` // over the canonical form, ContextApproval
}

// Why an approval does not count.
var (
	ErrApprovalDocument  = errors.New("the approval is of another document")
	ErrApprovalRole      = errors.New("the approval is by another role")
	ErrApprovalKey       = errors.New("the approval is by another key than the pinned one")
	ErrApprovalSignature = errors.New("the approval's signature does not verify")
)

// RequiredApproval is the role that must approve a kind before it is applied,
// or "" for kinds that the operator alone applies. The roles' keys are pinned at
// init; an operator's signature on a ceiling counts for nothing.
func RequiredApproval(kind Kind) Role {
	switch kind {
	case KindAuthorisation, KindCeiling:
		return RoleAuthoriser
	}
	return ""
}

// Approve signs a document in a role.
func Approve(doc Parsed, role Role, key ed25519.PrivateKey) Approval {
	meta := doc.Doc.GetMeta()
	public, _ := key.Public().(ed25519.PublicKey)
	return Approval{
		Kind: meta.Kind, ID: meta.ID, Digest: doc.Digest,
		Signature: ledger.Signature{
			Role: string(role), Key: ledger.FormatKey(public),
			Signature: ledger.Sign(key, ledger.ContextApproval, doc.Canonical),
		},
	}
}

// Verify says whether the approval is of the document with these canonical
// bytes, by the role its kind demands and by that role's pinned key.
func (a Approval) Verify(canonical []byte, pinned ed25519.PublicKey) error {
	if a.Digest != ledger.Digest(canonical) {
		return ErrApprovalDocument
	}
	if role := RequiredApproval(a.Kind); a.Signature.Role != string(role) {
		return fmt.Errorf("%w: got %s, expected %s", ErrApprovalRole, quote(a.Signature.Role), role)
	}
	if len(pinned) != ed25519.PublicKeySize || a.Signature.Key != ledger.FormatKey(pinned) {
		return ErrApprovalKey
	}
	if !ledger.Verify(pinned, ledger.ContextApproval, canonical, a.Signature.Signature) {
		return ErrApprovalSignature
	}
	return nil
}

// approvalLine is an approval as it is read, each field with its rule.
type approvalLine struct {
	Kind      Kind   `json:"kind" is:"kind"`
	ID        string `json:"id" is:"any-id"`
	Digest    string `json:"digest" is:"digest"`
	Signature struct {
		Role      string `json:"role" is:"role"`
		Key       string `json:"key" is:"key"`
		Signature []byte `json:"signature" is:"signature"`
	} `json:"signature"`
}

// ReadApprovals reads an approvals file: JSON lines. Blank lines are passed
// over. It checks form alone; Verify checks each against its document.
func ReadApprovals(b []byte) ([]Approval, error) {
	if len(b) > MaxApprovalsFile {
		return nil, Faults{{ID: "too-large", Got: fmt.Sprintf("%d bytes", len(b)), Expected: fmt.Sprintf("at most %d", MaxApprovalsFile)}}
	}
	var approvals []Approval
	var r report
	number := 0
	for line := range bytes.Lines(b) {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if len(approvals) == MaxApprovals {
			r.add(Fault{ID: "too-many", Position: Position{Line: number, Column: 1}, Got: "more approvals", Expected: fmt.Sprintf("at most %d", MaxApprovals)})
			break
		}
		var read approvalLine
		if err := decodeJSON(line, number, &read); err != nil {
			r.addAll(err)
			continue
		}
		approvals = append(approvals, Approval{
			Kind: read.Kind, ID: read.ID, Digest: read.Digest,
			Signature: ledger.Signature(read.Signature),
		})
	}
	if faults := r.done(); faults != nil {
		return nil, fmt.Errorf("approvals: %w", faults)
	}
	return approvals, nil
}

// MergeApprovals adds approvals to those that a file has. A key's approval takes
// the place of its earlier one of the same kind and id; those of other keys stay.
func MergeApprovals(old, added []Approval) []Approval {
	type place struct {
		kind    Kind
		id, key string
	}
	of := func(a Approval) place { return place{a.Kind, a.ID, a.Signature.Key} }
	taken := map[place]bool{}
	for _, a := range added {
		taken[of(a)] = true
	}
	merged := slices.DeleteFunc(slices.Clone(old), func(a Approval) bool { return taken[of(a)] })
	return append(merged, added...)
}

// FormatApprovals writes an approvals file.
func FormatApprovals(approvals []Approval) ([]byte, error) {
	var b bytes.Buffer
	for _, approval := range approvals {
		line, err := ledger.Canonical(approval)
		if err != nil {
			return nil, fmt.Errorf("approval of %s %s: %w", approval.Kind, approval.ID, err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}
