package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// raw sends bytes as they are, and takes what comes.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(b)
	return nil
}

var _ encoding.Codec = raw{}

// dialRaw is a connection of a fresh enterprise that sends what it likes.
func dialRaw(t *testing.T, d *enclavetest.Domain, address string, e *enclavetest.Enterprise) *grpc.ClientConn {
	t.Helper()
	config := d.TLSConfig(e.TLS, e.Cert)
	config.MinVersion = tls.VersionTLS13
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// send calls a method with bytes for a message.
func send(ctx context.Context, conn *grpc.ClientConn, method string, message []byte) error {
	var answer []byte
	return conn.Invoke(ctx, method, &message, &answer, grpc.ForceCodec(raw{}))
}

// TestMalformed sends what no client would. Every one is an error of the
// caller's own, the process goes on, and the log stays clean.
func TestMalformed(t *testing.T) {
	d, e := enclavetest.Published(t)
	address := d.Serve()
	c := d.Dial(address, e)
	conn := dialRaw(t, d, address, e)
	j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
	c.MustSend(j)

	t.Run("bytes that are no message", func(t *testing.T) {
		for _, m := range append(pb.Gateway_ServiceDesc.Methods, grpc.MethodDesc{MethodName: "PublicPart"}, grpc.MethodDesc{MethodName: "Upload"}, grpc.MethodDesc{MethodName: "Cells"}) {
			method := "/" + pb.Gateway_ServiceDesc.ServiceName + "/" + m.MethodName
			for name, message := range map[string][]byte{
				"zeros":               make([]byte, 64),
				"ones":                bytes.Repeat([]byte{0xff}, 64),
				"a field cut short":   {0x0a, 0x7f, 1},
				"a length of 2^63":    {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
				"a group never ended": bytes.Repeat([]byte{0x0b}, 4096),
			} {
				if err := send(t.Context(), conn, method, message); status.Code(err) == codes.OK || status.Code(err) == codes.Unavailable {
					t.Errorf("%s of %s: %v", name, m.MethodName, err)
				}
			}
		}
	})
	t.Run("text that is no UTF-8", func(t *testing.T) {
		for _, method := range []string{pb.Gateway_Quote_FullMethodName, pb.Gateway_Lookup_FullMethodName, pb.Gateway_Receipt_FullMethodName, pb.Gateway_PublicPart_FullMethodName, pb.Gateway_Upload_FullMethodName, pb.Gateway_Uploaded_FullMethodName, pb.Gateway_Cells_FullMethodName} {
			if err := send(t.Context(), conn, method, []byte{0x0a, 2, 0xc3, 0x28}); status.Code(err) == codes.OK {
				t.Errorf("%s takes it", method)
			}
		}
	})
	t.Run("messages that are too long", func(t *testing.T) {
		for method, n := range map[string]int{
			pb.Gateway_Lookup_FullMethodName: 33 << 20, pb.Gateway_Quote_FullMethodName: 1 << 20, pb.Gateway_Evaluate_FullMethodName: 1 << 20,
			"/grpc.health.v1.Health/Check": 33 << 20,
		} {
			message := append([]byte{0x0a}, appendVarint(nil, uint64(n))...)
			message = append(message, bytes.Repeat([]byte{'x'}, n)...)
			err := send(t.Context(), conn, method, message)
			if code := status.Code(err); code != codes.ResourceExhausted && code != codes.InvalidArgument {
				t.Errorf("%d bytes to %s: %v", n, method, err)
			}
		}
	})
	t.Run("floods of metadata", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				ctx := t.Context()
				for k := range 64 {
					ctx = metadata.AppendToOutgoingContext(ctx, fmt.Sprintf("x-%d-%d", i, k), strings.Repeat("v", 1<<10))
				}
				if err := send(ctx, dialRaw(t, d, address, e), pb.Gateway_Products_FullMethodName, nil); err == nil {
					t.Error("64 KB of metadata are taken")
				}
			})
		}
		wg.Wait()
	})
	t.Run("group elements", func(t *testing.T) {
		for name, element := range elements() {
			blinded := append(bytes.Clone(j.Request.Blinded), element...)
			h := d.Header(e.Code, "sector", "industry", 1, 2)
			_, err := c.Evaluate(t.Context(), enclavetest.Sign(t, e.Signing, h, blinded))
			if info := wantRefusal(t, err, ledger.ReasonBadRequest); !strings.Contains(info.Metadata["detail"], "element 1 of 2") {
				t.Errorf("%s: %v", name, info.Metadata)
			}
		}
	})
	t.Run("queries", func(t *testing.T) {
		size := j.Descriptor.Lattice.QueryBytes
		for _, n := range []int{0, 1, size - 1, size + 1, 2 * size} { // another ring, level or table
			_, err := c.Lookup(t.Context(), &pb.LookupRequest{Job: j.Header.Job, Queries: [][]byte{make([]byte, n)}})
			wantRefusal(t, err, ledger.ReasonBadRequest)
		}
		for i, fill := range []byte{0x55, 0x80} { // numbers beyond half the modulus
			_, err := c.Lookup(t.Context(), &pb.LookupRequest{Job: j.Header.Job, First: uint32(i), Queries: [][]byte{bytes.Repeat([]byte{fill}, size)}})
			if err != nil {
				wantRefusal(t, err, ledger.ReasonBadRequest)
			}
		}
		_, err := c.Lookup(t.Context(), &pb.LookupRequest{Job: j.Header.Job})
		wantRefusal(t, err, ledger.ReasonBadRequest)
		_, err = c.Lookup(t.Context(), &pb.LookupRequest{Job: j.Header.Job, Queries: make([][]byte, 1<<16)})
		wantRefusal(t, err, ledger.ReasonBadRequest)
		_, err = c.Lookup(t.Context(), &pb.LookupRequest{Job: j.Header.Job, Version: -1, Queries: [][]byte{make([]byte, size)}})
		wantRefusal(t, err, ledger.ReasonEpochEnded)
	})
	t.Run("numbers", func(t *testing.T) {
		for _, req := range []*pb.CheckpointRequest{{Since: -1}, {Since: 1 << 62}, {Since: -1 << 63}} {
			_, err := c.Checkpoint(t.Context(), req)
			wantRefusal(t, err, ledger.ReasonBadRequest)
		}
		for _, units := range []int64{0, -1, 1 << 62, -1 << 63} {
			_, err := c.Quote(t.Context(), &pb.QuoteRequest{Product: "sector", Purpose: "industry", Units: units})
			wantRefusal(t, err, ledger.ReasonBadRequest)
		}
		for _, v := range []int32{-1, 1 << 30, -1 << 31} {
			_, err := c.Checkpoint(t.Context(), &pb.CheckpointRequest{Product: "sector", Epoch: v})
			wantRefusal(t, err, ledger.ReasonNotPublished)
		}
	})
	// The process serves as before.
	if _, _, err := c.Verify("sector", "industry", [][]string{{enclavetest.Account(2)}}); err != nil {
		t.Error(err)
	}
	wantCleanAudit(t, d)
}

