package state

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Signers give the signer of a log's key, by its verifier key; the empty one is
// the log's first. A process that has not the key, and cannot get it, gives an
// error: then nothing settles in it.
//
// Which key signs is read under the database's lock by every settling
// transaction, so that all processes go over to a new key at the same entry.
type Signers func(ctx context.Context, vkey string) (*ledger.LogSigner, error)

// OneSigner are the signers of a log that had one key.
func OneSigner(signer *ledger.LogSigner) Signers {
	return func(_ context.Context, vkey string) (*ledger.LogSigner, error) {
		if vkey != "" && vkey != signer.VKey() {
			return nil, errors.New("another key than the one at hand")
		}
		return signer, nil
	}
}

// signerOf gets the signer that a head names. The one of the last transaction
// does, where it is the same key's.
func (s *Store) signerOf(ctx context.Context, vkey string) (*ledger.LogSigner, error) {
	if s.signer != nil && (vkey == s.signer.VKey() || vkey == "" && s.first) {
		return s.signer, nil
	}
	signer, err := s.signers(ctx, vkey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSigner, err)
	}
	switch {
	case signer.Name() != s.origin:
		return nil, fmt.Errorf("%w: %s, and the signer is %s's", ErrOrigin, s.origin, signer.Name())
	case vkey != "" && signer.VKey() != vkey:
		return nil, fmt.Errorf("%w: another key was given", ErrNoSigner)
	}
	s.signer, s.first = signer, vkey == ""
	return signer, nil
}

// Rekey appends the entry by which the key in force hands the log over to
// next, a key that Signers know by its verifier key. The entry is the first that
// only next signs for: its batch is covered by a checkpoint of next's.
func (tx *Tx) Rekey(e ledger.Entry, next string) (int64, error) {
	if err := tx.usable(); err != nil {
		return 0, err
	}
	if e.Kind != ledger.KindKey || e.Key == nil || next == "" {
		return 0, fmt.Errorf("%w: a hand-over is a key entry and leads to a key", ErrInvalid)
	}
	fail := func(err error) (int64, error) { return 0, fmt.Errorf("handing the log over: %w", err) }
	b := tx.b
	signer, err := b.s.signers(b.outer, next)
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrNoSigner, err))
	}
	if signer.VKey() != next {
		return fail(fmt.Errorf("%w: another key was given", ErrNoSigner))
	}
	tree, err := b.treeSoFar()
	if err != nil {
		return fail(err)
	}
	note, err := ledger.SignHandOver(b.signer, signer, tree)
	if err != nil {
		return fail(err)
	}
	h, err := ledger.OpenHandOver(note) // the keys fit their names
	if err != nil {
		return fail(err)
	}
	key := *e.Key
	key.Public, key.HandOver = ledger.FormatKey(h.NewKey()), note
	e.Key = &key
	seq, err := tx.Append(e)
	if err != nil {
		return 0, err
	}
	b.signer, b.signerKey = signer, next
	return seq, nil
}

// treeSoFar is the tree with the batch's entries up to here.
func (b *batch) treeSoFar() (tlog.Tree, error) {
	if len(b.entries) == 0 {
		return b.head.tree, nil
	}
	leaves := make([]tlog.Hash, 0, len(b.entries))
	for i := range b.entries {
		leaves = append(leaves, leafOf(b.entries[i].salt, b.entries[i].entry))
	}
	next, _, _, err := b.edge.add(leaves)
	if err != nil {
		return tlog.Tree{}, err
	}
	return next.tree, nil
}
