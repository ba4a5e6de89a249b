package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// limiter bounds what callers can make the process do at once: kernels that
// compute, calls that wait for one, calls of one enterprise. What is over a
// bound is told when to try again; nothing queues without end.
type limiter struct {
	slots chan struct{}
	queue int
	each  int

	mu      sync.Mutex
	waiting int
	calls   map[string]int
}

// retryAfter is the hint given with RATE_LIMITED.
const retryAfter = 500 * time.Millisecond

func newLimiter(kernels, queue, each int) *limiter {
	return &limiter{slots: make(chan struct{}, kernels), queue: queue, each: each, calls: map[string]int{}}
}

// enter counts a call of an enterprise in; leave counts it out.
func (l *limiter) enter(enterprise string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls[enterprise] >= l.each {
		return &Error{Reason: ledger.ReasonRateLimited, Rule: "limits.perEnterprise", Retry: retryAfter}
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

// acquire waits for a kernel's turn; release gives it back.
func (l *limiter) acquire(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	if !l.wait() {
		return &Error{Reason: ledger.ReasonRateLimited, Rule: "limits.queue", Retry: retryAfter}
	}
	defer l.waited()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *limiter) release() { <-l.slots }

func (l *limiter) wait() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting >= l.queue {
		return false
	}
	l.waiting++
	return true
}

func (l *limiter) waited() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
}
