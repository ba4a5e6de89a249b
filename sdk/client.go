package sdk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// Defaults of a client.
const (
	DefaultConcurrency = 2               // jobs under way at once
	maxMessage         = 32 << 20        // bytes of one answer from the gateway
	idlePing           = 2 * time.Minute // an idle connection is tried this often
)

// Client is a connection to one gateway as one identity. It is safe for
// concurrent use.
type Client struct {
	id          *Identity
	conn        *grpc.ClientConn
	rpc         pb.GatewayClient
	log         note.Verifier
	origin      string
	state       string
	concurrency int
	clock       func() time.Time // certificates are checked against it
	traffic     *traffic
	patience    patience
	trust       *trust
}

// Option changes a default of Dial.
type Option func(*Client)

// WithStateDir keeps unfinished jobs, receipts and the last checkpoint in dir
// instead of the identity's directory under "state".
func WithStateDir(dir string) Option { return func(c *Client) { c.state = dir } }

// WithConcurrency runs up to n jobs at once. More hides latency and costs
// memory: a job under way holds one batch of queries.
func WithConcurrency(n int) Option { return func(c *Client) { c.concurrency = max(1, n) } }

// WithClock checks certificates against another clock than time.Now.
func WithClock(clock func() time.Time) Option { return func(c *Client) { c.clock = clock } }

// Dial makes a client of the gateway at target (host:port) for an enrolled
// identity. It does not connect: the first call does, and fails within seconds
// where there is no gateway. Later calls wait up to a minute for one that is
// restarted or busy.
func Dial(target string, id *Identity, options ...Option) (*Client, error) {
	c := &Client{
		id: id, state: filepath.Join(id.Dir, "state"), concurrency: DefaultConcurrency, clock: time.Now, traffic: newTraffic(),
	}
	for _, o := range options {
		o(c)
	}
	config, verifier, err := id.tlsConfig(c.clock)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	c.log, c.origin = verifier, id.enrolment.Origin
	for _, dir := range []string{c.state, c.jobs(), c.receipts(), c.parts()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("dial %s: make state directory: %w", target, err)
		}
	}
	c.trust = &trust{path: filepath.Join(c.state, "checkpoint"), chain: filepath.Join(c.state, "handovers"), pinned: verifier}
	if err := c.trust.setAside(context.Background()); err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	c.conn, err = grpc.NewClient(target,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultServiceConfig(retries),
		grpc.WithConnectParams(reconnect),
		grpc.WithUnaryInterceptor(c.patience.intercept),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: idlePing}),
		grpc.WithStatsHandler(c.traffic))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	c.rpc = pb.NewGatewayClient(c.conn)
	return c, nil
}

// Close ends the connection. Jobs under way fail and can be resumed.
func (c *Client) Close() error { return c.conn.Close() }

// Traffic returns what was sent and received so far, by method, in bytes of
// messages before TLS.
func (c *Client) Traffic() []Traffic { return c.traffic.snapshot() }

func (c *Client) jobs() string     { return filepath.Join(c.state, "jobs") }
func (c *Client) receipts() string { return filepath.Join(c.state, "receipts") }
func (c *Client) parts() string    { return filepath.Join(c.state, "parts") }

// Product is a published product as the caller sees it.
type Product struct {
	*vocabulary.Product
	Epoch, Version int
	Records        int64 // the population of a verify product
	Cells          int64 // published of an aggregate, whatever their status
	Regime         string
	Privacy        *pb.PrivacyUse // of an aggregate whose resource has a privacy budget
	ResourceTitle  string
	Grade          string
	UpdateCycle    string
	Prices         []*pb.Price
	Grants         []*pb.GrantUse // the caller's own

	digest string // of its document
}

// Products lists what is published; with mine, only what this identity may use
// now, the sandbox included.
func (c *Client) Products(ctx context.Context, mine bool) ([]Product, error) {
	resp, err := c.rpc.Products(ctx, &pb.ProductsRequest{Mine: mine})
	if err != nil {
		return nil, wireError("list products", err)
	}
	products := make([]Product, 0, len(resp.GetProducts()))
	for _, p := range resp.GetProducts() {
		doc, err := vocabulary.DecodeCanonical(vocabulary.KindProduct, p.GetDocument())
		if err != nil {
			return nil, fmt.Errorf("list products: %s: %w: %w", p.GetId(), ErrUntrusted, err)
		}
		product, ok := doc.(*vocabulary.Product)
		if !ok || product.ID != p.GetId() {
			return nil, fmt.Errorf("list products: %s: %w: its document is another's", p.GetId(), ErrUntrusted)
		}
		products = append(products, Product{
			Product: product, Epoch: int(p.GetEpoch()), Version: int(p.GetVersion()), Records: p.GetRecords(),
			Cells: p.GetCells(), Regime: p.GetRegime(), Privacy: p.GetPrivacy(),
			digest: ledger.Digest(p.GetDocument()), ResourceTitle: p.GetResourceTitle(), Grade: p.GetGrade(), UpdateCycle: p.GetUpdateCycle(),
			Prices: p.GetPrices(), Grants: p.GetGrants(),
		})
	}
	return products, nil
}

// Product returns one published product. One that is not served now gives an
// *Error with the gateway's reason.
func (c *Client) Product(ctx context.Context, id string) (*Product, error) {
	products, err := c.Products(ctx, false)
	if err != nil {
		return nil, err
	}
	for i := range products {
		if products[i].ID == id {
			return &products[i], nil
		}
	}
	// A quote says why it is not in the list.
	q, err := c.Quote(ctx, id, vocabulary.Industry, "", 1)
	if err != nil {
		return nil, err
	}
	return nil, &Error{Op: "find product " + id, Reason: ledger.Reason(q.GetReason()), Rule: q.GetRule(), Message: "it is not served now"}
}

// Quote tells what units of a product would take, before anything is sent:
// whether it is admitted and by which rule, price, quota, bytes and time.
// Grant may be empty.
func (c *Client) Quote(ctx context.Context, product string, purpose vocabulary.Purpose, grant string, units int64) (*pb.QuoteResponse, error) {
	resp, err := c.rpc.Quote(ctx, &pb.QuoteRequest{Product: product, Purpose: string(purpose), Grant: grant, Units: units})
	if err != nil {
		return nil, wireError("quote", err)
	}
	return resp, nil
}
