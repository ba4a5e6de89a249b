package oprf

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// outputChunk is how many inputs a worker takes at a time: about 25 ms, which is
// also how late a cancelled context can be noticed.
const outputChunk = 512

// Outputs evaluates F(k, input) for every input, for publishing a masked table.
// It is what a client gets from Blind, Evaluate and Finalise, without the
// blinding. workers ≤ 0 means one per processor. progress, if not nil, is called
// with the number done, growing, never twice at a time. On error or
// cancellation no output is returned and those computed are cleared.
//
// Outputs takes 64 bytes of memory per input: call it for as many as fit.
func (k *PrivateKey) Outputs(ctx context.Context, inputs [][]byte, workers int, progress func(done int)) ([]Output, error) {
	if err := k.usable(); err != nil {
		return nil, fmt.Errorf("oprf: bulk evaluation: %w", err)
	}
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	chunks := (len(inputs) + outputChunk - 1) / outputChunk
	outs := make([]Output, len(inputs))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var wg sync.WaitGroup
	var next atomic.Int64
	var mu sync.Mutex // guards done and the calls of progress
	done := 0
	for range min(workers, chunks) {
		wg.Go(func() {
			for ctx.Err() == nil {
				c := int(next.Add(1)) - 1
				if c >= chunks {
					return
				}
				lo, hi := c*outputChunk, min((c+1)*outputChunk, len(inputs))
				for i := lo; i < hi; i++ {
					if err := k.output(&outs[i], inputs[i]); err != nil {
						cancel(fmt.Errorf("input %d: %w", i, err))
						return
					}
				}
				mu.Lock()
				done += hi - lo
				if progress != nil {
					progress(done)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if done < len(inputs) {
		for i := range outs {
			outs[i].Zero()
		}
		return nil, fmt.Errorf("oprf: bulk evaluation: %w", context.Cause(ctx))
	}
	return outs, nil
}

// output is Evaluate of RFC 9497 §3.3.1 for the holder of the key.
func (k *PrivateKey) output(out *Output, input []byte) error {
	if len(input) > math.MaxUint16 {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, len(input), math.MaxUint16)
	}
	var p element
	if err := hashToGroup(&p, input); err != nil {
		return err
	}
	mul(&p, &p, &k.k)
	var unblinded [ElementSize]byte
	encodeElement(unblinded[:], &p)
	finalise(out, input, &unblinded)
	clear(unblinded[:])
	return nil
}
