package gateway

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// work is what a kind of job does: what a call hands to submit beside the header.
// Each call makes one, so that it may remember what it decoded.
type work interface {
	// check holds the payload to the header. A version that the snapshot does not
	// have is admission's to refuse.
	check(*world.Snapshot, *ledger.Header) error
	// covers says whether a grant, nil in the sandbox, is for all that is asked of a
	// version.
	covers(*vocabulary.Grant, world.Version) bool
	// run runs the kernel on the version that serves the job.
	run(context.Context, *ledger.Header, world.Version) (*result, error)
	// kept says whether what the answer was made of is kept, so that it can be made
	// again.
	kept(*world.Snapshot, world.Version) bool
}

// order is what a caller sends of a job.
type order struct {
	kind              string // of the jobs that the call takes
	signed, signature []byte // the header's canonical bytes, and the enterprise's signature over them
	since             int64  // the caller's last tree size
	payload           int64  // its bytes
	work
}

// job is an authenticated, well-formed order.
type job struct {
	order
	header *ledger.Header
	key    ed25519.PublicKey
	digest string // of header and signature: what the job id stands for
}

// result is what a kernel gave.
type result struct {
	answer []byte // as its receipt's digest is of it
	digest string
	cpu    int64
}

// reply is the answer to an order, and what proves that it was logged.
type reply struct {
	answer                 []byte
	receipt                *yingbipb.Receipt
	consistency, handOvers [][]byte
}

// settleTries is how often a job is decided anew because the world changed
// between its decision and its settlement.
const settleTries = 4

// submit takes a job of any kind from its signed header to its settled answer.
// The same order again gives the same answer and costs nothing.
func (g *Gateway) submit(ctx context.Context, who vocabulary.Identity, o order) (*reply, error) {
	if err := enterprise(who); err != nil {
		return nil, err
	}
	if err := g.limit.enter(who.ID); err != nil {
		return nil, err
	}
	defer g.limit.leave(who.ID)
	if err := g.reached(ctx, o.since); err != nil {
		return nil, err
	}
	// The world that is at hand will do at first: what is decided in one that is
	// out of date neither settles nor is logged.
	s := g.World.Current()
	for try := 1; ; try++ {
		j, err := authenticate(s, who, o)
		switch {
		case err == nil:
			answered, err := g.take(ctx, s, j)
			if err == nil {
				return g.join(ctx, o.since, answered)
			}
			if !errors.Is(err, errMoved) {
				return nil, err
			}
		case try > 1: // else the key may have been registered a moment ago
			return nil, err
		}
		if try == settleTries {
			return nil, unavailable("world", retryAfter, errMoved)
		}
		if s, err = g.snapshot(ctx); err != nil {
			return nil, err
		}
	}
}

// join joins a settled answer's receipt to the last tree that the caller saw.
func (g *Gateway) join(ctx context.Context, since int64, a *reply) (_ *reply, err error) {
	if a.consistency, a.handOvers, err = g.joined(ctx, since, a.receipt); err != nil {
		return nil, err
	}
	return a, nil
}

// errMoved: a control entry followed the world that a job was decided in.
var errMoved = errors.New("the world changed while the job ran")

// take admits, runs and settles a job.
func (g *Gateway) take(ctx context.Context, s *world.Snapshot, j *job) (*reply, error) {
	prior, err := g.Store.Job(ctx, j.header.Job)
	if err == nil {
		return g.repeat(ctx, s, j, prior)
	}
	if !errors.Is(err, state.ErrNotFound) {
		return nil, stateError("looking for the job", err)
	}
	a, err := g.admit(ctx, s, j)
	if err != nil {
		return nil, err
	}
	r, err := j.run(ctx, j.header, a.version)
	if err != nil {
		return nil, err
	}
	receipt, prior, err := g.settle(ctx, s, j, a, r)
	if err != nil {
		return nil, err
	}
	if prior != nil {
		return g.repeat(ctx, s, j, prior) // another call settled the id first
	}
	return &reply{answer: r.answer, receipt: onWire(receipt)}, nil
}

