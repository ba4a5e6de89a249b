package state

import (
	"context"
	"fmt"
)

// ClaimLookups books queries of a settled job under its indexes first, first+1,
// … before they are answered. A query may come again under its index, for free;
// another one under a used index is refused with ErrLookupReused, and an index
// beyond what the job may make with ErrLookupsExhausted. All are booked or none.
// Lookups are counted against their job and make no entries.
func (s *Store) ClaimLookups(ctx context.Context, job string, first uint32, digests [][32]byte) error {
	if len(digests) == 0 || len(digests) > MaxClaim {
		return fmt.Errorf("%w: %d lookups at once, 1 to %d are taken", ErrInvalid, len(digests), MaxClaim)
	}
	_, err := s.submit(&op{
		ctx: ctx, claim: true, done: make(chan struct{}),
		fn: func(tx *Tx) error { return tx.claim(job, first, digests) },
	})
	return err
}

func (tx *Tx) claim(job string, first uint32, digests [][32]byte) error {
	j, err := tx.Job(job)
	if err != nil {
		return err
	}
	if end := int64(first) + int64(len(digests)); end > j.Lookups {
		return fmt.Errorf("%w: index %d, and the job may make %d", ErrLookupsExhausted, end-1, j.Lookups)
	}
	used, err := tx.readLookups(job, first, len(digests))
	if err != nil {
		return err
	}
	for i, d := range digests {
		index := first + uint32(i)
		switch old, ok := used[index]; {
		case !ok:
			tx.b.lookups = append(tx.b.lookups, lookupRow{job, index, d})
			tx.wrote = true
		case old != d:
			return fmt.Errorf("%w: index %d", ErrLookupReused, index)
		}
	}
	return nil
}

// readLookups reads what is booked under n indexes from first on, in the
// database and in this batch.
func (tx *Tx) readLookups(job string, first uint32, n int) (map[uint32][32]byte, error) {
	b := tx.b
	end := int64(first) + int64(n)
	used := map[uint32][32]byte{}
	rows, err := b.w.query(b.ctx, "SELECT idx, digest FROM lookups WHERE job = $1 AND idx >= $2 AND idx < $3", job, int64(first), end)
	if err != nil {
		return nil, tx.fail("reading lookups", err)
	}
	defer rows.Close()
	for rows.Next() {
		var index int64
		var digest []byte
		if err := rows.Scan(&index, &digest); err != nil {
			return nil, tx.fail("reading lookups", err)
		}
		if len(digest) != 32 {
			return nil, tx.fail("reading lookups", fmt.Errorf("%w: a digest of %d bytes", ErrCorrupt, len(digest)))
		}
		used[uint32(index)] = [32]byte(digest)
	}
	if err := rows.Err(); err != nil {
		return nil, tx.fail("reading lookups", err)
	}
	for i := range b.lookups {
		if l := &b.lookups[i]; l.job == job && l.index >= first && int64(l.index) < end {
			used[l.index] = l.digest
		}
	}
	return used, nil
}
