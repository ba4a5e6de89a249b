package state

import (
	"context"
	"fmt"
)

// DropLookups forgets which queries the jobs of a product's epoch made, once the
// epoch is served no more: the table lookups would grow for ever. Those jobs may
// make no lookups again, whatever the clock says later. It gives how many jobs
// it was. Like lookups, it makes no entry: entries hold what was paid for.
func (s *Store) DropLookups(ctx context.Context, product string, epoch int) (jobs int64, err error) {
	const page = 256 // dropped under the lock at once
	for {
		ids, err := s.withLookups(ctx, product, epoch, page)
		if err != nil {
			return jobs, fmt.Errorf("dropping lookups: %w", err)
		}
		if len(ids) == 0 {
			return jobs, nil
		}
		_, err = s.submit(&op{ctx: ctx, claim: true, done: make(chan struct{}), fn: func(tx *Tx) error { return tx.dropLookups(ids) }})
		if err != nil {
			return jobs, fmt.Errorf("dropping lookups: %w", err)
		}
		jobs += int64(len(ids))
	}
}

func (s *Store) withLookups(ctx context.Context, product string, epoch int, limit int64) ([]string, error) {
	rows, err := s.reads.query(ctx, `SELECT id FROM jobs WHERE product = $1 AND epoch = $2
		AND EXISTS (SELECT 1 FROM lookups WHERE job = jobs.id) LIMIT $3`, product, int64(epoch), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func (tx *Tx) dropLookups(ids []string) error {
	b := tx.b
	for _, id := range ids {
		j, err := tx.job(id)
		if err != nil {
			return err
		}
		if j == nil {
			return fmt.Errorf("job %s: %w", id, ErrNotFound)
		}
		none := *j
		none.Lookups = 0
		b.undo = append(b.undo, func() { b.jobs[id] = j })
		b.jobs[id] = &none
		b.dropped = append(b.dropped, id)
	}
	tx.wrote = true
	return nil
}

// flushDropped comes after the batch's own lookups, which may be of these jobs.
func (b *batch) flushDropped() error {
	for _, id := range b.dropped {
		for _, text := range []string{"UPDATE jobs SET lookups = 0 WHERE id = $1", "DELETE FROM lookups WHERE job = $1"} {
			if _, err := b.w.exec(b.ctx, text, id); err != nil {
				return fmt.Errorf("dropping lookups: %w", err)
			}
		}
	}
	return nil
}
