package state

import (
	"context"
	"fmt"
)

// Counters gives every counter's window with what is charged to it.
func (s *Store) Counters(ctx context.Context, yield func(counter, window string, used int64) error) error {
	rows, err := s.reads.query(ctx, "SELECT counter, period, used FROM counters ORDER BY counter, period")
	if err != nil {
		return fmt.Errorf("reading the counters: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var counter, window string
		var used int64
		if err := rows.Scan(&counter, &window, &used); err != nil {
			return fmt.Errorf("reading the counters: %w", err)
		}
		if err := yield(counter, window, used); err != nil {
			return err
		}
	}
	return rows.Err()
}
