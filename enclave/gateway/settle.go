package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// settle charges, logs and books a job in one transaction, and returns its
// receipt. If another call settled the id first, it returns that one's job.
func (g *Gateway) settle(ctx context.Context, s *world.Snapshot, j *job, a *admitted, r *result) (*ledger.Receipt, *state.Job, error) {
	doc, _, ok := s.World.Product(j.header.Product)
	if !ok {
		return nil, nil, internal("settling", errors.New("the product has gone"))
	}
	settled := state.Job{
		ID: j.header.Job, Enterprise: j.header.Enterprise, Product: j.header.Product, Header: j.digest,
		Epoch: j.header.Epoch, Version: a.version.Version, Units: j.header.Units,
		Lookups: j.header.Units + int64(doc.Padding()), Answer: r.digest,
	}
	var prior *state.Job
	var short *shortage
	commit, err := g.Store.Update(ctx, func(tx *state.Tx) error {
		prior, short = nil, nil // it may run again
		old, err := tx.Job(settled.ID)
		if err == nil {
			prior = old
			return nil
		}
		if !errors.Is(err, state.ErrNotFound) {
			return err
		}
		if tx.ControlSeq() != s.Seq {
			return errMoved
		}
		if err := g.dated(a.at, tx); err != nil {
			return err
		}
		var c admission.Candidate
		if c, short = chargeable(a.outcome.Candidates, tx.Used); short != nil {
			return short.left
		}
		return g.book(tx, j, a, r, c, settled)
	})
	switch {
	case err == nil && prior != nil:
		return nil, prior, nil
	case err == nil:
		receipt, err := commit.Receipt(0)
		if err != nil {
			return nil, nil, stateError("proving the entry", err)
		}
		return receipt, nil, nil
	case errors.Is(err, errMoved):
		return nil, nil, err
	case short != nil && errors.Is(err, short.left):
		return nil, nil, g.quotaRefusal(ctx, s, a.at, j, short)
	case errors.Is(err, state.ErrRenewed):
		return nil, nil, g.deny(ctx, s, a.at, j, refuse(ledger.ReasonBadRequest, admission.RuleRenewal, "detail", "it has been renewed"), nil)
	}
	return nil, nil, stateError("settling", err)
}

// shortage is a charge that does not hold.
type shortage struct {
	candidate admission.Candidate
	charge    admission.Charge
	left      error // *state.QuotaError, or why the counter could not be read
}

// book writes what a settled job changes.
func (g *Gateway) book(tx *state.Tx, j *job, a *admitted, r *result, c admission.Candidate, settled state.Job) error {
	for _, charge := range c.Charges {
		if err := tx.Charge(charge.Counter, charge.Window, charge.Units, charge.Limit); err != nil {
			return err
		}
	}
	if a.renews != "" {
		if err := tx.Renew(a.renews); err != nil {
			return err
		}
	}
	call := ledger.Call{
		Header: *j.header, Key: ledger.FormatKey(j.key), Signature: j.signature, Decision: c.Decision,
		Usage: ledger.Usage{CPUNs: r.cpu, BytesIn: j.bytesIn(), BytesOut: int64(len(r.answer)), Units: j.header.Units},
		Price: c.Price, Epoch: settled.Epoch, Version: settled.Version, Descriptor: a.version.Digest,
		Answer: r.digest, Contract: c.Contract, Settled: ledger.SettleFact{Admitted: ledger.NewTime(a.at)},
	}
	e := ledger.Entry{Kind: ledger.KindCall, Actor: g.Server, Call: &call}
	if c.Ground != "" {
		e.Kind, e.Call, e.Exemption = ledger.KindExemption, nil, c.Exemption(call)
	}
	seq, err := tx.Append(e)
	if err != nil {
		return err
	}
	settled.Seq = seq
	if err := tx.PutJob(settled); err != nil {
		return err
	}
	if len(r.answer) <= state.MaxAnswer {
		return tx.PutAnswer(settled.ID, r.answer, time.Time{})
	}
	return nil // it is computed again where it is asked for again
}

// chargeable picks the first candidate whose charges all hold. If none does,
// the shortage is the first candidate's.
func chargeable(candidates []admission.Candidate, used func(counter, window string) (int64, error)) (admission.Candidate, *shortage) {
	var first *shortage
	for _, c := range candidates {
		short := holds(c, used)
		if short == nil {
			return c, nil
		}
		if first == nil {
			first = short
		}
	}
	return admission.Candidate{}, first
}

func holds(c admission.Candidate, used func(counter, window string) (int64, error)) *shortage {
	for _, charge := range c.Charges {
		n, err := used(charge.Counter, charge.Window)
		if err == nil && charge.Units > charge.Limit-n {
			err = &state.QuotaError{Counter: charge.Counter, Window: charge.Window, Used: n, Units: charge.Units, Limit: charge.Limit}
		}
		if err != nil {
			return &shortage{c, charge, err}
		}
	}
	return nil
}

// quotaRefusal turns what a charge lacks into a logged refusal.
func (g *Gateway) quotaRefusal(ctx context.Context, s *world.Snapshot, now time.Time, j *job, short *shortage) error {
	var q *state.QuotaError
	if !errors.As(short.left, &q) {
		return stateError("reading the quota", short.left)
	}
	decision := short.candidate.Refused(short.charge)
	return g.deny(ctx, s, now, j, refuse(short.charge.Reason, short.charge.Rule, "limit", fmt.Sprint(q.Limit),
		"used", fmt.Sprint(q.Used), "asked", fmt.Sprint(q.Units), "window", q.Window), &decision)
}

// deny logs a refusal of an authenticated job and returns it. Above a rate, it
// is counted instead. One that was decided in a world that has changed is not
// logged: the job is decided again (errMoved).
func (g *Gateway) deny(ctx context.Context, s *world.Snapshot, now time.Time, j *job, refusal *Error, decision *ledger.Decision) error {
	if err := g.logCounted(ctx, now, false); err != nil {
		return stateError("logging refusals", err)
	}
	if !g.denials.note(now, j.header.Enterprise, refusal.Reason, refusal.Rule) {
		return refusal
	}
	_, err := g.Store.Update(ctx, func(tx *state.Tx) error {
		if (decision != nil || refusal.Reason == ledger.ReasonNotEntitled) && tx.ControlSeq() != s.Seq {
			return errMoved
		}
		if err := g.dated(now, tx); err != nil {
			return err
		}
		_, err := tx.Append(ledger.Entry{Kind: ledger.KindDenied, Actor: g.Server, Denied: &ledger.Denied{
			Enterprise: j.header.Enterprise, Reason: refusal.Reason, Rule: refusal.Rule,
			Header: j.header, Key: ledger.FormatKey(j.key), Signature: j.signature, Decision: decision, Count: 1,
		}})
		return err
	})
	if errors.Is(err, errMoved) {
		return err
	}
	if err != nil {
		return stateError("logging the refusal", err)
	}
	return refusal
}

// logCounted logs the counted refusals of windows that are over, or of all.
// What could not be logged is counted again.
func (g *Gateway) logCounted(ctx context.Context, now time.Time, all bool) error {
	denied := g.denials.due(now, all)
	if len(denied) == 0 {
		return nil
	}
	_, err := g.Store.Update(ctx, func(tx *state.Tx) error {
		for i := range denied {
			if _, err := tx.Append(ledger.Entry{Kind: ledger.KindDenied, Actor: g.Server, Denied: &denied[i]}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		g.denials.again(now, denied)
	}
	return err
}
