package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
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
	if err := l.acquire(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	// One may wait. Its place in the queue is taken before acquire blocks.
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() { waiting <- l.acquire(ctx, "a") }()
	untilWaiting(l, 1)
	var e *Error
	if err := l.acquire(t.Context(), "a"); !errors.As(err, &e) || e.Reason != ledger.ReasonRateLimited || e.Retry == 0 {
		t.Errorf("a second in the queue: %v, want RATE_LIMITED with a hint", err)
	}
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that gave up: %v", err)
	}
	l.release()
	if err := l.acquire(t.Context(), "a"); err != nil {
		t.Errorf("after release: %v", err)
	}
}

// untilWaiting returns when n calls wait.
func untilWaiting(l *limiter, n int) {
	for queued := false; !queued; runtime.Gosched() {
		l.mu.Lock()
		queued = l.waiting == n
		l.mu.Unlock()
	}
}

// A greedy enterprise with sixteen calls waiting cannot make a modest one wait
// for them: its call runs after at most one kernel of each other enterprise.
func TestAModestEnterpriseWaitsOneRound(t *testing.T) {
	const greedy, others = 16, 3
	l := newLimiter(1, 64, greedy)
	if err := l.acquire(t.Context(), "greedy"); err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 64)
	waiting := 0
	join := func(enterprise string) {
		waiting++
		go func() {
			if err := l.acquire(t.Context(), enterprise); err != nil {
				t.Error(err)
			}
			order <- enterprise
		}()
		untilWaiting(l, waiting)
	}
	for range greedy {
		join("greedy")
	}
	for i := range others {
		join(fmt.Sprint("other ", i))
		join(fmt.Sprint("other ", i))
	}
	join("modest")
	kernels := 0
	for ran := ""; ran != "modest"; kernels++ {
		l.release() // the one that ran is done
		ran = <-order
	}
	if want := 1 + others + 1; kernels > want {
		t.Errorf("the modest call was kernel number %d, want at most %d", kernels, want)
	}
	for waiting -= kernels; waiting > 0; waiting-- {
		l.release()
		<-order
	}
	l.release()
	if l.free != 1 || len(l.lines) != 0 || len(l.round) != 0 {
		t.Errorf("left behind: %d free, lines %v, round %v", l.free, l.lines, l.round)
	}
}

// A queue that one enterprise has filled has a place for another: the greedy
// one's newest call is told to try again.
func TestAFullQueueMakesRoom(t *testing.T) {
	l := newLimiter(1, 4, 16)
	if err := l.acquire(t.Context(), "greedy"); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 4)
	for i := range 4 {
		go func() { results <- l.acquire(t.Context(), "greedy") }()
		untilWaiting(l, i+1)
	}
	if err := l.acquire(t.Context(), "greedy"); ReasonOf(err) != ledger.ReasonRateLimited {
		t.Errorf("the greedy enterprise's fifth: %v, want RATE_LIMITED", err)
	}
	modest := make(chan error, 1)
	go func() { modest <- l.acquire(t.Context(), "modest") }()
	if err := <-results; ReasonOf(err) != ledger.ReasonRateLimited {
		t.Errorf("sent away: %v, want RATE_LIMITED", err)
	}
	for range 3 {
		l.release()
		select {
		case err := <-modest:
			if err != nil {
				t.Error(err)
			}
			return
		case err := <-results:
			if err != nil {
				t.Error(err)
			}
		}
	}
	t.Error("three kernels ran and none was the modest enterprise's")
}

// Calls that give up at the moment their turn comes lose no place.
func TestNoPlaceIsLost(t *testing.T) {
	l := newLimiter(2, 64, 64)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i%3 == 0 {
				go cancel()
			}
			defer cancel()
			if l.acquire(ctx, fmt.Sprint(i%5)) == nil {
				l.release()
			}
		})
	}
	wg.Wait()
	if l.free != 2 || l.waiting != 0 || len(l.lines) != 0 || len(l.round) != 0 {
		t.Errorf("%d of 2 places free, %d waiting, lines %v, round %v", l.free, l.waiting, l.lines, l.round)
	}
}
