package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// edge is what every call passes: identity, size, time, recovery, error map.
type edge struct {
	timeout time.Duration
	body    time.Duration // bodyTime
	message int           // bytes of the longest message
	intake  *intake
	log     *slog.Logger
	said    atomic.Int64 // the second in which the log was told why calls are put off
}

// small is the largest request of a method that carries no bulk payload.
const small = 8 << 10

// largest bounds requests by method, below the transport's own bound: an
// Evaluate carries at most 4,096 elements of 32 bytes, a header and a signature.
var largest = map[string]int{
	yingbipb.Gateway_Products_FullMethodName:   small,
	yingbipb.Gateway_Quote_FullMethodName:      small,
	yingbipb.Gateway_Evaluate_FullMethodName:   4096*32 + 2*small,
	yingbipb.Gateway_Receipt_FullMethodName:    small,
	yingbipb.Gateway_Checkpoint_FullMethodName: small,
	yingbipb.Gateway_PublicPart_FullMethodName: small,
	yingbipb.Gateway_Cells_FullMethodName:      cells.MaxQuery + 2*small,
	yingbipb.Gateway_Upload_FullMethodName:     1<<20 + small, // of each piece
	yingbipb.Gateway_Uploaded_FullMethodName:   small,
}

type callerKey struct{}

// callerIn is what a call is counted under.
func callerIn(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return callerName(p.AuthInfo)
	}
	return ""
}

func callerOf(ctx context.Context) vocabulary.Identity {
	id, _ := ctx.Value(callerKey{}).(vocabulary.Identity)
	return id
}

// stream takes every call through its bounds: the caller's number of calls
// before anything is read, the bytes of its messages before they are.
func (e *edge) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	method := info.FullMethod
	defer func() { err = e.finish(method, recover(), err) }()
	ctx, cancel, err := e.begin(ss.Context(), method)
	if err != nil {
		return err
	}
	defer cancel()
	caller := callerIn(ctx)
	if err := e.intake.enter(caller); err != nil {
		return err
	}
	defer e.intake.leave(caller)
	bound := &boundStream{ServerStream: ss, edge: e, ctx: ctx, method: method, caller: caller}
	defer bound.release()
	return next(srv, bound)
}

// unary refuses: a unary method's message is read before an interceptor sees
// the call, so that every service is registered by asStreams.
func (e *edge) unary(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	return nil, e.finish("", nil, errors.New("server: a service is registered with unary methods"))
}

