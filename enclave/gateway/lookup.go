package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// Lookup answers encrypted queries of a settled job. Each query stands under
// its index within the job; the same query again under its index, in the same
// version, gives the same bytes, another one is refused.
func (g *Gateway) Lookup(ctx context.Context, who vocabulary.Identity, req *yingbipb.LookupRequest) (*yingbipb.LookupResponse, error) {
	if err := enterprise(who); err != nil {
		return nil, err
	}
	if err := g.limit.enter(who.ID); err != nil {
		return nil, err
	}
	defer g.limit.leave(who.ID)
	s, err := g.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	j, err := g.jobOf(ctx, who, req.GetJob())
	if err != nil {
		return nil, err
	}
	v, err := g.readable(s, j, int(req.GetVersion()))
	if err != nil {
		return nil, err
	}
	if v.Lookup == nil {
		return nil, badRequest("job: it is for cells, which came with its receipt: lookups are of verify jobs")
	}
	queries := req.GetQueries()
	if err := g.checkQueries(v, queries); err != nil {
		return nil, err
	}
	table, done, err := g.tables.table(ctx, v)
	if err != nil {
		return nil, tableError(err)
	}
	defer done()
	if err := g.claim(ctx, j, v, req.GetFirst(), queries); err != nil {
		return nil, err
	}
	answers, err := g.answer(ctx, who.ID, table, queries)
	if err != nil {
		return nil, err
	}
	return &yingbipb.LookupResponse{Version: int32(v.Version), Answers: answers}, nil
}

// jobOf is a settled job of the caller's own. Another's is as unknown as none.
func (g *Gateway) jobOf(ctx context.Context, who vocabulary.Identity, id string) (*state.Job, error) {
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return nil, badRequest("job: expected a UUID") // no database sees anything else: some refuse zero bytes
	}
	j, err := g.Store.Job(ctx, id)
	if errors.Is(err, state.ErrNotFound) || err == nil && j.Enterprise != who.ID {
		return nil, refuse(ledger.ReasonUnknownJob, "job")
	}
	if err != nil {
		return nil, stateError("looking for the job", err)
	}
	return j, nil
}

// going wants a product that is not stopped: one that is answers nobody, and
// whoever has paid goes on after resume.
func going(s *world.Snapshot, product string) error {
	_, status, _ := s.World.Product(product)
	switch status {
	case admission.StatusPublished:
		return nil
	case admission.StatusWithdrawn:
		return refuse(ledger.ReasonWithdrawn, "yingbi/withdrawn")
	}
	return refuse(ledger.ReasonSuspended, "yingbi/suspended")
}

// readable is the version that a job's queries are for, where it is served.
func (g *Gateway) readable(s *world.Snapshot, j *state.Job, version int) (world.Version, error) {
	if err := going(s, j.Product); err != nil {
		return world.Version{}, err
	}
	v, ok := s.Served(j.Product, j.Epoch, version, g.time.now())
	if !ok {
		e := refuse(ledger.ReasonEpochEnded, "yingbi/epoch")
		if live, ok := s.World.Live(j.Product); ok {
			e.Meta = map[string]string{"epoch": fmt.Sprint(live.Epoch), "version": fmt.Sprint(live.Version)}
		}
		return world.Version{}, e
	}
	return v, nil
}

func (g *Gateway) checkQueries(v world.Version, queries [][]byte) error {
	if v.Lookup == nil {
		return refuse(ledger.ReasonUnknownJob, "job") // it was for cells: there is nothing to look up
	}
	if len(queries) == 0 || len(queries) > g.QueriesPerCall {
		return refuse(ledger.ReasonBadRequest, "limits.queriesPerCall", "queries", fmt.Sprint(len(queries)), "limit", fmt.Sprint(g.QueriesPerCall))
	}
	for i, q := range queries {
		if len(q) != v.Lookup.Lattice.QueryBytes {
			return badRequest("query %d has %d bytes, expected %d", i, len(q), v.Lookup.Lattice.QueryBytes)
		}
	}
	return nil
}

// claim books the queries under their indices, bound to the version that
// answers them.
func (g *Gateway) claim(ctx context.Context, j *state.Job, v world.Version, first uint32, queries [][]byte) error {
	digests := make([][32]byte, len(queries))
	for i, q := range queries {
		h := sha256.New()
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(v.Seq)))
		h.Write(q)
		digests[i] = [32]byte(h.Sum(nil))
	}
	err := g.Store.ClaimLookups(ctx, j.ID, first, digests)
	switch {
	case errors.Is(err, state.ErrLookupsExhausted):
		return refuse(ledger.ReasonLookupsExhausted, "lookups", "allowed", fmt.Sprint(j.Lookups))
	case errors.Is(err, state.ErrLookupReused):
		return refuse(ledger.ReasonLookupsExhausted, "lookups", "detail", "another query was answered under one of these indices, or the same in another version")
	case err != nil:
		return stateError("booking lookups", err)
	}
	return nil
}

// answer runs the kernel in its turn.
func (g *Gateway) answer(ctx context.Context, enterprise string, table *release.MaskedTable, queries [][]byte) ([][]byte, error) {
	if err := g.limit.acquire(ctx, enterprise); err != nil {
		return nil, err
	}
	defer g.limit.release()
	start := time.Now()
	answers, err := table.Answer(ctx, queries)
	switch {
	case errors.Is(err, lookup.ErrQuery):
		return nil, badRequest("queries: %v", err)
	case err != nil:
		return nil, internal("answering lookups", err)
	}
	g.speed.lookedUp(table.Descriptor(), len(queries), time.Since(start))
	return answers, nil
}

// tableError: a table that cannot be opened is the operator's to repair. It is
// opened again for whoever asks next.
func tableError(err error) error {
	if errors.Is(err, release.ErrTable) {
		return unavailable("table", keyringRetry, err)
	}
	return stateError("opening the table", err)
}
