package state

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// flush writes what the functions did. It gives the edge of the tree as it then
// is.
func (b *batch) flush() (*edge, error) {
	if len(b.entries) == 0 {
		if err := b.flushUnlogged(); err != nil {
			return nil, err
		}
		return b.edge, b.readSettled()
	}
	next, err := b.flushLedger()
	if err != nil {
		return nil, fmt.Errorf("writing entries: %w", err)
	}
	if err := b.flushJobs(); err != nil {
		return nil, fmt.Errorf("writing jobs: %w", err)
	}
	if err := b.flushCounters(); err != nil {
		return nil, fmt.Errorf("writing counters: %w", err)
	}
	if err := b.flushUnlogged(); err != nil {
		return nil, err
	}
	if err := b.flushHead(next.tree); err != nil {
		return nil, fmt.Errorf("writing the tree head: %w", err)
	}
	b.s.at("written")
	return next, nil
}

// flushLedger writes the entries and their places in the tree.
func (b *batch) flushLedger() (*edge, error) {
	first := b.head.tree.N
	values := make([]any, 0, 9*len(b.entries))
	leaves := make([]tlog.Hash, len(b.entries))
	for i := range b.entries {
		e := &b.entries[i]
		leaves[i] = leafOf(e.salt, e.entry)
		values = append(values, first+int64(i), e.time, string(e.kind), e.enterprise, e.product, e.job, e.month, e.salt[:], e.entry)
	}
	err := b.w.insert(b.ctx, "INSERT INTO entries (seq, time, kind, enterprise, product, job, month, salt, entry)", "", 9, values)
	if err != nil {
		return nil, err
	}
	b.s.at("entries")
	next, grown, rows, err := b.edge.add(leaves)
	if err != nil {
		return nil, err
	}
	values = values[:0]
	for i, hashes := range rows {
		values = append(values, first+int64(i), hashes)
	}
	if err := b.w.insert(b.ctx, "INSERT INTO tree (seq, hashes)", "", 2, values); err != nil {
		return nil, err
	}
	b.s.at("tree")
	b.grown = grown
	return next, nil
}

func (b *batch) flushJobs() error {
	values := make([]any, 0, 11*len(b.newJobs))
	for _, id := range b.newJobs {
		j := b.jobs[id]
		values = append(values, j.ID, j.Enterprise, j.Product, j.Header, j.Seq, int64(j.Epoch), int64(j.Version), j.Units, j.Lookups, bit(j.Renewed), j.Answer)
	}
	err := b.w.insert(b.ctx, "INSERT INTO jobs (id, enterprise, product, header, seq, epoch, version, units, lookups, renewed, answer)", "", 11, values)
	if err != nil {
		return err
	}
	for _, id := range b.renewed {
		if n, err := b.w.exec(b.ctx, "UPDATE jobs SET renewed = 1 WHERE id = $1", id); err != nil || n != 1 {
			return errors.Join(err, fmt.Errorf("%w: %d rows of a job", ErrCorrupt, n))
		}
	}
	return nil
}

func bit(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

func (b *batch) flushCounters() error {
	var values []any
	for key, c := range b.counters {
		if c.used != c.stored {
			values = append(values, key.counter, key.window, c.used)
		}
	}
	return b.w.insert(b.ctx, "INSERT INTO counters (counter, period, used)",
		" ON CONFLICT (counter, period) DO UPDATE SET used = excluded.used", 3, values)
}

// flushUnlogged writes what may change without an entry: lookups, which are
// counted against a job, and answers, which can be computed again.
func (b *batch) flushUnlogged() error {
	values := make([]any, 0, 3*len(b.lookups))
	for i := range b.lookups {
		l := &b.lookups[i]
		values = append(values, l.job, int64(l.index), l.digest[:])
	}
	if err := b.w.insert(b.ctx, "INSERT INTO lookups (job, idx, digest)", "", 3, values); err != nil {
		return fmt.Errorf("writing lookups: %w", err)
	}
	if err := b.flushDropped(); err != nil {
		return err
	}
	if err := b.flushAnswers(); err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	return b.expire()
}

// flushAnswers writes a job's last answer, where a batch put several: one
// statement cannot write a row twice.
func (b *batch) flushAnswers() error {
	last := map[string]int{}
	for i, a := range b.answers {
		last[a.job] = i
	}
	values := make([]any, 0, 3*len(b.answers))
	for i, a := range b.answers {
		if last[a.job] == i {
			values = append(values, a.job, a.expires, a.answer)
		}
	}
	return b.w.insert(b.ctx, "INSERT INTO answers (job, expires, answer)",
		" ON CONFLICT (job) DO UPDATE SET expires = excluded.expires, answer = excluded.answer", 3, values)
}

// expire drops some answers whose time is over, now and then.
func (b *batch) expire() error {
	const every = time.Minute
	if len(b.answers) == 0 {
		return nil
	}
	now := b.s.clock()
	if !b.s.expired.IsZero() && now.Sub(b.s.expired) < every {
		return nil
	}
	b.s.expired = now
	_, err := b.w.exec(b.ctx, "DELETE FROM answers WHERE job IN (SELECT job FROM answers WHERE expires <= $1 ORDER BY expires LIMIT 1024)", millis(now))
	if err != nil {
		return fmt.Errorf("dropping expired answers: %w", err)
	}
	return nil
}

// flushHead moves the head row on from exactly what was locked.
func (b *batch) flushHead(tree tlog.Tree) error {
	n, err := b.w.exec(b.ctx, "UPDATE head SET size = $1, root = $2, time = $3, control = $4, closed = $5, signer = $6 WHERE one = 1 AND size = $7",
		tree.N, tree.Hash[:], b.time, b.control, bit(b.closed), b.signerKey, b.head.tree.N)
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w: the tree head moved under its lock", ErrCorrupt)
	}
	return nil
}

// readSettled reads the checkpoint that a batch without entries is covered by.
func (b *batch) readSettled() error {
	cp, err := readCheckpoint(b.ctx, b.w)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		b.settled = *cp
	}
	return err
}
