package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/ledger"
)

// batch is one SQL transaction and the functions that settle in it. What they
// do is kept here until all have run; see Tx.
type batch struct {
	s      *Store
	w      *writer
	ctx    context.Context // of statements
	outer  context.Context // of the mark's keeper
	cancel func()

	head head         // as locked
	mark keyring.Mark // as read under the lock
	edge *edge

	pending          // what the functions did
	undo    []func() // takes back the running function's changes to maps
	broken  error    // a statement failed: nothing of the batch can be trusted

	settled checkpoint // what covers the batch, once settled
	grown   *edge      // proves the batch's entries in it
}

// pending is what a batch will write.
type pending struct {
	time      int64 // of the newest entry
	control   int64
	closed    bool              // the log was handed over
	signer    *ledger.LogSigner // of the tree with this batch
	signerKey string            // as the head will name it
	entries   []entryRow
	newJobs   []string // keys of jobs
	renewed   []string // keys of jobs
	answers   []answerRow
	lookups   []lookupRow
	dropped   []string        // jobs whose lookups go
	jobs      map[string]*Job // read or put; nil: there is none
	counters  map[counterKey]*counter
}

type (
	entryRow struct {
		time       int64
		kind       ledger.Kind
		enterprise string
		product    string
		job        string
		month      string
		salt       [ledger.SaltSize]byte
		entry      []byte
	}
	answerRow struct {
		job     string
		expires int64
		answer  []byte
	}
	lookupRow struct {
		job    string
		index  uint32
		digest [32]byte
	}
	counterKey struct{ counter, window string }
	counter    struct{ used, stored int64 }
)

// begin takes the lock, reads the head and holds it against the mark.
func (s *Store) begin(p *patience) (_ *batch, err error) {
	outer, cancelOuter := context.WithTimeout(context.Background(), batchLimit)
	ctx, cancel := s.d.limit(outer)
	b := &batch{s: s, ctx: ctx, outer: outer, cancel: func() { cancel(); cancelOuter() }}
	defer func() {
		if err != nil {
			b.end()
			err = fmt.Errorf("beginning to settle: %w", err)
		}
	}()
	if err := s.lock(b, p); err != nil {
		return nil, err
	}
	r := hashReader(ctx, b.w)
	if b.edge = s.edge; b.edge == nil || b.edge.tree != b.head.tree {
		if b.edge, err = readEdge(b.head.tree.N, r); err != nil {
			return nil, err
		}
		if b.edge.tree != b.head.tree {
			return nil, fmt.Errorf("%w: the tree's root is not the head's", ErrCorrupt)
		}
	}
	if b.mark, err = s.checkMark(outer, b.head.tree, r); err != nil {
		return nil, err
	}
	if b.signer, err = s.signerOf(outer, b.head.signer); err != nil {
		return nil, err
	}
	b.time, b.control, b.closed, b.signerKey = b.head.time, b.head.control, b.head.closed, b.head.signer
	b.jobs, b.counters = map[string]*Job{}, map[counterKey]*counter{}
	s.at("locked")
	return b, nil
}

// lock begins the transaction and reads the head under its lock. A kept
// connection may have died since the last batch, or the server may be starting
// again; nothing has been done yet, so another is tried.
func (s *Store) lock(b *batch, p *patience) error {
	for {
		kept := s.writer != nil
		err := s.tryLock(b)
		if err == nil {
			return nil
		}
		s.dropWriter()
		switch {
		case b.outer.Err() != nil, s.d.busy(err) && !s.d.transient(err):
			return fmt.Errorf("%w: %v", ErrBusy, err)
		case kept:
			continue
		case !s.d.transient(err) || !p.again(b.outer):
			return err
		}
	}
}

func (s *Store) tryLock(b *batch) error {
	if s.writer == nil {
		conn, err := s.batch.db.Conn(b.outer)
		if err != nil {
			return err
		}
		s.writer = newWriter(conn, s.d.inProcess())
	}
	b.w = s.writer
	if err := s.d.begin(b.ctx, b.w.conn); err != nil {
		return err
	}
	var err error
	b.head, err = readHead(b.ctx, b.w, s.d.forUpdate())
	return err
}

// dropWriter closes the connection, which ends its transaction.
func (s *Store) dropWriter() {
	if s.writer != nil {
		_ = s.writer.close(true, s.d.inProcess()) // nothing more is expected of it
		s.writer = nil
	}
}

// end rolls back whatever is open. It is called once, on every way out.
func (b *batch) end() {
	if b.w != nil && b.w == b.s.writer {
		if _, err := b.w.conn.ExecContext(b.ctx, "ROLLBACK"); err != nil {
			b.s.dropWriter()
		}
	}
	b.cancel()
}

