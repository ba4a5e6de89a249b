package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// Cells settles a job for released cells of an aggregate product, and sends them
// after their receipt. The answer that the receipt holds is the Arrow IPC stream,
// whole. What is metered is the cells that the query means, whatever their
// status, which the public descriptor tells: a query that it does not answer is
// malformed and no entry.
//
// A settled job is answered again while its publication is served; it is not
// renewed after: an answer that was taken is good for as long as it is wanted.
func (g *Gateway) Cells(ctx context.Context, who vocabulary.Identity, req *yingbipb.CellsRequest, send func(*yingbipb.CellsChunk) error) error {
	w := &selecting{g: g, enterprise: who.ID, payload: req.GetQuery()}
	defer w.done()
	a, err := g.submit(ctx, who, order{
		kind: vocabulary.TypeAggregate, signed: req.GetHeader(), signature: req.GetSignature(), since: req.GetSince(),
		payload: int64(len(req.GetQuery())), work: w,
	})
	if err != nil {
		return err
	}
	// What was paid for is answered again, but by a product that is stopped.
	s, err := g.snapshot(ctx)
	if err != nil {
		return err
	}
	if err := going(s, w.product); err != nil {
		return err
	}
	if err := send(&yingbipb.CellsChunk{Receipt: a.receipt, Consistency: a.consistency, HandOvers: a.handOvers}); err != nil {
		return err
	}
	for piece := range slices.Chunk(a.answer, answerChunk) {
		if err := send(&yingbipb.CellsChunk{Data: piece}); err != nil {
			return err
		}
	}
	return nil
}

const (
	answerChunk = 256 << 10 // bytes of an answer in one message
	// maxFigures bounds one job's answer, in memory and on the wire. More are asked
	// for page by page.
	maxFigures = 4 << 20

	figureBytes = 48 // of a figure with its interval, once in a view and once on its way
	codeBytes   = 8  // of a cell's code along an axis, likewise
)

// selecting is the work of a job for cells.
type selecting struct {
	g          *Gateway
	enterprise string
	payload    []byte
	product    string // from here on, what the checked job is about
	query      *cells.Query
	leave      func() // gives back the answer's room; nil: none was taken
}

// done gives back what the answer took.
func (w *selecting) done() {
	if w.leave != nil {
		w.leave()
		w.leave = nil
	}
}

func (w *selecting) check(s *world.Snapshot, h *ledger.Header) (err error) {
	if len(h.Payloads) != 1 || h.Payloads[0] != ledger.Digest(w.payload) {
		return badRequest("payloads: expected the digest of the query alone")
	}
	if h.Renews != "" {
		return badRequest("renews: cells are not renewed: the answer to a settled job is good for ever")
	}
	if w.query, err = cells.DecodeQuery(w.payload); err != nil {
		return badRequest("query: %v", err)
	}
	w.product = h.Product
	v, ok := s.Version(h.Product, h.Epoch, 0)
	if !ok || v.Cells == nil {
		return nil
	}
	_, err = w.selection(v, h)
	return err
}

// selection is what the query means in a publication, held to the header.
func (w *selecting) selection(v world.Version, h *ledger.Header) (*cells.Selection, error) {
	if !slices.Contains(v.Doc.Aggregate.Answers, vocabulary.AnswerCells) {
		return nil, badRequest("product: %s does not answer cells, as it was reviewed", v.Product)
	}
	selection, err := v.Cells.Resolve(*w.query)
	if err != nil {
		return nil, badRequest("query: %v", err)
	}
	n := int64(selection.Cells())
	if n != h.Units {
		return nil, badRequest("units: the query means %d cells, the header has %d", n, h.Units)
	}
	if figures := n * int64(len(v.Cells.Measures)); figures > maxFigures {
		return nil, refuse(ledger.ReasonBadRequest, "limits.figures", "figures", fmt.Sprint(figures), "limit", fmt.Sprint(maxFigures))
	}
	return selection, nil
}

// covers: every entitlement of the grant to the product holds all cells asked for.
func (w *selecting) covers(grant *vocabulary.Grant, v world.Version) bool {
	if grant == nil {
		return true
	}
	selection, err := v.Cells.Resolve(*w.query)
	if err != nil {
		return false
	}
	for _, e := range grant.Cells {
		if e.Product != v.Product {
			continue
		}
		// Codes that this publication does not have are of others.
		published := codesOf(v.Cells, e.Dimension)
		codes := slices.DeleteFunc(slices.Clone(e.Codes), func(code string) bool { return !published[code] })
		if _, within, err := selection.Within(e.Dimension, codes); err != nil || !within {
			return false
		}
	}
	return true
}

// codesOf are the codes of an axis or level. There may be as many of a grant, and a
// job for one cell asks for all of them.
func codesOf(d *cells.Descriptor, dimension string) map[string]bool {
	codes := map[string]bool{}
	for _, axis := range d.Axes {
		if axis.Name == dimension {
			for _, code := range axis.Codes {
				codes[code] = true
			}
		}
		for _, level := range axis.Levels {
			if level.Name == dimension {
				for _, code := range level.Groups {
					codes[code] = true
				}
			}
		}
	}
	return codes
}

// kept: the publication is served.
func (w *selecting) kept(s *world.Snapshot, v world.Version) bool {
	_, served := s.Served(v.Product, v.Epoch, v.Version, w.g.time.now())
	return served
}

// run selects in its turn.
func (w *selecting) run(ctx context.Context, h *ledger.Header, v world.Version) (*result, error) {
	selection, err := w.selection(v, h)
	if err != nil {
		return nil, err
	}
	w.done() // of a run that did not settle
	if w.leave, err = w.g.answers.take(w.enterprise, h.Units*int64(len(v.Cells.Measures)*figureBytes+len(v.Cells.Axes)*codeBytes)); err != nil {
		return nil, err
	}
	released, done, err := w.g.tables.releasedCells(ctx, v)
	if err != nil {
		return nil, tableError(err)
	}
	defer done()
	if err := w.g.limit.acquire(ctx, w.enterprise); err != nil {
		return nil, err
	}
	defer w.g.limit.release()
	r := new(result)
	r.cpu = cpuTime(func() { r.answer, err = answerCells(released, selection, w.enterprise) })
	switch {
	case errors.Is(err, cells.ErrOverflow):
		return nil, badRequest("query: %v", err)
	case err != nil:
		return nil, internal("selecting cells", err)
	}
	r.digest = ledger.Digest(r.answer)
	return r, nil
}

func answerCells(released *release.Cells, selection *cells.Selection, recipient string) ([]byte, error) {
	view, err := released.Select(selection, recipient)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := view.WriteArrow(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// room bounds the bytes of answers that are held until they are sent: of all,
// and half of it of one enterprise, so that one that reads slowly does not keep
// the others out.
type room struct {
	all  int64
	mu   sync.Mutex
	held int64
	of   map[string]int64
}

// answerBytes is the room of a gateway: two enterprises' largest answers.
const answerBytes = 2 * maxFigures * (figureBytes + cells.MaxAxes*codeBytes)

func newRoom(all int64) *room { return &room{all: all, of: map[string]int64{}} }

// take takes a place, or sends the caller away for a moment.
func (r *room) take(enterprise string, n int64) (leave func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.all-r.held || n > r.all/2-r.of[enterprise] {
		return nil, rateLimited("limits.answers")
	}
	r.held += n
	r.of[enterprise] += n
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.held -= n
		if r.of[enterprise] -= n; r.of[enterprise] == 0 {
			delete(r.of, enterprise)
		}
	}), nil
}
