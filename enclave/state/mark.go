package state

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// MarkKeeper keeps the mark (水位) apart from the database: the tree size and
// root that was surely reached. A keyring is one. The contract is
// [keyring.Marks]'s.
type MarkKeeper interface {
	Mark(ctx context.Context) (keyring.Mark, error)
	AdvanceMark(ctx context.Context, from, to keyring.Mark) error
}

// checkMark reads the mark and holds it against a tree of the database, whose
// hashes r reads. The caller holds the head's lock, or knows tree to be
// committed: marks are advanced after commits, so that the mark cannot be
// younger than a head that is read under the lock, unless the database is not
// the one that was marked.
func (s *Store) checkMark(ctx context.Context, tree tlog.Tree, r tlog.HashReader) (keyring.Mark, error) {
	m, err := s.marks.Mark(ctx)
	if err != nil {
		return m, fmt.Errorf("reading the mark: %w", err)
	}
	return m, marked(m, tree, r)
}

// marked tells whether tree grew from the mark's tree.
func marked(m keyring.Mark, tree tlog.Tree, r tlog.HashReader) error {
	switch {
	case m == keyring.MarkRetired:
		return keyring.ErrRetired
	case m.Size < 0:
		return fmt.Errorf("%w: the mark's size is %d", ErrInvalid, m.Size)
	case m.Size > tree.N:
		return fmt.Errorf("%w: it has %d entries, the mark covers %d: restore a newer copy", ErrBelowMark, tree.N, m.Size)
	case m.Size == 0: // a new mark has no root
		return nil
	}
	root := tree.Hash
	if m.Size < tree.N {
		var err error
		if root, err = tlog.TreeHash(m.Size, r); err != nil {
			return fmt.Errorf("comparing with the mark: %w", err)
		}
	}
	if root != m.Root {
		return fmt.Errorf("%w: at %d entries its root differs from the mark's", ErrForked, m.Size)
	}
	return nil
}

// advance moves the mark from where this transaction saw it to a committed tree.
// Another process may have moved it meanwhile, further than this tree even: then
// it is compared again with what the database holds.
func (s *Store) advance(ctx context.Context, from keyring.Mark, tree tlog.Tree) error {
	const tries = 256
	for range tries {
		if from.Size >= tree.N {
			return nil
		}
		err := s.marks.AdvanceMark(ctx, from, keyring.Mark{Size: tree.N, Root: tree.Hash})
		if err == nil {
			return nil
		}
		if !errors.Is(err, keyring.ErrMarkMoved) {
			return fmt.Errorf("advancing the mark: %w", err)
		}
		m, err := s.marks.Mark(ctx)
		if err != nil {
			return fmt.Errorf("reading the mark: %w", err)
		}
		now, err := readHead(ctx, s.reads, "") // after the mark, so not behind it
		if err != nil {
			return fmt.Errorf("advancing the mark: %w", err)
		}
		if err := marked(m, now.tree, hashReader(ctx, s.reads)); err != nil {
			return err
		}
		from = m
	}
	return errors.New("state: advancing the mark: other processes move it faster")
}