// elements are 32 bytes that encode no element, or one that is not allowed
// (RFC 9496 A.2, and the identity).
func elements() map[string][]byte {
	identity := make([]byte, oprf.ElementSize)
	prime := bytes.Repeat([]byte{0xff}, oprf.ElementSize) // 2^255 − 19, which is zero written another way
	prime[0], prime[31] = 0xed, 0x7f
	negative := make([]byte, oprf.ElementSize)
	negative[0] = 1
	high := make([]byte, oprf.ElementSize)
	high[31] = 0x80
	return map[string][]byte{
		"the identity": identity, "a field element that is not reduced": prime, "a negative field element": negative,
		"a high bit": high, "all ones": bytes.Repeat([]byte{0xff}, oprf.ElementSize),
	}
}

func appendVarint(b []byte, n uint64) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// FuzzMessages decodes bytes as the message of each method and hands it to the
// gateway: it refuses or answers, and never panics.
func FuzzMessages(f *testing.F) {
	d, e := enclavetest.Published(f)
	c := d.Dial(d.Serve(), e)
	j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
	for i, m := range []proto.Message{
		j.Request, &pb.LookupRequest{Job: j.Header.Job, First: 1, Queries: [][]byte{{1}}}, &pb.QuoteRequest{Product: "sector", Purpose: "industry", Units: 1},
		&pb.CheckpointRequest{Product: "sector", Since: 1}, &pb.ReceiptRequest{Job: j.Header.Job}, &pb.ProductsRequest{Mine: true},
		&pb.CellsRequest{Header: j.Request.Header, Signature: j.Request.Signature, Query: []byte(`{"by":[]}`)},
		&pb.UploadChunk{Digest: ledger.Digest([]byte("a")), Size: 1, Data: []byte("a")},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), b)
	}
	f.Fuzz(func(t *testing.T, method byte, b []byte) {
		call := func(m proto.Message, invoke func() error) {
			if proto.Unmarshal(b, m) != nil {
				return
			}
			if code := status.Code(invoke()); code == codes.Internal && proto.Size(m) < 4<<20 {
				t.Errorf("%T: INTERNAL", m)
			}
		}
		ctx := t.Context()
		switch method % 8 {
		case 0:
			m := new(pb.EvaluateRequest)
			call(m, func() error { _, err := c.Evaluate(ctx, m); return err })
		case 1:
			m := new(pb.LookupRequest)
			call(m, func() error { _, err := c.Lookup(ctx, m); return err })
		case 2:
			m := new(pb.QuoteRequest)
			call(m, func() error { _, err := c.Quote(ctx, m); return err })
		case 3:
			m := new(pb.CheckpointRequest)
			call(m, func() error { _, err := c.Checkpoint(ctx, m); return err })
		case 4:
			m := new(pb.ReceiptRequest)
			call(m, func() error { _, err := c.Receipt(ctx, m); return err })
		case 5:
			m := new(pb.ProductsRequest)
			call(m, func() error { _, err := c.Products(ctx, m); return err })
		case 6:
			m := new(pb.CellsRequest)
			call(m, func() error {
				stream, err := c.Cells(ctx, m)
				if err != nil {
					return err
				}
				_, err = stream.Recv()
				return err
			})
		case 7:
			m := new(pb.UploadChunk)
			call(m, func() error { _, err := upload(ctx, c, m, m); return err })
		}
	})
}
