package state

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Readers see what the newest checkpoint covers. An entry that is committed but
// not marked yet does not exist for them: were it shown and the database then
// rolled back, nothing would tell.

// Size is how many entries readers see.
func (s *Store) Size(ctx context.Context) (int64, error) {
	cp, err := readCheckpoint(ctx, s.reads)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	s.saw(cp.tree.N)
	return cp.tree.N, nil
}

// Reached is Size where readers see fewer than n entries; else it gives n or
// more. Only what is beyond all that this process has seen takes a read: the log
// never shrinks. If the database was set back, what is read next will tell.
func (s *Store) Reached(ctx context.Context, n int64) (int64, error) {
	if seen := s.seen.Load(); seen >= n {
		return seen, nil
	}
	return s.Size(ctx)
}

func (s *Store) saw(size int64) {
	for seen := s.seen.Load(); size > seen && !s.seen.CompareAndSwap(seen, size); seen = s.seen.Load() {
	}
}

// Checkpoint is the newest signed checkpoint. Of an empty log there is none:
// ErrNotFound.
func (s *Store) Checkpoint(ctx context.Context) (msg []byte, tree tlog.Tree, err error) {
	cp, err := readCheckpoint(ctx, s.reads)
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	return cp.note, cp.tree, nil
}

// Checkpoints gives every signed checkpoint of a tree larger than after, in
// order of size.
func (s *Store) Checkpoints(ctx context.Context, after int64, yield func(tree tlog.Tree, msg []byte) error) error {
	const page = 512
	for {
		cps, err := s.checkpointPage(ctx, after, page)
		if err != nil {
			return fmt.Errorf("reading checkpoints: %w", err)
		}
		for _, cp := range cps {
			if err := yield(cp.tree, cp.note); err != nil {
				return err
			}
			after = cp.tree.N
		}
		if len(cps) < page {
			return nil
		}
	}
}

func (s *Store) checkpointPage(ctx context.Context, after int64, n int) ([]checkpoint, error) {
	rows, err := s.reads.query(ctx, "SELECT size, root, control, note FROM checkpoints WHERE size > $1 ORDER BY size LIMIT $2", after, int64(n))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var cps []checkpoint
	for rows.Next() {
		var cp checkpoint
		var root []byte
		if err := rows.Scan(&cp.tree.N, &root, &cp.control, &cp.note); err != nil {
			return nil, err
		}
		if err := setHash(&cp.tree.Hash, root); err != nil {
			return nil, err
		}
		cps = append(cps, cp)
	}
	return cps, rows.Err()
}

// Consistency proves that the tree of size newer grew from that of size older.
// There is nothing to prove from the empty tree, nor between equals.
func (s *Store) Consistency(ctx context.Context, older, newer int64) ([]tlog.Hash, error) {
	size, err := s.Reached(ctx, newer)
	if err != nil {
		return nil, err
	}
	if older < 0 || older > newer || newer > size {
		return nil, fmt.Errorf("%w: a consistency proof from %d to %d entries, of %d", ErrInvalid, older, newer, size)
	}
	if older == 0 || older == newer {
		return nil, nil
	}
	proof, err := tlog.ProveTree(newer, older, hashReader(ctx, s.reads))
	if err != nil {
		return nil, fmt.Errorf("proving consistency: %w", err)
	}
	return proof, nil
}

// Record gives an entry's canonical bytes and its salt.
func (s *Store) Record(ctx context.Context, seq int64) (entry []byte, salt [ledger.SaltSize]byte, err error) {
	size, err := s.Size(ctx)
	if err != nil {
		return nil, salt, err
	}
	return s.record(ctx, seq, size)
}

func (s *Store) record(ctx context.Context, seq, size int64) (entry []byte, salt [ledger.SaltSize]byte, err error) {
	if seq < 0 || seq >= size {
		return nil, salt, fmt.Errorf("entry %d: %w", seq, ErrNotFound)
	}
	var b []byte
	rows, err := s.reads.query(ctx, "SELECT salt, entry FROM entries WHERE seq = $1", seq)
	if err := scanOne(rows, err, &b, &entry); err != nil {
		return nil, salt, fmt.Errorf("reading entry %d: %w", seq, err)
	}
	if len(b) != len(salt) {
		return nil, salt, fmt.Errorf("%w: entry %d has a salt of %d bytes", ErrCorrupt, seq, len(b))
	}
	return entry, [ledger.SaltSize]byte(b), nil
}

// Receipt proves an entry against the newest checkpoint.
func (s *Store) Receipt(ctx context.Context, seq int64) (*ledger.Receipt, error) {
	cp, err := readCheckpoint(ctx, s.reads)
	if err != nil {
		return nil, err
	}
	entry, salt, err := s.record(ctx, seq, cp.tree.N)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveRecord(cp.tree.N, seq, hashReader(ctx, s.reads))
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", seq, err)
	}
	return ledger.NewReceipt(entry, salt, seq, proof, cp.note), nil
}

// ControlSeq is the newest entry that is no call, exemption or denial, as of the
// newest checkpoint; -1 if there is none. It is one row's read, for polling.
func (s *Store) ControlSeq(ctx context.Context) (int64, error) {
	cp, err := readCheckpoint(ctx, s.reads)
	if errors.Is(err, ErrNotFound) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	return cp.control, nil
}

// covered is the condition that a row's seq is under a checkpoint.
const covered = "seq < (SELECT COALESCE(MAX(size), 0) FROM checkpoints)"

// Job gives a settled job, or ErrNotFound.
func (s *Store) Job(ctx context.Context, id string) (*Job, error) {
	if err := checkText("a job id", id); err != nil {
		return nil, err
	}
	return readJob(ctx, s.reads, id, " AND "+covered)
}

func readJob(ctx context.Context, q querier, id, and string) (*Job, error) {
	rows, err := q.query(ctx, "SELECT id, enterprise, product, header, seq, epoch, version, units, lookups, renewed, answer FROM jobs WHERE id = $1"+and, id)
	var j Job
	var renewed int64
	err = scanOne(rows, err, &j.ID, &j.Enterprise, &j.Product, &j.Header, &j.Seq, &j.Epoch, &j.Version, &j.Units, &j.Lookups, &renewed, &j.Answer)
	if err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	j.Renewed = renewed != 0
	return &j, nil
}

// Answer gives a settled job's kept answer, or ErrNotFound if none is kept or
// its time is over.
func (s *Store) Answer(ctx context.Context, job string) ([]byte, error) {
	if err := checkText("a job id", job); err != nil {
		return nil, err
	}
	var answer []byte
	rows, err := s.reads.query(ctx, "SELECT answer FROM answers WHERE job = $1 AND expires > $2 AND EXISTS (SELECT 1 FROM jobs WHERE id = answers.job AND "+covered+")",
		job, millis(s.clock()))
	if err := scanOne(rows, err, &answer); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return answer, nil
}

// Used is what is charged to a counter in a window.
func (s *Store) Used(ctx context.Context, counter, window string) (int64, error) {
	if err := errors.Join(checkText("a counter's name", counter), checkText("a counter's window", window)); err != nil {
		return 0, err
	}
	return readUsed(ctx, s.reads, counter, window)
}

func readUsed(ctx context.Context, q querier, counter, window string) (int64, error) {
	rows, err := q.query(ctx, "SELECT used FROM counters WHERE counter = $1 AND period = $2", counter, window)
	var used int64
	err = scanOne(rows, err, &used)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return used, err
}
