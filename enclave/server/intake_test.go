package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/policy/ledger"
)

func TestIntakeBoundsBytesAndCalls(t *testing.T) {
	in := newIntake(400, 100) // one caller: 100
	in.wait = 0
	for range in.calls {
		if err := in.enter("a"); err != nil {
			t.Fatal(err)
		}
	}
	var e *gateway.Error
	if err := in.enter("a"); !errors.As(err, &e) || e.Reason != ledger.ReasonRateLimited || e.Retry == 0 {
		t.Errorf("one call too many: %v, want RATE_LIMITED with a hint", err)
	}
	first, err := in.take(t.Context(), "a", 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.take(t.Context(), "a", 1); !errors.As(err, &e) || e.Rule != "limits.bytesInFlight" || e.Retry == 0 {
		t.Errorf("more than a caller's share: %v, want RATE_LIMITED with a hint", err)
	}
	var places []*place
	for i := range 4 {
		caller := fmt.Sprint("other ", i)
		if err := in.enter(caller); err != nil {
			t.Fatal(err)
		}
		p, err := in.take(t.Context(), caller, 100)
		if i == 3 != (err != nil) {
			t.Errorf("caller %d: %v; want three beside the first", i, err)
		}
		if p != nil {
			places = append(places, p)
		}
	}
	in.keep(first, 10) // it was read, and is smaller
	if _, err := in.take(t.Context(), "other 3", 90); err != nil {
		t.Errorf("what a read message gave back: %v", err)
	}
	for _, p := range places {
		in.keep(p, 0)
	}
	if in.held != 100 || len(in.line) != 0 {
		t.Errorf("%d bytes held, want the 10 and the 90", in.held)
	}
}

// A caller whose share is full holds nobody up that waits behind it.
func TestIntakePassesOver(t *testing.T) {
	in := newIntake(400, 100)
	in.wait = time.Minute
	for _, caller := range []string{"greedy", "modest", "x", "y", "z"} {
		if err := in.enter(caller); err != nil {
			t.Fatal(err)
		}
	}
	var last *place
	for _, caller := range []string{"greedy", "x", "y", "z"} {
		p, err := in.take(t.Context(), caller, 100)
		if err != nil {
			t.Fatal(err)
		}
		last = p
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := in.take(ctx, "greedy", 100); !errors.Is(err, context.Canceled) {
			t.Errorf("the greedy caller's second: %v, want it to wait until it gives up", err)
		}
	})
	untilLine(in, 1)
	got := make(chan error, 1)
	wg.Go(func() {
		_, err := in.take(t.Context(), "modest", 100)
		got <- err
	})
	untilLine(in, 2)
	in.keep(last, 0)
	if err := <-got; err != nil {
		t.Errorf("behind a caller whose share is full: %v", err)
	}
	cancel()
	wg.Wait()
	if in.held != 400 || len(in.line) != 0 {
		t.Errorf("%d bytes held, %d waiting", in.held, len(in.line))
	}
}

func untilLine(in *intake, n int) {
	for there := false; !there; {
		in.mu.Lock()
		there = len(in.line) == n
		in.mu.Unlock()
	}
}

// What comes when all places of connections are taken is closed at once; a place
// is free again when its connection has ended.
func TestConnectionsAreBounded(t *testing.T) {
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lis := newBoundListener(raw, 1)
	defer lis.Close()
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	dial()
	first := <-accepted
	second := dial()
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("a connection beyond the bound is served")
	}
	for range 2 { // closing twice gives one place back
		first.Close()
	}
	dial()
	<-accepted
	third := dial()
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("closing twice gave two places")
	}
}
