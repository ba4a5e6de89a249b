package state

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// MaxBatch is how many functions settle in one transaction at most. More would
// share one commit's cost further, and make each caller wait longer for it.
const MaxBatch = 64

// Commit is what a settled function gets.
type Commit struct {
	Tree       tlog.Tree // covers all that the function did and saw
	Checkpoint []byte    // that tree's signed head; nil if the log is empty
	Seqs       []int64   // of the entries that the function appended, in order

	batch *batch
}

// Receipt proves the i-th of the function's entries under Checkpoint. Unlike
// Store.Receipt it reads nothing: a call that settles has all of it at hand.
func (c *Commit) Receipt(i int) (*ledger.Receipt, error) {
	if i < 0 || i >= len(c.Seqs) {
		return nil, fmt.Errorf("%w: receipt %d of %d entries", ErrInvalid, i, len(c.Seqs))
	}
	seq := c.Seqs[i]
	row := c.batch.entries[seq-c.batch.head.tree.N]
	proof, err := tlog.ProveRecord(c.Tree.N, seq, c.batch.grown)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", seq, err)
	}
	return ledger.NewReceipt(row.entry, row.salt, seq, proof, c.Checkpoint), nil
}

// op is a caller that waits. The caller and the settling goroutine race for
// state: whoever moves it from waiting decides whether the function runs.
type op struct {
	ctx   context.Context
	fn    func(*Tx) error
	claim bool // lookups of a settled job, which have no entry
	state atomic.Int32

	done   chan struct{}
	commit *Commit
	err    error
}

const (
	opWaiting int32 = iota
	opTaken
	opCancelled
)

// Update runs fn in a transaction and settles it: when Update returns without
// error, everything that fn did is durable, marked and under a signed
// checkpoint, and may be released. When it returns an error, nothing may be
// released; fn's changes are dropped, except under [ErrUnconfirmed], where the
// same job id tried again tells.
//
// fn runs in another goroutine, while others wait: it must be quick and must not
// wait for another Update. If it returns an error or panics, that is Update's
// error ([PanicError]) and its changes alone are dropped. It runs again, on what
// the database then holds, if the server was lost or gave the transaction up
// before it was committed: what it hands out through variables it has to set
// anew each time.
// If ctx ends before fn begins, fn does not run; after that Update returns the
// true outcome, whatever ctx says.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) (*Commit, error) {
	return s.submit(&op{ctx: ctx, fn: fn, done: make(chan struct{})})
}

func (s *Store) submit(o *op) (*Commit, error) {
	if s.signers == nil {
		return nil, ErrReadOnly
	}
	select {
	case s.ops <- o:
	case <-o.ctx.Done():
		return nil, fmt.Errorf("waiting to settle: %w", context.Cause(o.ctx))
	case <-s.stop:
		return nil, ErrClosed
	}
	select {
	case <-o.done:
	case <-o.ctx.Done():
		if o.state.CompareAndSwap(opWaiting, opCancelled) {
			return nil, fmt.Errorf("waiting to settle: %w", context.Cause(o.ctx))
		}
		<-o.done
	}
	return o.commit, o.err
}

// settle is the settling goroutine.
func (s *Store) settle() {
	defer close(s.ended)
	for {
		// Close comes first, whoever else waits.
		select {
		case <-s.stop:
			return
		default:
		}
		select {
		case <-s.stop:
			return
		case o := <-s.ops:
			s.runBatch(o)
		}
	}
}

// runBatch settles first and whoever else waits by the time the lock is held.
// Where the database was lost before it committed, it does all of it again.
func (s *Store) runBatch(first *op) {
	s.at("taken")
	ops := make([]*op, 0, MaxBatch)
	ops = append(ops, first)
	p := s.patience()
	b, err := s.attempt(&ops, p)
	for err != nil && (s.d.transient(err) || errors.Is(err, errTakenBack)) && !errors.Is(err, ErrUnconfirmed) && p.again(context.Background()) {
		b, err = s.attempt(&ops, p)
	}
	if err == nil {
		s.saw(b.settled.tree.N)
		s.at("persisted")
	} else {
		err = s.d.explain(err)
	}
	s.crowd = len(ops) > 1
	for _, o := range ops {
		// Whoever failed alone may have failed over what others of a lost
		// batch did: a lost batch is everybody's error.
		if err != nil {
			o.commit, o.err = nil, err
		} else if o.err == nil && o.commit != nil {
			o.commit.Tree, o.commit.Checkpoint = b.settled.tree, b.settled.note
		}
		close(o.done)
	}
}

// attempt is one transaction for ops, and for whoever else waits.
func (s *Store) attempt(ops *[]*op, p *patience) (*batch, error) {
	b, err := s.begin(p)
	for _, o := range *ops {
		if err == nil && b.broken == nil {
			b.run(o)
		}
	}
	for o := s.next(len(*ops)); o != nil; o = s.next(len(*ops)) {
		*ops = append(*ops, o)
		if err == nil && b.broken == nil {
			b.run(o)
		}
	}
	if err != nil {
		return nil, err
	}
	s.at("applied")
	return b, b.finish()
}

// next takes one more caller, if one waits and the batch has room. If the last
// batch had several, those that it woke are given a moment to come back with
// their next job: sharing a commit is worth more than the moment.
func (s *Store) next(taken int) *op {
	if taken >= MaxBatch {
		return nil
	}
	moments := 0
	if s.crowd {
		moments = 2
	}
	for ; ; moments-- {
		select {
		case o := <-s.ops:
			return o
		default:
		}
		if moments == 0 {
			return nil
		}
		runtime.Gosched()
	}
}

// run runs a caller's function, unless the caller has gone.
func (b *batch) run(o *op) {
	o.commit, o.err = nil, nil
	if !o.state.CompareAndSwap(opWaiting, opTaken) && o.state.Load() == opCancelled {
		return
	}
	if o.ctx.Err() != nil {
		o.err = fmt.Errorf("waiting to settle: %w", context.Cause(o.ctx))
		return
	}
	tx := b.savepoint()
	err := protect(o.fn, tx)
	tx.over = true
	if err == nil {
		err = tx.complete(o.claim)
	}
	if err != nil {
		tx.rollback()
		o.err = err
		return
	}
	o.commit = &Commit{Seqs: tx.seqs, batch: b}
}

// protect runs fn in a goroutine of its own, so that neither a panic nor
// runtime.Goexit ends the settling goroutine.
func protect(fn func(*Tx) error, tx *Tx) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: debug.Stack()}
			} else if !returned {
				err = &PanicError{Stack: debug.Stack()}
			}
		}()
		err = fn(tx)
		returned = true
	}()
	<-done
	return err
}

// at marks a point of settlement for tests.
func (s *Store) at(point string) {
	if s.hooks.at != nil {
		s.hooks.at(point)
	}
}
