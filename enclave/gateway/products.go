package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// Products lists the published products, or of them those that the caller may
// use now: it has a grant in force, or they are sandboxes. A caller that is no
// enterprise sees the list without use.
func (g *Gateway) Products(ctx context.Context, who vocabulary.Identity, req *yingbipb.ProductsRequest) (*yingbipb.ProductsResponse, error) {
	s, err := g.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	now := g.time.now()
	resp := &yingbipb.ProductsResponse{Origin: g.Origin}
	for _, held := range s.World.Catalogue().Products() {
		doc, status, ok := s.World.Product(held.Doc.ID)
		if !ok || status != admission.StatusPublished {
			continue
		}
		grants, err := g.grantsOf(ctx, s, who, doc.ID, now)
		if err != nil {
			return nil, err
		}
		if req.GetMine() && len(grants) == 0 && !doc.Sandbox {
			continue
		}
		p, err := describe(s, doc, now)
		if err != nil {
			return nil, err
		}
		p.Grants = grants
		resp.Products = append(resp.Products, p)
	}
	return resp, nil
}

// describe is what anyone may know of a published product.
func describe(s *world.Snapshot, doc *vocabulary.Product, now time.Time) (*yingbipb.Product, error) {
	document, err := ledger.Canonical(doc)
	if err != nil {
		return nil, internal("writing a product's document", err)
	}
	live, ok := s.World.Live(doc.ID)
	if !ok {
		return nil, internal("describing a product", errors.New("it is published and has no version"))
	}
	p := &yingbipb.Product{
		Id: doc.ID, Document: document, Epoch: int32(live.Epoch), Version: int32(live.Version),
		DescriptorSeq: live.Seq,
	}
	if doc.Aggregate == nil {
		p.Records = live.Population
	} else {
		p.Cells, p.Regime, p.Privacy = live.Population, doc.Aggregate.Regime(), privacyOf(s, doc.Resource, now)
	}
	if r, ok := s.World.Catalogue().Resource(doc.Resource); ok {
		p.ResourceTitle, p.Grade, p.UpdateCycle = r.Doc.Title.En, string(r.Doc.Grade), r.Doc.UpdateCycle
	}
	if t, ok := s.World.Tariff(doc.ID, now); ok {
		p.Prices = append(p.Prices, &yingbipb.Price{Tariff: t.ID, Basis: t.Basis, UnitPrice: t.Unit.String(), Trial: t.Trial})
	}
	return p, nil
}

// privacyOf is what was spent of a resource's privacy budget; nil where it has
// none.
func privacyOf(s *world.Snapshot, resource string, now time.Time) *yingbipb.PrivacyUse {
	lifetime, period, ok := s.World.Budget(resource, now)
	if !ok {
		return nil
	}
	use := func(u admission.BudgetUse) *yingbipb.BudgetUse {
		return &yingbipb.BudgetUse{Window: u.Window, Limit: u.Limit, Spent: u.Spent}
	}
	p := &yingbipb.PrivacyUse{Lifetime: use(lifetime), Period: use(period)}
	p.Holds, p.Ended = s.World.PrivacyStatement(resource)
	return p
}

// grantsOf are the caller's grants of a product in force, with what is used.
func (g *Gateway) grantsOf(ctx context.Context, s *world.Snapshot, who vocabulary.Identity, product string, now time.Time) ([]*yingbipb.GrantUse, error) {
	if who.Role != vocabulary.RoleEnterprise {
		return nil, nil
	}
	var out []*yingbipb.GrantUse
	for _, grant := range s.World.Grants(who.ID, product, now) {
		use := &yingbipb.GrantUse{Grant: grant.ID, Until: string(grant.Until)}
		for _, p := range grant.Purposes {
			use.Purposes = append(use.Purposes, string(p))
		}
		for _, q := range grant.Quotas {
			counter, window := admission.QuotaCounter(grant, product, q, now)
			used, err := g.Store.Used(ctx, counter, window)
			if err != nil {
				return nil, stateError("reading a quota", err)
			}
			use.Quotas = append(use.Quotas, &yingbipb.QuotaUse{Unit: q.Unit, Per: q.Per, Limit: q.Limit, Used: used})
		}
		out = append(out, use)
	}
	return out, nil
}

// Quote tells what a use would be before anything is sent: admitted or not and
// by which rule, under which grant, at which price. It changes and logs nothing.
func (g *Gateway) Quote(ctx context.Context, who vocabulary.Identity, req *yingbipb.QuoteRequest) (*yingbipb.QuoteResponse, error) {
	s, err := g.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if err := registered(s, who); err != nil {
		return nil, err
	}
	if req.GetUnits() < 1 || req.GetUnits() > maxQuote {
		return nil, badRequest("units: expected 1 to %d", int64(maxQuote))
	}
	doc, _, ok := s.World.Product(req.GetProduct())
	if !ok {
		return nil, refuse(ledger.ReasonUnknownProduct, "yingbi/product")
	}
	q := &quote{g: g, s: s, doc: doc, now: ledger.NewTime(g.time.now()).Time, req: req, resp: &yingbipb.QuoteResponse{}}
	if err := q.decide(ctx, who); err != nil {
		return nil, err
	}
	q.sizes()
	return q.resp, nil
}

