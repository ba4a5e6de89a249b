package sdk

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// Job says on whose account an aggregate product is used, and for what.
type Job struct {
	Product    string
	Purpose    vocabulary.Purpose
	Grant      string // to charge; empty: the earliest to expire
	CostCentre string // for the enterprise's own books: [A-Za-z0-9._-]{1,32}

	// Deliver takes the result before the job is forgotten: after an error of it, or a
	// crash, the same call gives the same result for free, as long as the publication
	// is served. Without it the job is forgotten when the call returns.
	Deliver func(*CellsResult) error
}

// CellsResult is what a job for cells gave.
type CellsResult struct {
	View       *cells.View
	Descriptor *cells.Descriptor // of the publication that they are of
	Receipt    *ledger.Receipt
	Entry      *ledger.Entry // what the receipt says, verified
}

// Publication fetches what is published of an aggregate product now: axes,
// groupings and measures, proved to be in the log. Its Resolve tells what a query
// means, and how many cells it is charged for. It costs nothing.
func (c *Client) Publication(ctx context.Context, product string) (*cells.Descriptor, error) {
	d, _, err := c.cellsOf(ctx, product, 0)
	return d, err
}

// cellsOf fetches and proves the descriptor of a publication; epoch 0: the live
// one.
func (c *Client) cellsOf(ctx context.Context, product string, epoch int) (d *cells.Descriptor, digest string, err error) {
	fail := func(err error) (*cells.Descriptor, string, error) {
		return nil, "", fmt.Errorf("descriptor of %s: %w", product, err)
	}
	p, canonical, err := c.publication(ctx, product, epoch, 0)
	if err != nil {
		return fail(err)
	}
	if p.Regime == "" {
		return fail(errors.New("it is not an aggregate product, and has no cells"))
	}
	if d, err = cells.DecodeDescriptor(canonical); err != nil {
		return fail(fmt.Errorf("%w: %w", ErrUntrusted, err))
	}
	if d.Product != product || d.Epoch != p.Epoch || d.Version != p.Version {
		return fail(fmt.Errorf("%w: it names another product, epoch or version than its entry", ErrUntrusted))
	}
	return d, ledger.Digest(canonical), nil
}

