package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// stalled is a stream whose client sends nothing and takes nothing.
type stalled struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stalled) Context() context.Context { return s.ctx }
func (s stalled) RecvMsg(any) error        { <-s.ctx.Done(); return s.ctx.Err() }
func (s stalled) SendMsg(any) error        { <-s.ctx.Done(); return s.ctx.Err() }

// A client whose request does not come, or that takes no answer, holds its place
// for a bounded time, and nothing after.
func TestAStalledClientHoldsNothing(t *testing.T) {
	transport, over := context.WithCancel(t.Context())
	defer over()
	in := newIntake(1<<20, 1<<20)
	e := &edge{timeout: time.Millisecond, body: time.Millisecond, message: 1 << 20, intake: in}
	if err := in.enter("a"); err != nil {
		t.Fatal(err)
	}
	s := &boundStream{ServerStream: stalled{ctx: transport}, edge: e, ctx: transport, method: yingbipb.Gateway_Lookup_FullMethodName, caller: "a"}
	if err := s.RecvMsg(&yingbipb.LookupRequest{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request that does not come: %v, want DeadlineExceeded", err)
	}
	s.release()
	in.leave("a")
	if in.held != 0 || len(in.callers) != 0 {
		t.Errorf("%d bytes held by %v", in.held, in.callers)
	}
	ctx, cancel := context.WithTimeout(transport, e.timeout)
	defer cancel()
	s.ctx = ctx
	if err := s.SendMsg(&yingbipb.PublicPartChunk{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an answer that is not taken: %v, want DeadlineExceeded", err)
	}
}
