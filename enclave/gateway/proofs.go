package gateway

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// Receipt gives a settled job's receipt again, against the newest checkpoint.
func (g *Gateway) Receipt(ctx context.Context, who vocabulary.Identity, req *yingbipb.ReceiptRequest) (*yingbipb.ReceiptResponse, error) {
	if err := enterprise(who); err != nil {
		return nil, err
	}
	j, err := g.jobOf(ctx, who, req.GetJob())
	if err != nil {
		return nil, err
	}
	if err := g.reached(ctx, req.GetSince()); err != nil {
		return nil, err
	}
	receipt, err := g.receipt(ctx, j.Seq)
	if err != nil {
		return nil, err
	}
	resp := &yingbipb.ReceiptResponse{Receipt: receipt}
	if resp.Consistency, resp.HandOvers, err = g.joined(ctx, req.GetSince(), receipt); err != nil {
		return nil, err
	}
	return resp, nil
}

// reached refuses a caller who has seen a larger tree than the log has: nothing
// would join a receipt to what it saw.
func (g *Gateway) reached(ctx context.Context, since int64) error {
	if since == 0 {
		return nil
	}
	size, err := g.Store.Reached(ctx, since)
	if err != nil {
		return stateError("reading the tree's size", err)
	}
	if since < 0 || since > size {
		return beyond(size)
	}
	return nil
}

// beyond refuses a tree that the log has not reached, under a rule of its own: to
// a client it means that the log which it saw is another.
func beyond(size int64) *Error {
	return refuse(ledger.ReasonBadRequest, "since", "detail", fmt.Sprintf("since: the log has %d entries", size))
}

// joined is what joins a receipt to the last tree that the caller saw: a proof
// that the larger of the two trees continues the smaller, and the hand-overs of
// the log's key that the caller may not have seen.
func (g *Gateway) joined(ctx context.Context, since int64, r *yingbipb.Receipt) (consistency, handOvers [][]byte, err error) {
	msg, err := (&ledger.Receipt{Proof: string(r.GetProof())}).Checkpoint()
	if err != nil {
		return nil, nil, internal("joining the receipt", err)
	}
	_, tree, err := ledger.ParseCheckpoint(msg)
	if err != nil {
		return nil, nil, internal("joining the receipt", err)
	}
	hashes, err := g.Store.Consistency(ctx, min(since, tree.N), max(since, tree.N))
	if err != nil {
		return nil, nil, stateError("proving consistency", err)
	}
	if handOvers, err = g.handOvers(ctx, since, msg); err != nil {
		return nil, nil, err
	}
	return onWireHashes(hashes), handOvers, nil
}

// handOvers are those of the log's key at a size or beyond, all that lead to the
// key of a checkpoint. Where the world at hand knows that key, they are in it.
func (g *Gateway) handOvers(ctx context.Context, since int64, checkpoint []byte) ([][]byte, error) {
	keys := g.World.Current().World.LogKeys()
	if keys == nil || !keys.LastSigns(checkpoint) {
		s, err := g.snapshot(ctx)
		if err != nil {
			return nil, err
		}
		keys = s.World.LogKeys()
	}
	if keys == nil {
		return nil, nil
	}
	var out [][]byte
	for _, msg := range keys.HandOvers() {
		if h, err := ledger.ParseHandOver(msg); err == nil && h.Tree.N >= since {
			out = append(out, msg)
		}
	}
	return out, nil
}

func onWireHashes(hashes []tlog.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i, h := range hashes {
		out[i] = h[:]
	}
	return out
}

func (g *Gateway) receipt(ctx context.Context, seq int64) (*yingbipb.Receipt, error) {
	r, err := g.Store.Receipt(ctx, seq)
	if err != nil {
		return nil, stateError("proving the entry", err)
	}
	return onWire(r), nil
}

func onWire(r *ledger.Receipt) *yingbipb.Receipt {
	return &yingbipb.Receipt{Entry: r.Entry, Salt: r.Salt, Proof: []byte(r.Proof)}
}

// checkpointTries is how often a checkpoint and the proofs under it are read
// again because a newer one came in between.
const checkpointTries = 16

// Checkpoint gives the newest signed checkpoint, the proof that it continues
// the caller's last, and the publish entry of a named version proved under it.
// A version need not be served any more to be proved.
func (g *Gateway) Checkpoint(ctx context.Context, _ vocabulary.Identity, req *yingbipb.CheckpointRequest) (*yingbipb.CheckpointResponse, error) {
	seq := int64(-1)
	if req.GetProduct() != "" {
		s, err := g.snapshot(ctx)
		if err != nil {
			return nil, err
		}
		v, err := versionOf(s, req)
		if err != nil {
			return nil, err
		}
		seq = v.Seq
	}
	for range checkpointTries {
		resp, err := g.proofs(ctx, req.GetSince(), seq)
		if err != nil || resp != nil {
			return resp, err
		}
	}
	return nil, unavailable("checkpoint", retryAfter, errors.New("checkpoints come faster than proofs are read"))
}

func versionOf(s *world.Snapshot, req *yingbipb.CheckpointRequest) (world.Version, error) {
	if _, _, ok := s.World.Product(req.GetProduct()); !ok {
		return world.Version{}, refuse(ledger.ReasonUnknownProduct, "yingbi/product")
	}
	v, ok := s.Version(req.GetProduct(), int(req.GetEpoch()), int(req.GetVersion()))
	if !ok {
		return world.Version{}, refuse(ledger.ReasonNotPublished, "yingbi/published")
	}
	return v, nil
}

// proofs reads all under one checkpoint; nil, nil if a newer one came between.
func (g *Gateway) proofs(ctx context.Context, since, seq int64) (*yingbipb.CheckpointResponse, error) {
	msg, tree, err := g.Store.Checkpoint(ctx)
	if err != nil {
		return nil, stateError("reading the checkpoint", err)
	}
	if since < 0 || since > tree.N {
		return nil, beyond(tree.N)
	}
	resp := &yingbipb.CheckpointResponse{Checkpoint: msg}
	hashes, err := g.Store.Consistency(ctx, since, tree.N)
	if err != nil {
		return nil, stateError("proving consistency", err)
	}
	resp.Consistency = onWireHashes(hashes)
	if resp.HandOvers, err = g.handOvers(ctx, since, msg); err != nil {
		return nil, err
	}
	if seq < 0 {
		return resp, nil
	}
	if resp.Published, err = g.receipt(ctx, seq); err != nil {
		return nil, err
	}
	if !endsIn(resp.Published.GetProof(), msg) {
		return nil, nil
	}
	return resp, nil
}

// endsIn says whether a tlog-proof is under a checkpoint: it ends in its bytes.
func endsIn(proof, checkpoint []byte) bool {
	return len(proof) >= len(checkpoint) && string(proof[len(proof)-len(checkpoint):]) == string(checkpoint)
}

// PublicPart gives the public answer part of a served version, by its digest.
func (g *Gateway) PublicPart(ctx context.Context, _ vocabulary.Identity, digest string) ([]byte, error) {
	s, err := g.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	now := g.time.now()
	for v := range s.All {
		if v.Lookup == nil || v.Lookup.Lattice.Answer != digest {
			continue
		}
		if _, ok := s.Served(v.Product, v.Epoch, v.Version, now); !ok {
			return nil, refuse(ledger.ReasonEpochEnded, "yingbi/epoch")
		}
		table, done, err := g.tables.table(ctx, v)
		if err != nil {
			return nil, tableError(err)
		}
		defer done()
		return append([]byte(nil), table.PublicPart()...), nil
	}
	return nil, refuse(ledger.ReasonUnknownProduct, "digest")
}
