package sdk

import (
	"context"
	"path"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/stats"
)

// Traffic is what one RPC method sent and received.
type Traffic struct {
	Method   string
	Calls    int64
	Sent     int64 // bytes
	Received int64 // bytes
}

// traffic counts message bytes as gRPC reports them.
type traffic struct {
	mu sync.Mutex
	by map[string]*Traffic
}

func newTraffic() *traffic { return &traffic{by: map[string]*Traffic{}} }

type methodKey struct{}

// TagRPC implements stats.Handler.
func (t *traffic) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, path.Base(info.FullMethodName))
}

// HandleRPC implements stats.Handler.
func (t *traffic) HandleRPC(ctx context.Context, s stats.RPCStats) {
	method, _ := ctx.Value(methodKey{}).(string)
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.by[method]
	if m == nil {
		m = &Traffic{Method: method}
		t.by[method] = m
	}
	switch s := s.(type) {
	case *stats.Begin:
		m.Calls++
	case *stats.OutPayload:
		m.Sent += int64(s.WireLength)
	case *stats.InPayload:
		m.Received += int64(s.WireLength)
	}
}

// TagConn implements stats.Handler.
func (t *traffic) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (t *traffic) HandleConn(context.Context, stats.ConnStats) {}

func (t *traffic) snapshot() []Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Traffic, 0, len(t.by))
	for _, m := range t.by {
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b Traffic) int { return strings.Compare(a.Method, b.Method) })
	return all
}
