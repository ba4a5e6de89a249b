package enclavetest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/enclave/server"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// OpenGateway opens the domain's gateway and closes it with the test.
func (d *Domain) OpenGateway() *gateway.Gateway {
	d.T.Helper()
	g, err := d.Gateway(d.T.Context())
	if err != nil {
		d.T.Fatal(err)
	}
	d.T.Cleanup(func() {
		if err := g.Close(); err != nil {
			d.T.Error(err)
		}
	})
	return g
}

// Serve serves the domain on a free port of the loopback until the test ends.
func (d *Domain) Serve() (address string) {
	d.T.Helper()
	g := d.OpenGateway()
	cert, pool, err := d.ServerTLS(d.T.Context())
	if err != nil {
		d.T.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(testWriter{d.T}, nil))
	s, err := server.New(g, server.Options{Certificate: cert, ClientCAs: pool, Clock: d.Clock.Now, Log: log})
	if err != nil {
		d.T.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, lis) }()
	d.T.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			d.T.Error(err)
		}
	})
	return lis.Addr().String()
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// TLSConfig is a client's configuration.
func (d *Domain) TLSConfig(key ed25519.PrivateKey, cert []byte) *tls.Config {
	d.T.Helper()
	block, _ := pem.Decode(cert)
	if block == nil {
		d.T.Fatal("the certificate is no PEM")
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(d.CA())
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: "localhost", Time: d.Clock.Now,
		Certificates: []tls.Certificate{{Certificate: [][]byte{block.Bytes}, PrivateKey: key}},
	}
}

// Client is an enterprise at work.
type Client struct {
	pb.GatewayClient
	*Enterprise
	t   testing.TB
	d   *Domain
	log note.Verifier
}

// Dial connects an enterprise.
func (d *Domain) Dial(address string, e *Enterprise) *Client {
	d.T.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(d.TLSConfig(e.TLS, e.Cert))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		d.T.Fatal(err)
	}
	d.T.Cleanup(func() { conn.Close() })
	v, err := ledger.ParseVKey(d.VKey())
	if err != nil {
		d.T.Fatal(err)
	}
	return &Client{GatewayClient: pb.NewGatewayClient(conn), Enterprise: e, t: d.T, d: d, log: v}
}

// Header is a header for a number of units, without payloads.
func (d *Domain) Header(enterprise, product, purpose string, epoch int, units int64) ledger.Header {
	return ledger.Header{V: ledger.Version, Job: uuid.NewString(), Enterprise: enterprise, Product: product, Purpose: purpose,
		Kind: "verify", Epoch: epoch, Origin: d.Origin(), Units: units, Payloads: []string{}}
}

// Sign makes a signed request of a header over blinded elements.
func Sign(t testing.TB, key ed25519.PrivateKey, h ledger.Header, blinded []byte) *pb.EvaluateRequest {
	t.Helper()
	h.Payloads = []string{ledger.Digest(blinded)}
	b, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &pb.EvaluateRequest{Header: b, Signature: ledger.Sign(key, ledger.ContextRequest, b), Blinded: blinded}
}

// Job is one verify job as an enterprise sees it.
type Job struct {
	Header     ledger.Header
	Request    *pb.EvaluateRequest
	Response   *pb.EvaluateResponse
	Descriptor *lookup.Descriptor
	Outputs    []oprf.Output
	Entry      *ledger.Entry
	Secret     [32]byte

	batch *oprf.Batch
}

