package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// limiter bounds what callers can make the process do at once: kernels that
// compute, calls that wait for one, calls of one enterprise. What is over a
// bound is told when to try again; nothing queues without end.
//
// Kernels go round: of the enterprises that wait, each is served one call in
// turn, whatever the others have waiting. So a call that is its enterprise's
// only one runs after at most one kernel of every other enterprise. A full
// queue takes a call of an enterprise that has fewer waiting than another by
// sending that other's newest away.
type limiter struct {
	queue int
	each  int

	mu      sync.Mutex
	free    int // kernels' places
	calls   map[string]int
	waiting int
	lines   map[string][]*turn // by enterprise, none empty
	round   []string           // the enterprises of lines, the next to be served first
}

// turn is a call that waits. Its channel gets nil with a kernel's place, or
// why there is none.
type turn struct{ ready chan error }

// retryAfter is the hint given with RATE_LIMITED.
const retryAfter = 500 * time.Millisecond

func newLimiter(kernels, queue, each int) *limiter {
	return &limiter{free: kernels, queue: queue, each: each, calls: map[string]int{}, lines: map[string][]*turn{}}
}

func rateLimited(rule string) *Error {
	return &Error{Reason: ledger.ReasonRateLimited, Rule: rule, Retry: retryAfter}
}

// enter counts a call of an enterprise in; leave counts it out.
func (l *limiter) enter(enterprise string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls[enterprise] >= l.each {
		return rateLimited("limits.perEnterprise")
	}
	l.calls[enterprise]++
	return nil
}

func (l *limiter) leave(enterprise string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls[enterprise]--; l.calls[enterprise] == 0 {
		delete(l.calls, enterprise)
	}
}

// acquire waits for an enterprise's turn at a kernel; release gives it back.
func (l *limiter) acquire(ctx context.Context, enterprise string) error {
	l.mu.Lock()
	if l.free > 0 { // then nobody waits
		l.free--
		l.mu.Unlock()
		return nil
	}
	if l.waiting >= l.queue && !l.makeRoom(enterprise) {
		l.mu.Unlock()
		return rateLimited("limits.queue")
	}
	t := &turn{make(chan error, 1)}
	if len(l.lines[enterprise]) == 0 {
		l.round = append(l.round, enterprise)
	}
	l.lines[enterprise] = append(l.lines[enterprise], t)
	l.waiting++
	l.mu.Unlock()
	select {
	case err := <-t.ready:
		return err
	case <-ctx.Done():
		l.giveUp(enterprise, t)
		return ctx.Err()
	}
}

// release hands the place to the next enterprise's oldest call.
func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.round) == 0 {
		l.free++
		return
	}
	enterprise := l.round[0]
	t := l.lines[enterprise][0]
	l.remove(enterprise, 0)
	if len(l.lines[enterprise]) > 0 {
		l.round = append(l.round[1:], enterprise)
	}
	t.ready <- nil
}

// makeRoom sends away the newest waiting call of the enterprise that has most,
// if one more of this one's would still be fewer. The caller holds mu.
func (l *limiter) makeRoom(enterprise string) bool {
	most := ""
	for _, e := range l.round {
		if len(l.lines[e]) > len(l.lines[most]) {
			most = e
		}
	}
	n := len(l.lines[most])
	if n <= len(l.lines[enterprise])+1 {
		return false
	}
	t := l.lines[most][n-1]
	l.remove(most, n-1)
	t.ready <- rateLimited("limits.queue")
	return true
}

// giveUp takes a call out of its line. If its turn came meanwhile, the place
// goes on.
func (l *limiter) giveUp(enterprise string, t *turn) {
	l.mu.Lock()
	if i := slices.Index(l.lines[enterprise], t); i >= 0 {
		l.remove(enterprise, i)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	if err := <-t.ready; err == nil {
		l.release()
	}
}

// remove takes the i-th call out of a line. The caller holds mu.
func (l *limiter) remove(enterprise string, i int) {
	l.waiting--
	line := slices.Delete(l.lines[enterprise], i, i+1)
	if len(line) > 0 {
		l.lines[enterprise] = line
		return
	}
	delete(l.lines, enterprise)
	l.round = slices.DeleteFunc(l.round, func(e string) bool { return e == enterprise })
}