// authenticate reads an order strictly and checks who signed it. What it
// refuses was not shown to come from the enterprise, or is no job at all, and
// makes no entry.
func authenticate(s *world.Snapshot, who vocabulary.Identity, o order) (*job, error) {
	h, err := ledger.DecodeHeader(o.signed)
	if err != nil {
		return nil, badRequest("header: %v", err)
	}
	if h.Enterprise != who.ID {
		return nil, refuse(ledger.ReasonWrongIdentity, "certificate", "detail", "the header names another enterprise")
	}
	key, ok := s.World.SigningKey(h.Enterprise)
	if !ok {
		return nil, refuse(ledger.ReasonNotRegistered, "yingbi/enterprise")
	}
	if !ledger.Verify(key, ledger.ContextRequest, o.signed, o.signature) {
		return nil, refuse(ledger.ReasonBadSignature, "signature")
	}
	if h.Kind != o.kind {
		return nil, badRequest("kind: %s jobs are not sent by this call, which takes %s", h.Kind, o.kind)
	}
	if err := o.check(s, h); err != nil {
		return nil, err
	}
	return &job{order: o, header: h, key: key, digest: ledger.Digest(append(append([]byte{}, o.signed...), o.signature...))}, nil
}

// bytesIn is what the job's request took, for its usage.
func (j *job) bytesIn() int64 { return int64(len(j.signed)+len(j.signature)) + j.payload }

// admitted is a job that the policies admit, in the world that they did.
type admitted struct {
	at      time.Time
	outcome admission.Outcome
	version world.Version // newest of the job's epoch
	renews  string        // the job that it renews
}

// admit decides a job. A refusal is logged.
func (g *Gateway) admit(ctx context.Context, s *world.Snapshot, j *job) (*admitted, error) {
	now := ledger.NewTime(g.time.now()).Time
	h := j.header
	if h.Origin != g.Origin {
		return nil, g.deny(ctx, s, now, j, refuse(ledger.ReasonWrongOrigin, "origin", "expected", g.Origin), nil)
	}
	if err := g.renewable(ctx, s, h, now); err != nil {
		var refusal *Error
		if errors.As(err, &refusal) && refusal.Rule == admission.RuleRenewal {
			return nil, g.deny(ctx, s, now, j, refusal, nil)
		}
		return nil, err
	}
	outcome, err := s.Engine.Decide(admission.FactsOf(h, now))
	if errors.Is(err, admission.ErrFacts) {
		return nil, badRequest("header: %v", err)
	}
	if err != nil {
		return nil, internal("deciding the job", err)
	}
	if !outcome.Admitted() {
		return nil, g.deny(ctx, s, now, j, g.explain(s, h, refuse(outcome.Reason, outcome.Rule)), &outcome.Decision)
	}
	version, ok := s.Served(h.Product, h.Epoch, 0, now)
	if !ok {
		return nil, internal("finding the version that serves the job", errors.New("the policies admit an epoch that has none"))
	}
	if outcome.Candidates = covering(s, j, version, now, outcome.Candidates); len(outcome.Candidates) == 0 {
		return nil, g.deny(ctx, s, now, j, refuse(ledger.ReasonNotEntitled, admission.RuleEntitlement), nil)
	}
	if err := g.affordable(ctx, s, now, j, outcome.Candidates); err != nil {
		return nil, err
	}
	return &admitted{at: now, outcome: outcome, version: version, renews: h.Renews}, nil
}

// covering are the candidates whose grant is in force and for all that the job asks
// for.
func covering(s *world.Snapshot, j *job, v world.Version, now time.Time, candidates []admission.Candidate) []admission.Candidate {
	grants := map[string]*vocabulary.Grant{} // the sandbox has none
	for _, g := range s.World.Grants(j.header.Enterprise, j.header.Product, now) {
		grants[g.ID] = g
	}
	return slices.DeleteFunc(slices.Clone(candidates), func(c admission.Candidate) bool {
		grant := grants[c.Grant]
		return grant == nil && c.Grant != "" || !j.covers(grant, v)
	})
}

// worthAsking is from how many units on quotas are asked before the kernel
// runs. Below, running it for nothing costs less than asking each time: they are
// charged when the job settles in any case.
const worthAsking = 16

// affordable refuses a job that no grant's quotas will let settle.
func (g *Gateway) affordable(ctx context.Context, s *world.Snapshot, now time.Time, j *job, candidates []admission.Candidate) error {
	if j.header.Units < worthAsking {
		return nil
	}
	_, short := chargeable(candidates, func(counter, window string) (int64, error) {
		return g.Store.Used(ctx, counter, window)
	})
	if short == nil {
		return nil
	}
	return g.quotaRefusal(ctx, s, now, j, short)
}

