package audit

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/note"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Source is where the entries come from: an export file, or a domain's database
// behind an adapter.
type Source interface {
	// Origin is the log's name.
	Origin() string
	// Checkpoints are the signed checkpoints at hand, in any order.
	Checkpoints() [][]byte
	// HandOvers are the hand-overs of the log's key that its entries carry, in
	// order: they are wanted before the entries come.
	HandOvers() [][]byte
	// Entries calls yield for every entry in order. An error of yield ends it
	// and is returned. The slice is the callee's to keep.
	Entries(yield func(seq int64, salt [ledger.SaltSize]byte, entry []byte) error) error
}

// Keys are the public keys that an audit trusts. Only the log's is needed.
type Keys struct {
	Log                   note.Verifier                // the first one that the log had, or a later one
	Authoriser, Authority ed25519.PublicKey            // nil: as the genesis has them, with a note
	Enterprises           map[string]ed25519.PublicKey // by credit code; nil: as the log has them, with notes
}

// Export is an export file as a Source.
type Export struct {
	path        string
	origin      string
	checkpoints [][]byte
	handOvers   [][]byte
}

// maxCheckpoints bounds what one audit compares.
const maxCheckpoints = 1 << 16

// OpenExport opens an export file (see policy/ledger) and gathers its
// checkpoints. The entries are read as the audit asks for them; the file must
// not change meanwhile.
func OpenExport(path string) (*Export, error) {
	x := &Export{path: path}
	err := x.read(func(line ledger.ExportLine) error {
		if line.Checkpoint == nil {
			x.handOver(line.Entry)
			return nil
		}
		if len(x.checkpoints) == maxCheckpoints {
			return fmt.Errorf("line %d: more than %d checkpoints", line.Line, maxCheckpoints)
		}
		x.checkpoints = append(x.checkpoints, line.Checkpoint)
		return nil
	})
	// A malformed line is the audit's to find, once it has read up to there. A
	// file that is no export at all is an error at once.
	if err != nil && (x.origin == "" || !errors.Is(err, ledger.ErrMalformed)) {
		return nil, fmt.Errorf("audit: opening %s: %w", path, err)
	}
	return x, nil
}

// Origin implements Source.
func (x *Export) Origin() string { return x.origin }

// Checkpoints implements Source.
func (x *Export) Checkpoints() [][]byte { return x.checkpoints }

// HandOvers implements Source.
func (x *Export) HandOvers() [][]byte { return x.handOvers }

// handOver keeps an entry's hand-over, if it has one. What does not decode is
// found when the audit comes to it.
func (x *Export) handOver(entry []byte) {
	if !bytes.Contains(entry, []byte(`"handOver"`)) || len(x.handOvers) > ledger.MaxHandOvers {
		return // decoding all would cost as much as the audit
	}
	if e, err := ledger.Decode(entry); err == nil && e.Key != nil && len(e.Key.HandOver) > 0 {
		x.handOvers = append(x.handOvers, e.Key.HandOver)
	}
}

// Entries implements Source.
func (x *Export) Entries(yield func(int64, [ledger.SaltSize]byte, []byte) error) error {
	return x.read(func(line ledger.ExportLine) error {
		if line.Checkpoint != nil {
			return nil
		}
		return yield(line.Seq, line.Salt, line.Entry)
	})
}

func (x *Export) read(each func(ledger.ExportLine) error) error {
	file, err := os.Open(x.path)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := ledger.NewExportReader(file)
	if err != nil {
		return err
	}
	x.origin = r.Origin()
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(line); err != nil {
			return err
		}
	}
}
