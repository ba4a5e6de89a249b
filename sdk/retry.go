package sdk

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// retries are gRPC's own: an RPC that was not processed is sent again a few
// times, within some seconds. Every RPC of this service is idempotent.
const retries = `{"methodConfig":[{"name":[{"service":"yingbi.v1.Gateway"}],"retryPolicy":{
	"maxAttempts":5,"initialBackoff":"0.2s","maxBackoff":"5s","backoffMultiplier":2,"retryableStatusCodes":["UNAVAILABLE"]}}]}`

// reconnect is how often a lost connection is tried again.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// Bounds of patience.
const (
	longest    = time.Minute            // one call is tried again for
	firstPause = 500 * time.Millisecond // where the gateway names none
	lastPause  = 5 * time.Second        // pauses double up to this
)

// patience sends a call again that the gateway put off (it names the pause), or
// that found no gateway where there was one a moment ago: a gateway that is
// restarted must not end a long Verify. One that was never reached is an error
// at once: the address is wrong, or it is down.
type patience struct{ reached atomic.Bool }

func (p *patience) intercept(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return p.again(ctx, func() error { return invoke(ctx, method, req, reply, conn, opts...) })
}

// again makes a call until it is not put off any more.
func (p *patience) again(ctx context.Context, call func() error) error {
	began := time.Now()
	for try := 0; ; try++ {
		err := call()
		if err == nil {
			p.reached.Store(true)
			return nil
		}
		pause, again := p.pause(err, try)
		if !again || time.Since(began)+pause > longest {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// pause is how long to wait before another try, if one is worth it.
func (p *patience) pause(err error, try int) (pause time.Duration, again bool) {
	st := status.Convert(err)
	pause = firstPause
	again = st.Code() == codes.Unavailable && p.reached.Load()
	for _, d := range st.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok && retry.GetRetryDelay().AsDuration() > 0 {
			pause, again = retry.GetRetryDelay().AsDuration(), true
		}
	}
	return min(min(pause, lastPause)<<min(try, 8), lastPause), again
}
