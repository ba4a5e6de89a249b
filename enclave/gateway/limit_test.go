package gateway

import (
	"context"
	"errors"
	"testing"

	"github.com/yingbi/yingbi/policy/ledger"
)

func TestLimiterBoundsOneEnterprise(t *testing.T) {
	l := newLimiter(4, 4, 2)
	for range 2 {
		if err := l.enter("a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.enter("a"); ReasonOf(err) != ledger.ReasonRateLimited {
		t.Errorf("third call of one enterprise: %v, want RATE_LIMITED", err)
	}
	if err := l.enter("b"); err != nil {
		t.Errorf("another enterprise: %v", err)
	}
	l.leave("a")
	if err := l.enter("a"); err != nil {
		t.Errorf("after one left: %v", err)
	}
	l.leave("a")
	l.leave("a")
	l.leave("b")
	if len(l.calls) != 0 {
		t.Errorf("counts left behind: %v", l.calls)
	}
}

func TestLimiterBoundsTheQueue(t *testing.T) {
	l := newLimiter(1, 1, 100)
	if err := l.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	// One may wait. Its place in the queue is taken before acquire blocks.
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() { waiting <- l.acquire(ctx) }()
	for queued := false; !queued; {
		l.mu.Lock()
		queued = l.waiting == 1
		l.mu.Unlock()
	}
	var e *Error
	if err := l.acquire(t.Context()); !errors.As(err, &e) || e.Reason != ledger.ReasonRateLimited || e.Retry == 0 {
		t.Errorf("a second in the queue: %v, want RATE_LIMITED with a hint", err)
	}
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that gave up: %v", err)
	}
	l.release()
	if err := l.acquire(t.Context()); err != nil {
		t.Errorf("after release: %v", err)
	}
}
