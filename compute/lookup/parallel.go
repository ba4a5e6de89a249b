package lookup

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// parallel runs tasks 0 to n−1 on up to workers goroutines (the caller's alone
// if workers ≤ 1), begins none after ctx has ended or one has failed, and
// returns the first error.
func parallel(ctx context.Context, workers, n int, task func(i int) error) error {
	if workers = min(workers, n); workers <= 1 {
		for i := range n {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := task(i); err != nil {
				return err
			}
		}
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range workers {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := task(i); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}
