package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// edge is what every call passes: identity, size, time, recovery, error map.
type edge struct {
	timeout time.Duration
	log     *slog.Logger
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
}

type callerKey struct{}

func callerOf(ctx context.Context) vocabulary.Identity {
	id, _ := ctx.Value(callerKey{}).(vocabulary.Identity)
	return id
}

func (e *edge) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() { err = e.finish(info.FullMethod, recover(), err) }()
	if !ours(info.FullMethod) {
		return next(ctx, req) // health and reflection hold nothing of the domain
	}
	if m, ok := req.(proto.Message); ok {
		if err := checkSize(info.FullMethod, m); err != nil {
			return nil, err
		}
	}
	ctx, cancel, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return next(ctx, req)
}

func (e *edge) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() { err = e.finish(info.FullMethod, recover(), err) }()
	if !ours(info.FullMethod) {
		return next(srv, ss)
	}
	ctx, cancel, err := e.begin(ss.Context())
	if err != nil {
		return err
	}
	defer cancel()
	return next(srv, &boundStream{ServerStream: ss, ctx: ctx, method: info.FullMethod})
}

// begin establishes who is calling and how long the call may take.
func (e *edge) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
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
	if err == nil || !ours(method) {
		return err
	}
	if gateway.ReasonOf(err) == ledger.ReasonInternal && !errors.Is(err, context.Canceled) {
		e.log.Error("a call failed inside", "method", method, "error", err)
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

// boundStream gives a stream the call's context and bounds what it receives.
type boundStream struct {
	grpc.ServerStream
	ctx    context.Context
	method string
}

func (s *boundStream) Context() context.Context { return s.ctx }

func (s *boundStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if pm, ok := m.(proto.Message); ok {
		return checkSize(s.method, pm)
	}
	return nil
}

// identify returns the identity in the verified client certificate.
func identify(ctx context.Context) (vocabulary.Identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return vocabulary.Identity{}, wrongIdentity("no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
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