// Cells asks an aggregate product for released cells. The query is held to what
// is published before anything is sent: one that has no answer costs nothing. What
// comes back is held to the receipt, whose checkpoint is held to the log, and to
// the query.
//
// A call that failed, or died, is gone on with by the same call: what it settled
// is answered again for free while its publication is served. Once it has
// returned, the same call is a new job at a new price.
func (c *Client) Cells(ctx context.Context, job Job, q cells.Query) (_ *CellsResult, err error) {
	query, err := q.Encode()
	if err != nil {
		return nil, err
	}
	header := ledger.Header{
		V: ledger.Version, Kind: vocabulary.TypeAggregate, Enterprise: c.id.Subject.ID, Product: job.Product, Purpose: string(job.Purpose),
		Grant: job.Grant, CostCentre: job.CostCentre, Origin: c.origin,
	}
	work := inputsDigest(header, [][]byte{query}, 0)
	unlock, err := claim(filepath.Join(c.jobs(), hex.EncodeToString(work[:])+".lock"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	a := &asking{c: c, header: header, query: q, encoded: query}
	result, j, err := a.settle(ctx)
	if err != nil {
		return nil, err
	}
	if job.Deliver != nil {
		if err := job.Deliver(result); err != nil {
			return result, fmt.Errorf("deliver cells: %w", err)
		}
	}
	return result, j.done()
}

// asking is one call of Cells under way.
type asking struct {
	c       *Client
	header  ledger.Header // less id, epoch, units and payloads
	query   cells.Query
	encoded []byte
}

// settle goes on with the unfinished job for this query, or begins one. One that
// is of a publication which is served no more begins anew.
func (a *asking) settle(ctx context.Context) (*CellsResult, *job, error) {
	live, digest, err := a.c.cellsOf(ctx, a.header.Product, 0)
	if err != nil {
		return nil, nil, err
	}
	selection, err := live.Resolve(a.query)
	if err != nil {
		return nil, nil, err
	}
	header := a.header
	header.Epoch, header.Units = live.Epoch, int64(selection.Cells())
	payload := func(*job) ([]byte, error) { return a.encoded, nil }
	j, err := a.c.openJob(header, [][]byte{a.encoded}, 0, payload)
	if err != nil {
		return nil, nil, err
	}
	result, err := a.attempt(ctx, j, live, digest)
	var refused *Error
	if errors.As(err, &refused) && refused.Reason == ledger.ReasonEpochEnded {
		if err := a.c.startJob(j, header, payload); err != nil {
			return nil, nil, err
		}
		result, err = a.attempt(ctx, j, live, digest)
	}
	if errors.As(err, &refused) && !errors.Is(err, ErrFork) && j.lost(refused) {
		// It may have settled before, and the answer did not come.
		switch settled, unknown := a.c.settled(ctx, j); {
		case unknown != nil:
			return nil, nil, errors.Join(err, unknown)
		case !settled:
			return nil, nil, errors.Join(err, j.done())
		}
	}
	return result, j, err
}

// attempt sends a job and checks what comes back.
func (a *asking) attempt(ctx context.Context, j *job, d *cells.Descriptor, digest string) (*CellsResult, error) {
	signed, err := j.header()
	if err != nil {
		return nil, fmt.Errorf("resume job %s: %w", j.path, err)
	}
	if signed.Epoch != d.Epoch {
		if d, digest, err = a.c.cellsOf(ctx, signed.Product, signed.Epoch); err != nil {
			return nil, err
		}
	}
	selection, err := d.Resolve(a.query)
	if err != nil {
		return nil, err
	}
	last, err := a.c.trust.last()
	if err != nil {
		return nil, err
	}
	head, answer, err := a.c.fetchCells(ctx, &pb.CellsRequest{Header: j.record.Header, Signature: j.record.Signature, Query: a.encoded, Since: last.tree.N})
	if err != nil {
		return nil, err
	}
	o := offer{consistency: head.GetConsistency(), handOvers: head.GetHandOvers()}
	receipt, entry, err := a.c.take(ctx, j, last, head.GetReceipt(), o, ledger.Digest(answer))
	if err != nil {
		return nil, err
	}
	if entry.TheCall().Descriptor != digest {
		return nil, fmt.Errorf("receipt: %w: it is for another publication than the one asked", ErrUntrusted)
	}
	view, err := cells.ReadArrow(bytes.NewReader(answer), d)
	if err == nil {
		err = selection.Holds(view)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return &CellsResult{View: view, Descriptor: d, Receipt: receipt, Entry: entry}, nil
}

// maxCellsAnswer bounds an answer in memory: a gateway gives 4 Mi figures at
// most, each of 8 bytes with as much for the ends of its interval, or twice that
// where they are written as decimals.
const maxCellsAnswer = 256 << 20

// fetchCells sends a job for cells and reads its answer whole. It is sent again
// where the gateway puts it off, or goes away and comes back: the same job gives
// the same answer, for free.
func (c *Client) fetchCells(ctx context.Context, req *pb.CellsRequest) (head *pb.CellsChunk, answer []byte, err error) {
	err = c.patience.again(ctx, func() error {
		head, answer, err = c.readCells(ctx, req)
		return err
	})
	if errors.Is(err, ErrUntrusted) {
		return nil, nil, err
	}
	return head, answer, wireError("fetch cells", err)
}

func (c *Client) readCells(ctx context.Context, req *pb.CellsRequest) (*pb.CellsChunk, []byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.Cells(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	head, err := stream.Recv()
	if err != nil {
		return nil, nil, err
	}
	var answer bytes.Buffer
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return head, answer.Bytes(), nil
		}
		if err != nil {
			return nil, nil, err
		}
		if answer.Len()+len(chunk.GetData()) > maxCellsAnswer {
			return nil, nil, fmt.Errorf("fetch cells: %w: longer than any answer", ErrUntrusted)
		}
		answer.Write(chunk.GetData())
	}
}