const maxQuote = 1 << 40

type quote struct {
	g    *Gateway
	s    *world.Snapshot
	doc  *vocabulary.Product
	now  time.Time
	req  *yingbipb.QuoteRequest
	resp *yingbipb.QuoteResponse
}

// decide decides one job of the batch's size as submitting it would, and the price
// and the quotas for all units. Consent is taken to be on record: whether a
// header carries it is not known yet.
func (q *quote) decide(ctx context.Context, who vocabulary.Identity) error {
	units, batch := q.req.GetUnits(), int64(q.doc.Batch())
	q.resp.Jobs = (units + batch - 1) / batch
	outcome, err := q.s.Engine.Decide(admission.Facts{
		Enterprise: who.ID, Product: q.doc.ID, Purpose: vocabulary.Purpose(q.req.GetPurpose()), Grant: q.req.GetGrant(),
		Kind: q.doc.Type, Units: min(units, batch), Now: q.now, Consent: true,
	})
	if errors.Is(err, admission.ErrFacts) {
		return badRequest("%v", err)
	}
	if err != nil {
		return internal("quoting", err)
	}
	if !outcome.Admitted() {
		q.resp.Reason, q.resp.Rule = string(outcome.Reason), outcome.Rule
		return nil
	}
	var first *shortage
	for _, c := range outcome.Candidates {
		short, err := q.candidate(ctx, c)
		if err != nil {
			return err
		}
		if short == nil {
			return q.take(c)
		}
		if first == nil {
			first = short
		}
	}
	q.resp.Reason, q.resp.Rule = string(first.charge.Reason), first.charge.Rule
	return q.take(first.candidate)
}

// candidate checks the charges of all the quote's jobs under one grant.
func (q *quote) candidate(ctx context.Context, c admission.Candidate) (*shortage, error) {
	var short *shortage
	q.resp.Quotas = nil
	for _, charge := range c.Charges {
		used, err := q.g.Store.Used(ctx, charge.Counter, charge.Window)
		if err != nil {
			return nil, stateError("reading a quota", err)
		}
		unit, per := charge.Terms()
		q.resp.Quotas = append(q.resp.Quotas, &yingbipb.QuotaUse{Unit: unit, Per: per, Limit: charge.Limit, Used: used})
		needed := q.req.GetUnits()
		if unit == "calls" {
			needed = q.resp.Jobs
		}
		if needed > charge.Limit-used && short == nil {
			short = &shortage{candidate: c, charge: charge}
		}
	}
	return short, nil
}

// take puts a candidate's price for all units into the quote.
func (q *quote) take(c admission.Candidate) error {
	q.resp.Admitted = q.resp.Reason == ""
	q.resp.Grant, q.resp.Ground = c.Grant, c.Ground
	q.resp.Amount, q.resp.Charge = c.Price.Amount, c.Price.Amount
	if c.Ground != "" {
		return nil
	}
	tariff, ok := q.s.World.Tariff(q.doc.ID, q.now)
	if !ok {
		return internal("quoting", errors.New("a paid use without a tariff"))
	}
	price, err := fees.Price(tariff, q.req.GetUnits(), q.resp.Jobs)
	if err != nil {
		return internal("quoting", err)
	}
	amount, err := fees.ParseMoney(price.Amount)
	if err != nil {
		return internal("quoting", err)
	}
	q.resp.Price = &yingbipb.Price{Tariff: tariff.ID, Basis: tariff.Basis, UnitPrice: tariff.Unit.String(), Trial: tariff.Trial}
	q.resp.Amount, q.resp.Charge = price.Amount, amount.Round().String()
	return nil
}

// headerBytes is about what a signed header and a receipt take on the wire.
const (
	headerBytes  = 800
	receiptBytes = 4 << 10
	queryBytes   = 200
)

// sizes tells bytes and time, from the live version.
func (q *quote) sizes() {
	v, ok := q.s.Version(q.doc.ID, 0, 0)
	if !ok {
		return
	}
	units, jobs := q.req.GetUnits(), q.resp.Jobs
	if v.Cells != nil {
		figures := units * int64(len(v.Cells.Measures))
		if v.Cells.Regime == cells.RegimePrivacy {
			figures *= 3 // with the ends of their intervals
		}
		q.resp.BytesUp = jobs * (headerBytes + queryBytes)
		q.resp.BytesDown = 8*figures + jobs*receiptBytes
		return
	}
	l := v.Lookup.Lattice
	q.resp.BytesUp = units*int64(oprf.ElementSize+l.QueryBytes) + jobs*headerBytes
	q.resp.BytesDown = units*int64(oprf.ElementSize+l.AnswerBytes) + jobs*(oprf.ProofSize+receiptBytes) + int64(l.PublicBytes)
	q.resp.Nanos = q.g.speed.estimate(v.Lookup, units)
}