// Prepare encodes and blinds subjects, each a list of key and claim values, for
// the version that the gateway proves (epoch 0: the live one).
func (c *Client) Prepare(product, purpose string, epoch int, subjects [][]string) *Job {
	c.t.Helper()
	j := &Job{Descriptor: c.Proved(product, epoch, 0)}
	var inputs [][]byte
	for _, s := range subjects {
		in, err := oprf.Encode(j.Descriptor.Encoding.Rule, j.Descriptor.Encoding.Domain, s...)
		if err != nil {
			c.t.Fatal(err)
		}
		inputs = append(inputs, in)
	}
	batch, blinded, err := oprf.Blind(inputs, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	j.batch = batch
	j.Header = c.d.Header(c.Code, product, purpose, j.Descriptor.Epoch, int64(len(subjects)))
	j.Request = Sign(c.t, c.Signing, j.Header, blinded)
	if _, err := rand.Read(j.Secret[:]); err != nil {
		c.t.Fatal(err)
	}
	return j
}

// Proved fetches a version's descriptor and checks its proof.
func (c *Client) Proved(product string, epoch, version int) *lookup.Descriptor {
	c.t.Helper()
	resp, err := c.Checkpoint(c.t.Context(), &pb.CheckpointRequest{Product: product, Epoch: int32(epoch), Version: int32(version)})
	if err != nil {
		c.t.Fatal(err)
	}
	entry, _, err := receipt(resp.GetPublished(), resp.GetHandOvers()).Verify(c.log)
	if err != nil {
		c.t.Fatal(err)
	}
	d, err := lookup.DecodeDescriptor(entry.Publish.Descriptor)
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

func receipt(r *pb.Receipt, handOvers [][]byte) *ledger.Receipt {
	return &ledger.Receipt{Entry: r.GetEntry(), Salt: r.GetSalt(), Proof: string(r.GetProof()), HandOvers: handOvers}
}

// Send sends a prepared job, checks proof and receipt, and finalises.
func (c *Client) Send(j *Job) error {
	resp, err := c.Evaluate(c.t.Context(), j.Request)
	if err != nil {
		return err
	}
	j.Response = resp
	if j.Entry, _, err = receipt(resp.GetReceipt(), resp.GetHandOvers()).Verify(c.log); err != nil {
		return err
	}
	call := j.Entry.TheCall()
	if call == nil || call.Answer != ledger.Digest(append(append([]byte{}, resp.GetEvaluated()...), resp.GetProof()...)) {
		return errors.New("the receipt is of another answer")
	}
	if j.Outputs == nil {
		j.Outputs, err = j.batch.Finalise(oprf.PublicKey(j.Descriptor.OPRF.Key), resp.GetEvaluated(), resp.GetProof())
	}
	return err
}

// MustSend sends a job that has to settle.
func (c *Client) MustSend(j *Job) {
	c.t.Helper()
	if err := c.Send(j); err != nil {
		c.t.Fatal(err)
	}
}

// Answer is what a lookup found.
type Answer struct {
	Found bool
	Label []string
}

// LookUp looks every subject of a settled job up.
func (c *Client) LookUp(j *Job) ([]Answer, error) {
	client, err := c.lookupClient(j.Descriptor)
	if err != nil {
		return nil, err
	}
	req := &pb.LookupRequest{Job: j.Header.Job, Version: int32(j.Descriptor.Version)}
	decoders := make([]*lookup.Decoder, len(j.Outputs))
	for i := range j.Outputs {
		id := lookup.QueryID{Job: j.Header.Job, Epoch: j.Descriptor.Epoch, Version: j.Descriptor.Version, Index: uint32(i)}
		var query []byte
		query, decoders[i], err = client.Query(&j.Secret, id, oprf.Column(j.Descriptor.Salt, &j.Outputs[i], j.Descriptor.Lattice.Columns))
		if err != nil {
			return nil, err
		}
		req.Queries = append(req.Queries, query)
	}
	resp, err := c.Lookup(c.t.Context(), req)
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, len(j.Outputs))
	for i := range answers {
		column, err := decoders[i].Column(resp.GetAnswers()[i])
		if err != nil {
			return nil, err
		}
		if answers[i], err = unmask(j.Descriptor, column, &j.Outputs[i]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func unmask(d *lookup.Descriptor, column []byte, out *oprf.Output) (Answer, error) {
	layout := oprf.Layout{ColumnBytes: d.Lattice.Rows, LabelBytes: d.LabelBytes}
	label, found := layout.Find(column, oprf.TableID(d.Table), out)
	if !found || d.Answer != lookup.AnswerLabel {
		return Answer{Found: found}, nil
	}
	fields, err := lookup.DecodeLabel(label, len(d.Labels))
	return Answer{Found: found, Label: fields}, err
}

// lookupClient fetches the public part of a version.
func (c *Client) lookupClient(d *lookup.Descriptor) (*lookup.Client, error) {
	stream, err := c.PublicPart(c.t.Context(), &pb.PublicPartRequest{Digest: d.Lattice.Answer})
	if err != nil {
		return nil, err
	}
	var part []byte
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("public part: %w", err)
		}
		part = append(part, chunk.GetData()...)
	}
	return lookup.NewClient(d.Lattice, part)
}

// Verify is a whole job: evaluate and look up.
func (c *Client) Verify(product, purpose string, subjects [][]string) (*Job, []Answer, error) {
	c.t.Helper()
	j := c.Prepare(product, purpose, 0, subjects)
	if err := c.Send(j); err != nil {
		return j, nil, err
	}
	answers, err := c.LookUp(j)
	return j, answers, err
}
