package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/sdk"
)

// tap stands between an enterprise and the gateway, ends both TLS connections,
// hands every gRPC message on as it is and writes it down: what somebody who
// holds both ends' keys sees on the wire.
type tap struct {
	address string
	conn    *grpc.ClientConn

	mu   sync.Mutex
	seen bytes.Buffer
}

// newTap taps the gateway at an address, as the enterprise of an identity.
func newTap(t *testing.T, d *enclave.Domain, identity, gateway string) *tap {
	t.Helper()
	certificate, pool, err := d.ServerTLS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &tap{conn: dialAs(t, identity, gateway)}
	s := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(w.forward), grpc.MaxRecvMsgSize(64<<20),
		grpc.Creds(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: certificate, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(lis) }()
	t.Cleanup(s.Stop)
	w.address = lis.Addr().String()
	return w
}

// dialAs connects as an enterprise, without the SDK.
func dialAs(t *testing.T, identity, gateway string) *grpc.ClientConn {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(identity, "enrolment.json"))
	if err != nil {
		t.Fatal(err)
	}
	var e sdk.Enrolment
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(identity, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(e.Certificate), key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(e.CA))
	conn, err := grpc.NewClient(gateway, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{pair}})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (w *tap) write(parts ...[]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range parts {
		w.seen.Write(b)
		w.seen.WriteByte('\n')
	}
}

// bytes is all that was seen so far.
func (w *tap) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.seen.Bytes())
}

func (w *tap) forward(_ any, in grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(in)
	headers, _ := metadata.FromIncomingContext(in.Context())
	w.write([]byte(method), fmt.Append(nil, headers))
	out, err := w.conn.NewStream(in.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodec(raw{}))
	if err != nil {
		return err
	}
	go func() {
		for {
			var m []byte
			if err := in.RecvMsg(&m); err != nil {
				_ = out.CloseSend()
				return
			}
			w.write(m)
			_ = out.SendMsg(&m)
		}
	}()
	for {
		var m []byte
		err := out.RecvMsg(&m)
		if errors.Is(err, io.EOF) {
			w.write(fmt.Append(nil, out.Trailer()))
			return nil
		}
		if err != nil {
			details, _ := proto.Marshal(status.Convert(err).Proto())
			w.write([]byte(err.Error()), details, fmt.Append(nil, out.Trailer()))
			return err
		}
		w.write(m)
		if err := in.SendMsg(&m); err != nil {
			return err
		}
	}
}

// raw is the codec of messages that are handed on.
type raw struct{}

func (raw) Name() string                       { return "proto" }
func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, into any) error { *into.(*[]byte) = bytes.Clone(b); return nil }
