package enclave

import (
	"context"
	"errors"
	"fmt"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// ErrUnknown says that there is no such document.
var ErrUnknown = errors.New("enclave: there is no such document: apply it first")

// Newest is a product's newest document: what a reviewer reads and signs, with
// admission.SignReview.
func (d *Domain) Newest(ctx context.Context, product string) (admission.Revision, error) {
	w, err := d.World(ctx)
	if err != nil {
		return admission.Revision{}, err
	}
	r, ok := w.Newest(product)
	if !ok {
		return admission.Revision{}, fmt.Errorf("%w: product %s", ErrUnknown, product)
	}
	return r, nil
}

// Review records a reviewer's signature over a product's newest document. The
// reviewer is enrolled, and its key is another than the author's.
func (d *Domain) Review(ctx context.Context, review ledger.Review) (int64, error) {
	return d.one(ctx, "reviewing "+review.Product, ledger.Entry{Kind: ledger.KindReview, Review: &review})
}

// Suspend takes a product off the air until Resume.
func (d *Domain) Suspend(ctx context.Context, product string, reason ledger.Reason) (int64, error) {
	return d.stop(ctx, "suspend", vocabulary.KindProduct, product, reason)
}

// Resume serves a suspended product again.
func (d *Domain) Resume(ctx context.Context, product string, reason ledger.Reason) (int64, error) {
	return d.stop(ctx, "resume", vocabulary.KindProduct, product, reason)
}

// Withdraw ends a product for good.
func (d *Domain) Withdraw(ctx context.Context, product string, reason ledger.Reason) (int64, error) {
	return d.stop(ctx, "withdraw", vocabulary.KindProduct, product, reason)
}

// Revoke ends a grant for good, from the next job on.
func (d *Domain) Revoke(ctx context.Context, grant string, reason ledger.Reason) (int64, error) {
	return d.stop(ctx, "revoke", vocabulary.KindGrant, grant, reason)
}

func (d *Domain) stop(ctx context.Context, action string, kind vocabulary.Kind, id string, reason ledger.Reason) (int64, error) {
	return d.one(ctx, fmt.Sprintf("%s %s %s", action, kind, id), ledger.Entry{Kind: ledger.KindStop, Stop: &ledger.Stop{
		Action: action, Kind: string(kind), ID: id, Reason: reason,
	}})
}

// one logs one entry.
func (d *Domain) one(ctx context.Context, doing string, e ledger.Entry) (int64, error) {
	seqs, err := d.change(ctx, func(*admission.World) ([]ledger.Entry, error) { return []ledger.Entry{e}, nil })
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return seqs[0], nil
}
