package ledger

import (
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxReceipt bounds an encoded receipt.
const MaxReceipt = MaxEntry + 2*MaxCheckpoint + 2*MaxHandOvers*MaxHandOver

// Receipt proves, offline and with the log's public key alone, that an entry is
// logged (计量回执). It is provisional until its checkpoint carries cosignatures
// of witnesses.
type Receipt struct {
	Entry json.RawMessage `json:"entry"` // canonical bytes
	Salt  []byte          `json:"salt"`  // of the record
	Proof string          `json:"proof"` // C2SP tlog-proof: index, inclusion proof, signed checkpoint
	// HandOvers lead from an older key of the log to the one that signed the
	// checkpoint, in the log's order. They are for whoever trusts the older one.
	HandOvers [][]byte `json:"handOvers,omitempty"`
}

// NewReceipt puts a receipt together. It checks nothing: Verify does.
func NewReceipt(entry []byte, salt [SaltSize]byte, idx int64, p tlog.RecordProof, checkpoint []byte) *Receipt {
	return &Receipt{Entry: entry, Salt: salt[:], Proof: formatProof(idx, p, checkpoint)}
}

// Verify decodes the entry and checks that the log whose verifier is given, by
// that key or by one that the receipt's hand-overs join to it, signed a tree that
// has the entry at the index that the entry names.
func (r *Receipt) Verify(v note.Verifier) (*Entry, tlog.Tree, error) {
	keys, err := NewLogKeys(v, r.HandOvers...)
	if err != nil {
		return nil, tlog.Tree{}, fmt.Errorf("verifying a receipt: %w", err)
	}
	return r.VerifyBy(keys)
}

// VerifyBy is Verify by a log's keys, whatever hand-overs the receipt has.
func (r *Receipt) VerifyBy(keys *LogKeys) (*Entry, tlog.Tree, error) {
	entry, tree, err := r.verify(keys)
	if err != nil {
		return nil, tlog.Tree{}, fmt.Errorf("verifying a receipt: %w", err)
	}
	return entry, tree, nil
}

func (r *Receipt) verify(keys *LogKeys) (*Entry, tlog.Tree, error) {
	entry, err := Decode(r.Entry)
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	if len(r.Salt) != SaltSize {
		return nil, tlog.Tree{}, &FieldError{"salt", "32 bytes"}
	}
	index, proof, checkpoint, err := parseProof(r.Proof)
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	tree, err := keys.Checkpoint([]byte(checkpoint))
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	leaf := Leaf(Record([SaltSize]byte(r.Salt), r.Entry))
	if index != entry.Seq || tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf) != nil {
		return nil, tlog.Tree{}, fmt.Errorf("entry %d, tree of %d: %w", entry.Seq, tree.N, ErrInclusion)
	}
	return entry, tree, nil
}

// Checkpoint is the signed checkpoint that a receipt is under, unchecked.
func (r *Receipt) Checkpoint() ([]byte, error) {
	_, _, checkpoint, err := parseProof(r.Proof)
	if err != nil {
		return nil, fmt.Errorf("reading a receipt: %w", err)
	}
	return []byte(checkpoint), nil
}

// Encode returns the receipt's canonical JSON.
func (r *Receipt) Encode() ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("encoding a receipt: %w", err)
	}
	b, err := encode(planReceipt, r, MaxReceipt)
	if err != nil {
		return nil, fmt.Errorf("encoding a receipt: %w", err)
	}
	return b, nil
}

// DecodeReceipt reads what Encode writes, strictly. It does not verify.
func DecodeReceipt(b []byte) (*Receipt, error) {
	r := new(Receipt)
	if err := decode(planReceipt, b, r, MaxReceipt, r.validate); err != nil {
		return nil, fmt.Errorf("decoding a receipt: %w", err)
	}
	return r, nil
}

func (r *Receipt) validate() error {
	if _, err := Decode(r.Entry); err != nil {
		return err
	}
	if len(r.Salt) != SaltSize {
		return &FieldError{"salt", "32 bytes"}
	}
	for _, msg := range r.HandOvers {
		if _, err := ParseHandOver(msg); err != nil || len(r.HandOvers) > MaxHandOvers {
			return &FieldError{"handOvers", "at most 1024 hand-overs of the log's key"}
		}
	}
	_, _, _, err := parseProof(r.Proof)
	return err
}

const (
	proofHeader = "c2sp.org/tlog-proof@v1"
	// maxProof is one hash a level; a tree of at most 2^53-1 leaves has 53.
	maxProof = 53
)

// formatProof writes a C2SP tlog-proof without extra data.
func formatProof(index int64, proof tlog.RecordProof, checkpoint []byte) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\nindex %d\n", proofHeader, index)
	for _, h := range proof {
		fmt.Fprintf(&out, "%s\n", h)
	}
	out.WriteByte('\n')
	out.Write(checkpoint)
	return out.String()
}

// parseProof reads what formatProof writes; the standard's optional line of
// extra data is refused, since nothing here would check it.
func parseProof(text string) (index int64, proof tlog.RecordProof, checkpoint string, err error) {
	fault := func(what string) (int64, tlog.RecordProof, string, error) {
		return 0, nil, "", fmt.Errorf("%w: tlog-proof: %s", ErrMalformed, what)
	}
	head, checkpoint, ok := strings.Cut(text, "\n\n")
	if !ok || len(checkpoint) > MaxCheckpoint {
		return fault("no checkpoint, or one too large")
	}
	lines := strings.Split(head, "\n")
	if lines[0] != proofHeader {
		return fault("the first line is not " + proofHeader)
	}
	if len(lines) < 2 || len(lines) > 2+maxProof {
		return fault("no index, or more hashes than a tree has levels")
	}
	number, ok := strings.CutPrefix(lines[1], "index ")
	if index, err = parseIndex(number); !ok || err != nil {
		return fault("the second line is not an index")
	}
	for _, line := range lines[2:] {
		h, err := parseHash(line)
		if err != nil {
			return fault("a hash is not 32 bytes in base64")
		}
		proof = append(proof, h)
	}
	return index, proof, checkpoint, nil
}