// begin establishes who is calling and how long the call may take. Health and
// reflection hold nothing of the domain: they answer any certificate.
func (e *edge) begin(ctx context.Context, method string) (context.Context, context.CancelFunc, error) {
	if !ours(method) {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	id, err := identify(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	return context.WithValue(ctx, callerKey{}, id), cancel, nil
}

// finish maps what came out of a handler, a panic included, to a status.
func (e *edge) finish(method string, panicked any, err error) error {
	if panicked != nil {
		e.log.Error("panic in a handler", "method", method, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		return toStatus(&gateway.Error{Reason: ledger.ReasonInternal, Rule: "internal"})
	}
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok || err == nil {
		return err // gRPC's own word about the stream, or of health and reflection
	}
	switch reason := gateway.ReasonOf(err); {
	case reason == ledger.ReasonInternal && !errors.Is(err, context.Canceled):
		e.log.Error("a call failed inside", "method", method, "error", err)
	case reason == ledger.ReasonUnavailable:
		// A keyring that is sealed, a database that was set back: every call has
		// the same to say, and no caller is told.
		if now := time.Now().Unix(); e.said.Swap(now) != now {
			e.log.Warn("calls are put off", "method", method, "error", err)
		}
	}
	return toStatus(err)
}

func ours(method string) bool {
	return strings.HasPrefix(method, "/"+yingbipb.Gateway_ServiceDesc.ServiceName+"/")
}

func checkSize(method string, m proto.Message) error {
	most, ok := largest[method]
	if n := proto.Size(m); ok && n > most {
		return &gateway.Error{Reason: ledger.ReasonBadRequest, Rule: "size",
			Meta: map[string]string{"bytes": fmt.Sprint(n), "limit": fmt.Sprint(most)}}
	}
	return nil
}

// Bounds of time within a call. A client that is slower holds nothing longer.
const (
	bodyTime  = 20 * time.Second // for a request to come
	stallTime = 20 * time.Second // for a piece of an answer to be taken
)

// boundStream gives a stream the call's context, and what it receives a place
// and a time to come in.
type boundStream struct {
	grpc.ServerStream
	edge   *edge
	ctx    context.Context
	method string
	caller string
	place  *place // of the last message
}

func (s *boundStream) Context() context.Context { return s.ctx }

func (s *boundStream) RecvMsg(m any) (err error) {
	s.release()
	if s.place, err = s.edge.intake.take(s.ctx, s.caller, int64(s.edge.message)); err != nil {
		return err
	}
	if err := within(s.ctx, s.edge.body, func() error { return s.ServerStream.RecvMsg(m) }); err != nil {
		return err
	}
	pm, ok := m.(proto.Message)
	if !ok {
		return nil
	}
	s.edge.intake.keep(s.place, int64(proto.Size(pm)))
	return checkSize(s.method, pm)
}

func (s *boundStream) SendMsg(m any) error {
	return within(s.ctx, stallTime, func() error { return s.ServerStream.SendMsg(m) })
}

func (s *boundStream) release() {
	if s.place != nil {
		s.edge.intake.keep(s.place, 0)
		s.place = nil
	}
}

// within runs f, which moves a message of a stream, for as long as ctx and most
// allow. What still runs then touches nothing but the stream and the message,
// and ends with the call.
func within(ctx context.Context, most time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("server: panic in a message: %v\n%s", p, debug.Stack())
			}
		}()
		err = f()
	}()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return context.DeadlineExceeded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asStreams is a service whose unary methods are handled as streams of one
// message each way, which on the wire is the same.
func asStreams(sd grpc.ServiceDesc) *grpc.ServiceDesc {
	sd.Streams = slices.Clone(sd.Streams)
	for _, m := range sd.Methods {
		sd.Streams = append(sd.Streams, grpc.StreamDesc{StreamName: m.MethodName, ServerStreams: true, Handler: func(srv any, ss grpc.ServerStream) error {
			resp, err := m.Handler(srv, ss.Context(), ss.RecvMsg, nil)
			if err != nil {
				return err
			}
			return ss.SendMsg(resp)
		}})
	}
	sd.Methods = nil
	return &sd
}

// identify returns the identity in the verified client certificate.
func identify(ctx context.Context) (vocabulary.Identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return vocabulary.Identity{}, wrongIdentity("no peer")
	}
	return identityIn(p.AuthInfo)
}

func identityIn(auth credentials.AuthInfo) (vocabulary.Identity, error) {
	info, ok := auth.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0]) == 0 {
		return vocabulary.Identity{}, wrongIdentity("no verified certificate")
	}
	return identityOf(info.State.VerifiedChains[0][0])
}

// identityOf wants exactly one URI SAN, so that no certificate speaks for two.
func identityOf(cert *x509.Certificate) (vocabulary.Identity, error) {
	if len(cert.URIs) != 1 {
		return vocabulary.Identity{}, wrongIdentity(fmt.Sprintf("%d URI names in the certificate, expected 1", len(cert.URIs)))
	}
	id, err := vocabulary.ParseURI(cert.URIs[0].String())
	if err != nil {
		return vocabulary.Identity{}, wrongIdentity("the certificate's URI is no yingbi identity")
	}
	return id, nil
}

func wrongIdentity(detail string) error {
	return &gateway.Error{Reason: ledger.ReasonWrongIdentity, Rule: "certificate", Meta: map[string]string{"detail": detail}}
}
