package gateway

import (
	"context"
	"errors"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// Evaluate settles a verify job: every blinded element evaluated under its
// epoch's key, or none. The answer that its receipt holds is the evaluated
// elements and their proof, one after the other.
func (g *Gateway) Evaluate(ctx context.Context, who vocabulary.Identity, req *yingbipb.EvaluateRequest) (*yingbipb.EvaluateResponse, error) {
	blinded := req.GetBlinded()
	a, err := g.submit(ctx, who, order{
		kind: vocabulary.TypeVerify, signed: req.GetHeader(), signature: req.GetSignature(), since: req.GetSince(),
		payload: int64(len(blinded)), work: &evaluation{g, who.ID, blinded},
	})
	if err != nil {
		return nil, err
	}
	n := len(a.answer) - oprf.ProofSize
	return &yingbipb.EvaluateResponse{
		Evaluated: a.answer[:n:n], Proof: a.answer[n:], Receipt: a.receipt, Consistency: a.consistency, HandOvers: a.handOvers,
	}, nil
}

// evaluation is the work of a verify job.
type evaluation struct {
	g          *Gateway
	enterprise string
	blinded    []byte
}

func (w *evaluation) check(_ *world.Snapshot, h *ledger.Header) error {
	switch n := len(w.blinded) / oprf.ElementSize; {
	case len(w.blinded)%oprf.ElementSize != 0 || int64(n) != h.Units || n > oprf.MaxBatch:
		return badRequest("the payload has %d bytes, expected %d for %d units", len(w.blinded), h.Units*oprf.ElementSize, h.Units)
	case len(h.Payloads) != 1 || h.Payloads[0] != ledger.Digest(w.blinded):
		return badRequest("payloads: expected the digest of the blinded elements alone")
	}
	return nil
}

// covers: a grant of a verify product is for all of it.
func (w *evaluation) covers(*vocabulary.Grant, world.Version) bool { return true }

// kept: the epoch's key is, whether its tables are served or not.
func (w *evaluation) kept(s *world.Snapshot, v world.Version) bool {
	_, gone := s.World.KeyGone(v.Product, v.Epoch)
	return !gone
}

// run evaluates under the epoch's key.
func (w *evaluation) run(ctx context.Context, _ *ledger.Header, v world.Version) (*result, error) {
	e, done, err := w.g.tables.evaluator(ctx, v)
	if errors.Is(err, keyring.ErrDestroyed) {
		return nil, errMoved // by a shred that this world does not know of yet
	}
	if err != nil {
		return nil, stateError("running the job", err)
	}
	defer done()
	return w.g.evaluate(ctx, w.enterprise, e, w.blinded)
}

// evaluate runs the kernel in its turn.
func (g *Gateway) evaluate(ctx context.Context, enterprise string, e *release.Evaluator, blinded []byte) (*result, error) {
	if err := g.limit.acquire(ctx, enterprise); err != nil {
		return nil, err
	}
	defer g.limit.release()
	r := new(result)
	var evaluated, proof []byte
	var err error
	r.cpu = cpuTime(func() { evaluated, proof, err = g.kernel(e, blinded) })
	switch {
	case errors.Is(err, oprf.ErrElement), errors.Is(err, oprf.ErrIdentity), errors.Is(err, oprf.ErrBatch):
		return nil, badRequest("payload: %v", err)
	case err != nil:
		return nil, internal("evaluating", err)
	}
	g.speed.evaluated(len(blinded)/oprf.ElementSize, r.cpu)
	r.answer = append(append(make([]byte, 0, len(evaluated)+len(proof)), evaluated...), proof...)
	r.digest = ledger.Digest(r.answer)
	return r, nil
}
