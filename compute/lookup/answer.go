package lookup

import (
	"context"
	"fmt"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

const (
	// maxBatch queries share a pass. Each takes 4 bytes a column and 16 bytes a
	// row while it is answered; more than sixteen gain nothing.
	maxBatch = 16
	// taskGroups is how many groups of rows a worker passes at a time, between
	// looks at the context.
	taskGroups = 256
)

// Answer answers queries in their wire form, in order. A malformed one fails the
// call with ErrQuery: one of another length before any is worked on, with its
// index. The same query gives the same answer. Memory is bounded, however many
// queries there are.
func (t *Table) Answer(ctx context.Context, queries [][]byte) ([][]byte, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.release == nil {
		return nil, ErrClosed
	}
	answers := make([][]byte, len(queries))
	for i, q := range queries {
		if err := checkQuery(t.view.Params, q); err != nil {
			return nil, fmt.Errorf("query %d: %w", i, err)
		}
	}
	for from := 0; from < len(queries); from += maxBatch {
		to := min(from+maxBatch, len(queries))
		if err := t.batch(ctx, answers[from:to], queries[from:to]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func (t *Table) batch(ctx context.Context, answers, queries [][]byte) error {
	p, k, workers := t.view.Params, t.kernel, max(1, t.Workers)
	jobs := make([]*job, len(queries))
	err := parallel(ctx, workers, len(jobs), func(i int) error {
		j, err := decodeQuery(p, queries[i])
		if err != nil {
			return err
		}
		j.sums, j.packed = make([]int64, p.Rows), make([]rlwe.Poly, p.blocks())
		k.load(j)
		jobs[i] = j
		return nil
	})
	if err != nil {
		return err
	}
	groups := p.Rows / groupRows
	err = parallel(ctx, workers, (groups+taskGroups-1)/taskGroups, func(i int) error {
		k.pass(jobs, i*taskGroups, min((i+1)*taskGroups, groups))
		return nil
	})
	if err != nil {
		return err
	}
	err = parallel(ctx, workers, p.blocks()*rlwe.Primes, func(i int) error {
		k.pack(jobs, i/rlwe.Primes, i%rlwe.Primes)
		return nil
	})
	if err != nil {
		return err
	}
	return parallel(ctx, workers, len(jobs), func(i int) error {
		answers[i] = jobs[i].finish(p)
		return nil
	})
}

// finish rounds the answer: round(b̂·2^to/q) mod 2^to of each coefficient.
func (j *job) finish(p Params) []byte {
	answer := make([]byte, 0, p.AnswerBytes())
	rounded := make([]uint16, rlwe.N)
	for block := range j.packed {
		for k, x := range j.exact(block) {
			// q is odd, so adding (q−1)/2 before the floor rounds half up;
			// the sum is below 2^64.
			rounded[k] = uint16((x<<answerBits + rlwe.Q/2) / rlwe.Q & (1<<answerBits - 1))
		}
		answer = rlwe.Pack(answer, rounded, answerBits)
	}
	return answer
}

// exact is a block's b̂ = Σ c_k·X^k + packed, in [0, q), with c_k =
// 2^(53−tb)·(sums_k − 128·Σ b').
func (j *job) exact(block int) *[rlwe.N]uint64 {
	var b rlwe.Poly
	for i := range b {
		mod := rlwe.Mod(i)
		shift := mod.Reduce(1 << queryShift)
		mod.Inverse(&b[i], &j.packed[block][i])
		for k, sum := range j.sums[block*rlwe.N:][:rlwe.N] {
			c := mod.ReduceSigned(sum - j.sum<<(plainBits-1))
			b[i][k] = mod.Reduce(uint64(c)*uint64(shift) + uint64(b[i][k]))
		}
	}
	x := new([rlwe.N]uint64)
	for k := range x {
		x[k] = rlwe.Combine(b[0][k], b[1][k])
	}
	return x
}
