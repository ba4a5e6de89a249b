package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Receipts holds receipts against the log of a source: that each verifies, that
// its entry stands in the log as it says, and that its checkpoint is of this
// log's history. It reads the log once.
func Receipts(ctx context.Context, src Source, keys Keys, held []*ledger.Receipt) ([]Finding, error) {
	if keys.Log == nil {
		return nil, errors.New("audit: the log's public key is needed")
	}
	f := findings{most: DefaultMaxFindings}
	log, _ := ledger.TraceLogKeys(keys.Log, src.HandOvers()...)
	r := openReceipts(&f, held, keys.Log, log)
	var tree frontier
	err := src.Entries(func(seq int64, salt [ledger.SaltSize]byte, entry []byte) error {
		if tree.size%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r.see(&f, seq, salt, entry)
		tree.add(ledger.Leaf(ledger.Record(salt, entry)))
		r.meet(&f, &tree, false)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("audit: reading the log: %w", err)
	}
	r.finish(&f, tree.size)
	return f.sorted(), nil
}

// receipts are those that verify: by entry, and in the order in which the tree
// grows into their checkpoints.
type receipts struct {
	byEntry map[int64][]receipt
	byTree  []receipt
	astray  bool // the last checkpoint that was met did not match
}

type receipt struct {
	number int // among those given, from 1
	seq    int64
	tree   tlog.Tree
	of     *ledger.Receipt
}

// openReceipts verifies receipts by the log's keys. pinned is the one that the
// auditor trusts: a receipt that leads from it to a key which is not among the
// log's shows that it handed over twice.
func openReceipts(f *findings, held []*ledger.Receipt, pinned note.Verifier, keys *ledger.LogKeys) receipts {
	r := receipts{byEntry: map[int64][]receipt{}}
	for i, of := range held {
		e, tree, err := of.VerifyBy(keys)
		if err != nil {
			what := fmt.Sprintf("receipt %d", i+1)
			_, _, own := of.Verify(pinned)
			switch {
			case errors.Is(err, ledger.ErrRetired):
				f.add("A43", -1, what, "one under a checkpoint of the key that was in force at its size", err.Error())
			case own == nil:
				f.add("A44", -1, what, "one by the keys that the log was handed over to", "one by a key that the log's key handed over to as well: there are two logs")
			default:
				f.add("A40", -1, what, "one that verifies under the log's key", err.Error())
			}
			continue
		}
		next := receipt{i + 1, e.Seq, tree, of}
		r.byEntry[e.Seq] = append(r.byEntry[e.Seq], next)
		r.byTree = append(r.byTree, next)
	}
	slices.SortStableFunc(r.byTree, func(a, b receipt) int { return cmp.Compare(a.tree.N, b.tree.N) })
	return r
}

// see compares an entry's receipts with what the log has under its number.
func (r *receipts) see(f *findings, seq int64, salt [ledger.SaltSize]byte, entry []byte) {
	for _, held := range r.byEntry[seq] {
		if !bytes.Equal(held.of.Entry, entry) || !bytes.Equal(held.of.Salt, salt[:]) {
			f.add("A41", seq, fmt.Sprintf("the entry of receipt %d", held.number), "the receipt's, which the log's key signed for", "another")
		}
	}
	delete(r.byEntry, seq)
}

// meet compares the checkpoints of receipts with the tree as it grows. Once the
// tree is astray every later checkpoint is, which is no news.
func (r *receipts) meet(f *findings, tree *frontier, astray bool) {
	for len(r.byTree) > 0 && r.byTree[0].tree.N <= tree.size {
		next := r.byTree[0]
		r.byTree = r.byTree[1:]
		if next.tree.N != tree.size {
			continue // of size 0, before the first entry
		}
		matches := next.tree.Hash == tree.root()
		if !matches && !r.astray && !astray {
			f.add("A42", next.seq, fmt.Sprintf("the tree of size %d that receipt %d was given under", tree.size, next.number),
				next.tree.Hash.String()+", as the log's key signed", tree.root().String())
		}
		r.astray = !matches
	}
}

// finish finds receipts of entries that are not there, and from beyond the end
// of the log.
func (r *receipts) finish(f *findings, size int64) {
	for _, seq := range slices.Sorted(maps.Keys(r.byEntry)) {
		for _, held := range r.byEntry[seq] {
			f.add("A41", seq, fmt.Sprintf("the entry of receipt %d", held.number), "in the log, as the log's key signed", "missing")
		}
	}
	for _, next := range r.byTree {
		f.add("A42", next.seq, fmt.Sprintf("the log under receipt %d", next.number),
			fmt.Sprintf("at least %d entries, as its checkpoint signs", next.tree.N), strconv.FormatInt(size, 10))
	}
}
