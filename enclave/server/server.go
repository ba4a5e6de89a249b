package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// Limits of the edge. They bound what one caller can make the process hold;
// what a request may ask for is the gateway's to bound.
const (
	DefaultMaxMessage = 32 << 20         // a Lookup of 64 queries over a table of 100M records is 17 MB
	DefaultTimeout    = 2 * time.Minute  // of one call
	drainTime         = 10 * time.Second // open calls get this long when the server stops
	maxStreams        = 32               // of one connection, those whose answer is not taken yet included
	maxHeaderBytes    = 16 << 10
	streamWindow      = 64 << 10 // bytes of a message that may come before its place is taken
	connWindow        = 4 << 20
	handshakeTime     = 10 * time.Second
	idleTime          = 5 * time.Minute
	pingTime          = time.Minute
	pingWait          = 20 * time.Second
	leastPingTime     = 15 * time.Second // a client that pings more often is disconnected
)

// Options are what a server needs beside the gateway.
type Options struct {
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error) // the server's, issued by the domain's CA; asked at every handshake
	ClientCAs   *x509.CertPool                                       // the domain's CA
	Clock       func() time.Time                                     // default time.Now; certificates are checked against it
	MaxMessage  int                                                  // bytes; default DefaultMaxMessage
	InFlight    int64                                                // bytes of requests at once; default a quarter of GOMEMLIMIT, else 512 MiB
	Timeout     time.Duration                                        // of one call; default DefaultTimeout
	Log         *slog.Logger                                         // errors from inside go here; default: nowhere
}

// Server serves one gateway.
type Server struct {
	grpc   *grpc.Server
	health *health.Server
}

// New makes a server. Nothing listens until Serve.
func New(g *gateway.Gateway, o Options) (*Server, error) {
	if g == nil || o.Certificate == nil || o.ClientCAs == nil {
		return nil, errors.New("server: a gateway, a certificate and the client CA are needed")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.InFlight <= 0 {
		o.InFlight = inFlight()
	}
	edge := &edge{timeout: o.Timeout, body: bodyTime, message: o.MaxMessage, intake: newIntake(o.InFlight, o.MaxMessage), log: o.Log}
	s := grpc.NewServer(
		grpc.Creds(newBoundCredentials(credentials.NewTLS(tlsConfig(o)), connsOfOne)),
		grpc.MaxRecvMsgSize(o.MaxMessage),
		grpc.MaxSendMsgSize(o.MaxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.WaitForHandlers(true), // the gateway may be closed when Serve returns
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: idleTime, MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: o.Timeout, Time: pingTime, Timeout: pingWait,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPingTime, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(edge.unary),
		grpc.StreamInterceptor(edge.stream),
	)
	h := health.NewServer()
	s.RegisterService(asStreams(yingbipb.Gateway_ServiceDesc), &service{gateway: g})
	s.RegisterService(asStreams(healthpb.Health_ServiceDesc), h)
	reflection.Register(s)
	h.SetServingStatus(yingbipb.Gateway_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	return &Server{grpc: s, health: h}, nil
}

// tlsConfig is mutual TLS 1.3 under the domain's own CA and nothing else.
func tlsConfig(o Options) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: o.Certificate,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      o.ClientCAs,
		Time:           o.Clock,
	}
}

// Serve answers on the listener until ctx is done, then lets open calls
// finish for drainTime. It closes the listener. A clean stop is no error.
func (s *Server) Serve(ctx context.Context, lis net.Listener) error {
	done := make(chan error, 1)
	go func() { done <- s.grpc.Serve(newBoundListener(lis, maxConns)) }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("server: serving on %s: %w", lis.Addr(), err)
		}
		return nil
	case <-ctx.Done():
	}
	s.health.Shutdown()
	stopped := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(stopped) }()
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-timer.C:
		s.grpc.Stop()
		<-stopped
	}
	<-done
	return nil
}
