package server

import (
	"context"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/policy/ledger"
)

// intake bounds the bytes of requests that the process holds. How long a
// message is shows only when it is read, so its place is taken before: as much
// as a message may have, less once it is read, given back when the call ends.
// Places are given in the order of asking, but one caller has at most a quarter
// of all, and the calls of one caller are counted: nobody fills the process
// alone. Whoever has waited a moment for a place is told to try again.
type intake struct {
	budget int64 // bytes, of all
	share  int64 // bytes, of one caller
	calls  int   // of one caller
	queue  int   // calls that may wait
	wait   time.Duration

	mu      sync.Mutex
	held    int64
	callers map[string]*holding
	line    []*place
}

type holding struct {
	calls int
	bytes int64
}

// place is what one call holds, or waits for.
type place struct {
	caller string
	bytes  int64
	ready  chan struct{} // closed when it is had
}

const (
	defaultInFlight = 512 << 20
	callsOfOne      = 64
	intakeQueue     = 256
	intakeWait      = 2 * time.Second
	intakeRetry     = time.Second // the hint given with RATE_LIMITED
)

// inFlight is the budget where none is configured: a quarter of the memory that
// GOMEMLIMIT gives the process. What a kernel makes of a request takes about as
// much again.
func inFlight() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit / 4
	}
	return defaultInFlight
}

func newIntake(budget int64, message int) *intake {
	budget = max(budget, int64(message))
	return &intake{
		budget: budget, share: max(budget/4, int64(message)), calls: callsOfOne, queue: intakeQueue, wait: intakeWait,
		callers: map[string]*holding{},
	}
}

func busy(rule string) error {
	return &gateway.Error{Reason: ledger.ReasonRateLimited, Rule: rule, Retry: intakeRetry}
}

// enter counts a call in; leave counts it out.
func (in *intake) enter(caller string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	h := in.callers[caller]
	if h == nil {
		h = new(holding)
		in.callers[caller] = h
	}
	if h.calls >= in.calls {
		return busy("limits.calls")
	}
	h.calls++
	return nil
}

func (in *intake) leave(caller string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	h := in.callers[caller]
	if h.calls--; h.calls == 0 && h.bytes == 0 {
		delete(in.callers, caller)
	}
}

// take waits for a place of n bytes for a caller that has entered.
func (in *intake) take(ctx context.Context, caller string, n int64) (*place, error) {
	p := &place{caller: caller, bytes: n, ready: make(chan struct{})}
	in.mu.Lock()
	if in.fits(p) {
		in.give(p)
		in.mu.Unlock()
		return p, nil
	}
	if len(in.line) >= in.queue {
		in.mu.Unlock()
		return nil, busy("limits.bytesInFlight")
	}
	in.line = append(in.line, p)
	in.mu.Unlock()
	timer := time.NewTimer(in.wait)
	defer timer.Stop()
	var err error
	select {
	case <-p.ready:
		return p, nil
	case <-timer.C:
		err = busy("limits.bytesInFlight")
	case <-ctx.Done():
		err = ctx.Err()
	}
	in.mu.Lock()
	i := slices.Index(in.line, p)
	if i >= 0 {
		in.line = slices.Delete(in.line, i, i+1)
	}
	in.mu.Unlock()
	if i < 0 { // it was given meanwhile
		in.keep(p, 0)
	}
	return nil, err
}

// keep gives back all of a place but n bytes.
func (in *intake) keep(p *place, n int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.held -= p.bytes - n
	in.callers[p.caller].bytes -= p.bytes - n
	p.bytes = n
	in.line = slices.DeleteFunc(in.line, func(next *place) bool {
		if !in.fits(next) {
			return false
		}
		in.give(next)
		return true
	})
}

// fits and give are for callers that hold mu.
func (in *intake) fits(p *place) bool {
	return in.held+p.bytes <= in.budget && in.callers[p.caller].bytes+p.bytes <= in.share
}

func (in *intake) give(p *place) {
	in.held += p.bytes
	in.callers[p.caller].bytes += p.bytes
	close(p.ready)
}