// explain adds to a refusal what helps the caller.
func (g *Gateway) explain(s *world.Snapshot, h *ledger.Header, e *Error) *Error {
	switch e.Reason {
	case ledger.ReasonEpochEnded:
		if live, ok := s.World.Live(h.Product); ok {
			e.Meta = map[string]string{"epoch": fmt.Sprint(live.Epoch)}
		}
	case ledger.ReasonBatchTooLarge:
		if doc, _, ok := s.World.Product(h.Product); ok {
			e.Meta = map[string]string{"limit": fmt.Sprint(doc.Batch())}
		}
	}
	return e
}

// renewable checks that a job which says it renews another may.
func (g *Gateway) renewable(ctx context.Context, s *world.Snapshot, h *ledger.Header, now time.Time) error {
	if h.Renews == "" {
		return nil
	}
	old, err := g.Store.Job(ctx, h.Renews)
	if errors.Is(err, state.ErrNotFound) {
		return refuse(ledger.ReasonBadRequest, admission.RuleRenewal, "detail", "the job to renew is unknown")
	}
	if err != nil {
		return stateError("looking for the job to renew", err)
	}
	raw, _, err := g.Store.Record(ctx, old.Seq)
	if err != nil {
		return stateError("reading the job to renew", err)
	}
	entry, err := ledger.Decode(raw)
	if err != nil || entry.TheCall() == nil {
		return internal("reading the job to renew", errors.Join(err, errors.New("its entry is no call")))
	}
	past := admission.Past{
		Enterprise: old.Enterprise, Product: old.Product, Purpose: vocabulary.Purpose(entry.TheCall().Header.Purpose),
		Epoch: old.Epoch, Units: old.Units, Renewal: entry.TheCall().Header.Renews != "", Renewed: old.Renewed,
	}
	if err := s.World.Renewable(past, h, now); err != nil {
		detail := "it may not be renewed by this job"
		if past.Enterprise == h.Enterprise {
			detail = err.Error() // says what of the enterprise's own job stands against it
		}
		return refuse(ledger.ReasonBadRequest, admission.RuleRenewal, "detail", detail)
	}
	return nil
}

// repeat answers a settled job again, from what was kept or by computing the
// same bytes. Its world may have changed since: what was paid for is given.
func (g *Gateway) repeat(ctx context.Context, s *world.Snapshot, j *job, prior *state.Job) (*reply, error) {
	if prior.Header != j.digest || prior.Enterprise != j.header.Enterprise {
		return nil, g.deny(ctx, s, ledger.NewTime(g.time.now()).Time, j, refuse(ledger.ReasonJobReused, "job"), nil)
	}
	answer, err := g.Store.Answer(ctx, prior.ID)
	if err == nil {
		if ledger.Digest(answer) != prior.Answer {
			return nil, internal("answering again", errors.New("the answer kept is not the one settled"))
		}
		return g.respond(ctx, prior.Seq, answer)
	}
	if !errors.Is(err, state.ErrNotFound) {
		return nil, stateError("looking for the answer", err)
	}
	if s, err = g.snapshot(ctx); err != nil { // whether the key is kept must not be out of date
		return nil, err
	}
	v, ok := s.Version(prior.Product, prior.Epoch, 0)
	if !ok {
		return nil, internal("answering again", errors.New("the job's epoch was never published"))
	}
	if !j.kept(s, v) {
		// It can be had no more. An evaluation may be renewed for free.
		return nil, g.explain(s, j.header, refuse(ledger.ReasonEpochEnded, "yingbi/epoch"))
	}
	r, err := j.run(ctx, j.header, v)
	if err != nil {
		return nil, err
	}
	if r.digest != prior.Answer {
		return nil, internal("answering again", errors.New("computing again gave other bytes"))
	}
	return g.respond(ctx, prior.Seq, r.answer)
}

// respond gives a settled answer with its receipt.
func (g *Gateway) respond(ctx context.Context, seq int64, answer []byte) (*reply, error) {
	receipt, err := g.receipt(ctx, seq)
	if err != nil {
		return nil, err
	}
	return &reply{answer: answer, receipt: receipt}, nil
}