// finish writes, commits, marks, signs and persists.
func (b *batch) finish() error {
	next := b.edge
	if b.broken == nil {
		next, b.broken = b.flush()
	}
	if b.broken == nil && TestGiveUp != nil && TestGiveUp() {
		b.broken = errTakenBack
	}
	if b.broken != nil {
		err := b.broken
		b.end()
		if b.s.d.busy(err) && !b.s.d.transient(err) {
			return fmt.Errorf("settling: %w: %v", ErrBusy, err)
		}
		return fmt.Errorf("settling: %w", err)
	}
	if err := b.commit(); err != nil {
		b.cancel()
		return err
	}
	defer b.cancel()
	b.s.edge = next
	b.s.at("committed")
	// However long the lock took to get, what is committed has its own time to
	// be marked in.
	ctx, cancel := context.WithTimeout(context.Background(), batchLimit)
	defer cancel()
	for p := b.s.patience(); ; {
		err := b.cover(ctx, next.tree)
		if err == nil {
			return nil
		}
		if !b.s.d.transient(err) || !p.again(ctx) {
			return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
		}
	}
}

// commit commits what was written. An outcome that did not arrive is read again.
func (b *batch) commit() error {
	do := func() error { return b.s.d.commit(b.ctx, b.w.conn) }
	if b.s.hooks.commit != nil {
		inner := do
		do = func() error { return b.s.hooks.commit(inner) }
	}
	err := do()
	if err == nil {
		return nil
	}
	b.s.dropWriter()
	if len(b.entries) == 0 {
		// Lookups and answers alone: booking them again does no harm.
		if b.s.d.transient(err) {
			return fmt.Errorf("settling: committing: %w", err)
		}
		return fmt.Errorf("%w: committing: %w", ErrUnconfirmed, err)
	}
	committed, cerr := b.confirm()
	switch {
	case cerr != nil:
		return fmt.Errorf("%w: committing: %w; reading it again: %w", ErrUnconfirmed, err, cerr)
	case !committed:
		return fmt.Errorf("settling: committing: %w", err)
	}
	return nil
}

// confirm finds out whether the batch was committed, on a new connection and
// under the head's lock: a transaction whose COMMIT is still under way, on a
// server that waits for its replicas, holds that lock until it is decided. The
// last entry's salt is this batch's and no other's.
func (b *batch) confirm() (bool, error) {
	outer, cancelOuter := context.WithTimeout(context.Background(), batchLimit)
	ctx, cancel := b.s.d.limit(outer)
	c := &batch{s: b.s, ctx: ctx, outer: outer, cancel: func() { cancel(); cancelOuter() }}
	defer c.end()
	if err := b.s.lock(c, b.s.patience()); err != nil {
		return false, err
	}
	last := b.entries[len(b.entries)-1]
	var salt []byte
	rows, err := c.w.query(ctx, "SELECT salt FROM entries WHERE seq = $1", b.head.tree.N+int64(len(b.entries))-1)
	err = scanOne(rows, err, &salt)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && string(salt) == string(last.salt[:]), err
}

// cover sees to it that the mark and a signed checkpoint cover the tree. If the
// batch appended nothing, they usually do: unless another process died, or is
// just now, between its commit and its checkpoint.
func (b *batch) cover(ctx context.Context, tree tlog.Tree) error {
	if tree.N == 0 {
		b.settled = checkpoint{tree: tree, control: -1}
		return nil
	}
	if err := b.s.advance(ctx, b.mark, tree); err != nil {
		return err
	}
	b.s.at("marked")
	if len(b.entries) == 0 && b.settled.tree == tree {
		return nil // read within the transaction
	}
	note, err := ledger.SignCheckpoint(b.signer, b.s.origin, tree)
	if err != nil {
		return err
	}
	b.s.at("signed")
	b.settled = checkpoint{tree: tree, control: b.control, note: note}
	err = b.s.notes.exec(ctx, "INSERT INTO checkpoints (size, root, control, note) VALUES ($1, $2, $3, $4) ON CONFLICT (size) DO NOTHING",
		tree.N, tree.Hash[:], b.control, note)
	if err != nil {
		return fmt.Errorf("keeping the checkpoint: %w", err)
	}
	return nil
}

// now is the time of an entry appended now: the clock's, but never before the
// newest entry's.
func (b *batch) now() time.Time {
	return time.UnixMilli(max(b.time, millis(b.s.clock()))).UTC()
}
