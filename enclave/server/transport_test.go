package server_test

import (
	"crypto/tls"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// TestTransport: TLS 1.3 with a certificate of the domain's own authority, or
// nothing; then health and reflection answer beside the service.
func TestTransport(t *testing.T) {
	d := enclavetest.New(t)
	d.MustApply(enclavetest.Manifests)
	e := d.Enterprise(enclavetest.Northern)
	address := d.Serve()
	good := d.TLSConfig(e.TLS, e.Cert)

	stranger := enclavetest.New(t)
	foreign := stranger.Enterprise(enclavetest.Northern)
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.2":        func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"no certificate": func(c *tls.Config) { c.Certificates = nil },
		"another authority's certificate": func(c *tls.Config) {
			c.Certificates = stranger.TLSConfig(foreign.TLS, foreign.Cert).Certificates
		},
		"a server of another name": func(c *tls.Config) { c.ServerName = "elsewhere.example" },
	} {
		t.Run(name, func(t *testing.T) {
			config := good.Clone()
			config.NextProtos = []string{"h2"}
			change(config)
			raw, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			conn := tls.Client(raw, config)
			if err := conn.Handshake(); err != nil {
				return
			}
			// TLS 1.3 tells of a refused client certificate with the first read.
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("the connection is served")
			}
		})
	}

	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(good)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	health, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: pb.Gateway_ServiceDesc.ServiceName})
	if err != nil || health.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", health, err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{
		FileContainingSymbol: pb.Gateway_ServiceDesc.ServiceName}}); err != nil {
		t.Fatal(err)
	}
	if resp, err := stream.Recv(); err != nil || len(resp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("reflection %v, %v", resp, err)
	}
	// Nothing is published yet: an answer, and not an error.
	list, err := pb.NewGatewayClient(conn).Products(t.Context(), &pb.ProductsRequest{})
	if err != nil || len(list.GetProducts()) != 0 || list.GetOrigin() != d.Origin() {
		t.Errorf("products %v, %v", list, err)
	}
	_, err = pb.NewGatewayClient(conn).Checkpoint(t.Context(), &pb.CheckpointRequest{Product: "sector"})
	wantRefusal(t, err, ledger.ReasonNotPublished)
	_, err = pb.NewGatewayClient(conn).Checkpoint(t.Context(), &pb.CheckpointRequest{Product: "nothing"})
	wantRefusal(t, err, ledger.ReasonUnknownProduct)
}
