package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

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
	r := openReceipts(&f, held, keys)
	var tree frontier
	err := src.Entries(func(_ int64, salt [ledger.SaltSize]byte, entry []byte) error {
		if tree.size%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r.see(&f, tree.size, salt, entry)
		tree.add(ledger.Leaf(ledger.Record(salt, entry)))
		r.meet(&f, &tree)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("audit: reading the log: %w", err)
	}
	r.finish(&f, tree.size)
	return f.sorted(), nil
}

// receipts are those that verify, in the order in which the log meets them.
type receipts struct {
	byEntry []receipt
	byTree  []receipt
}

type receipt struct {
	number int // among those given, from 1
	seq    int64
	tree   tlog.Tree
	of     *ledger.Receipt
}

func openReceipts(f *findings, held []*ledger.Receipt, keys Keys) receipts {
	var r receipts
	for i, of := range held {
		e, tree, err := of.Verify(keys.Log)
		if err != nil {
			f.add("A40", -1, fmt.Sprintf("receipt %d", i+1), "one that verifies under the log's key", err.Error())
			continue
		}
		r.byEntry = append(r.byEntry, receipt{i + 1, e.Seq, tree, of})
	}
	r.byTree = slices.Clone(r.byEntry)
	slices.SortStableFunc(r.byEntry, func(a, b receipt) int { return cmp.Compare(a.seq, b.seq) })
	slices.SortStableFunc(r.byTree, func(a, b receipt) int { return cmp.Compare(a.tree.N, b.tree.N) })
	return r
}

// see compares the receipts of the entry at a place in the log.
func (r *receipts) see(f *findings, at int64, salt [ledger.SaltSize]byte, entry []byte) {
	for len(r.byEntry) > 0 && r.byEntry[0].seq <= at {
		next := r.byEntry[0]
		r.byEntry = r.byEntry[1:]
		if next.seq == at && (!bytes.Equal(next.of.Entry, entry) || !bytes.Equal(next.of.Salt, salt[:])) {
			f.add("A41", at, fmt.Sprintf("the entry of receipt %d", next.number), "the receipt's, which the log's key signed for", "another")
		}
	}
}

// meet compares the checkpoints of receipts with the tree as it grows.
func (r *receipts) meet(f *findings, tree *frontier) {
	for len(r.byTree) > 0 && r.byTree[0].tree.N <= tree.size {
		next := r.byTree[0]
		r.byTree = r.byTree[1:]
		if next.tree.N == tree.size && next.tree.Hash != tree.root() {
			f.add("A42", next.seq, fmt.Sprintf("the tree of size %d that receipt %d was given under", tree.size, next.number),
				next.tree.Hash.String()+", as the log's key signed", tree.root().String())
		}
	}
}

// finish finds receipts from beyond the end of the log.
func (r *receipts) finish(f *findings, size int64) {
	for _, next := range r.byTree {
		f.add("A42", next.seq, fmt.Sprintf("the log under receipt %d", next.number),
			fmt.Sprintf("at least %d entries, as its checkpoint signs", next.tree.N), fmt.Sprintf("%d", size))
	}
}
