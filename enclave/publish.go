package enclave

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// PublishOptions say how a product is published.
type PublishOptions struct {
	DryRun   bool // read the data, say what would be, make nothing; the reading is logged
	NewEpoch bool // a new key and a new tracking window; the old epoch stays served for its grace. Cells always begin one
	Mix      bool // publish cells under both regimes over one resource, which ends its statement of differential privacy
	Progress Progress

	again bool // publish what is served, not what is newest
}

// Published is what Publish made, or would make: a masked table or cells.
type Published struct {
	Plan       *release.Plan
	Descriptor *lookup.Descriptor // nil in a dry run

	CellsPlan *release.CellsPlan
	Cells     *cells.Descriptor     // nil in a dry run
	Mixes     bool                  // it ends the resource's statement of differential privacy
	Budget    []admission.BudgetUse // privacy: of the resource's lifetime and period, before it is spent from

	Seq int64 // the publish entry; -1 in a dry run
}

// ErrNotReviewed says that nobody has reviewed the document that would be
// published.
var ErrNotReviewed = errors.New("enclave: the product's document is not reviewed: review it first")

// ErrNoData says that nothing was imported for the product's resource.
var ErrNoData = errors.New("enclave: nothing is imported for the product's resource: import it first")

// Publish makes the next version of a product's operand from the newest import
// and makes it live: the file first, then the entry, so that an entry always has
// its file. What a publication of cells spends of a privacy budget is logged with
// it, in one transaction. What the release rule refuses is a
// *release.RefusedError, with the plan. Files that no entry names, of
// publications that were interrupted, are removed.
func (d *Domain) Publish(ctx context.Context, product string, o PublishOptions) (_ *Published, err error) {
	free, err := d.tryLock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	p, err := d.prepare(ctx, s, product, o)
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", product, err)
	}
	table, _, err := d.openImport(ctx, p.imported)
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", product, err)
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	if p.spec.Product.Aggregate != nil {
		return d.publishCells(ctx, s, p, table, o)
	}
	if o.DryRun {
		plan, err := release.PlanTable(ctx, table, p.spec, release.Progress(o.Progress))
		if err != nil {
			return nil, fmt.Errorf("publishing %s: %w", product, err)
		}
		return &Published{Plan: plan, Seq: -1}, d.access(ctx, "dry-run", product, plan.Rows)
	}
	if err := errors.Join(d.removeOrphans(s), d.dropLookups(ctx, s, product)); err != nil {
		return nil, fmt.Errorf("publishing %s: %w", product, err)
	}
	return d.publish(ctx, p, table, o)
}

// publication is what is about to be published.
type publication struct {
	product  string
	digest   string // of the product's document
	review   int64
	imported int64 // the import's entry
	served   int64 // publish what this entry publishes again; 0: the newest document and data
	spec     release.Spec
}

// prepare finds what a publication is made of, in the world as it is.
func (d *Domain) prepare(ctx context.Context, s *world.Snapshot, product string, o PublishOptions) (*publication, error) {
	find := d.newest
	if o.again {
		find = d.served
	}
	p, err := find(ctx, s, product)
	if err != nil {
		return nil, err
	}
	doc := p.spec.Product
	if o.again && doc.Aggregate != nil {
		return nil, fmt.Errorf("%w: %s", errNoKey, product)
	}
	if column, seq, gone := s.World.ShreddedOf(doc); gone {
		return nil, fmt.Errorf("%w: column %s of %s, entry %d: take it out of the product", ErrShredded, column, doc.Resource, seq)
	}
	resource, ok := s.World.Catalogue().Resource(doc.Resource)
	if !ok {
		return nil, fmt.Errorf("%w: resource %s", ErrUnknown, doc.Resource)
	}
	p.spec.Resource, p.spec.Epoch, p.spec.Version = resource.Doc, 1, 1
	if last, ok := s.Version(product, 0, 0); ok {
		p.spec.Epoch = last.Epoch + 1
		// An epoch that was shredded has no further version.
		if !o.NewEpoch && doc.Aggregate == nil && s.World.Open(product) {
			p.spec.Epoch, p.spec.Version, p.spec.Previous = last.Epoch, last.Version+1, last.Lookup
		}
	}
	return p, nil
}

// newest is the newest document, reviewed, and the newest data.
func (d *Domain) newest(_ context.Context, s *world.Snapshot, product string) (*publication, error) {
	revision, ok := s.World.Newest(product)
	if !ok {
		return nil, fmt.Errorf("%w: product %s", ErrUnknown, product)
	}
	if revision.Review == 0 {
		return nil, ErrNotReviewed
	}
	seq, _, _, ok := s.World.Import(revision.Doc.Resource)
	if !ok {
		return nil, ErrNoData
	}
	return &publication{product: product, digest: revision.Digest, review: revision.Review, imported: seq,
		spec: release.Spec{Product: revision.Doc, Document: revision.Digest}}, nil
}

// served is the document that is served, and the data that it was published
// from, in the version that it was last sealed anew in.
func (d *Domain) served(ctx context.Context, s *world.Snapshot, product string) (*publication, error) {
	live, ok := s.World.Live(product)
	if !ok {
		return nil, fmt.Errorf("%w: product %s was never published: publish it first", ErrUnknown, product)
	}
	e, err := d.entry(ctx, live.Seq)
	if err != nil {
		return nil, err
	}
	doc, _, _ := s.World.Product(product)
	v, _ := s.Version(product, live.Epoch, live.Version)
	p := &publication{product: product, digest: v.Document, review: e.Publish.Review, imported: e.Publish.Import, served: live.Seq,
		spec: release.Spec{Product: doc, Document: v.Document}}
	for e, err := range d.Entries(ctx, state.Filter{Kinds: []ledger.Kind{ledger.KindImport}}) {
		if err != nil {
			return nil, err
		}
		if e.Import.Reseals == p.imported && e.Import.Resource == doc.Resource {
			p.imported = e.Seq
		}
	}
	return p, nil
}

// entry reads an entry.
func (d *Domain) entry(ctx context.Context, seq int64) (*ledger.Entry, error) {
	raw, _, err := d.store.Record(ctx, seq)
	if err != nil {
		return nil, err
	}
	return ledger.Decode(raw)
}

// openImport opens an import, which has to be the file that was logged.
func (d *Domain) openImport(ctx context.Context, seq int64) (*sealed.Table, *ledger.Import, error) {
	e, err := d.entry(ctx, seq)
	if err != nil {
		return nil, nil, err
	}
	if e.Import == nil {
		return nil, nil, fmt.Errorf("entry %d is no import", seq)
	}
	path := sealedPath(d.dir, e.Import.Resource, e.Import.Version)
	sum, err := sealed.Digest(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s is gone (entry %d): restore it, or import again", path, seq)
	}
	if err != nil {
		return nil, nil, err
	}
	if e.Import.Digest != sum {
		return nil, nil, fmt.Errorf("%s is not the file that was imported (entry %d): restore it, or import again", path, seq)
	}
	table, err := sealed.Open(ctx, d.ring, path, e.Import.Resource, e.Import.Version)
	return table, e.Import, err
}

func (d *Domain) publish(ctx context.Context, p *publication, table *sealed.Table, o PublishOptions) (*Published, error) {
	// A refusal that can be known before the table is made should not come after it.
	_, err := d.changeOr(ctx, true, func(w *admission.World) ([]ledger.Entry, error) { return p.tableEntries(w, nil) })
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", p.product, err)
	}
	path := release.TablePath(filepath.Join(d.dir, tablesDir), p.product, p.spec.Epoch, p.spec.Version)
	descriptor, plan, err := release.BuildTable(ctx, table, d.ring, p.spec, path,
		release.BuildOptions{Workers: d.config.Publish.Workers, Progress: release.Progress(o.Progress)})
	if err != nil {
		return &Published{Plan: plan, Seq: -1}, err
	}
	seqs, err := d.change(ctx, func(w *admission.World) ([]ledger.Entry, error) { return p.tableEntries(w, descriptor) })
	if err != nil {
		return &Published{Plan: plan, Seq: -1}, errors.Join(fmt.Errorf("publishing %s: %w", p.product, err), removeRefused(path, err))
	}
	return &Published{Plan: plan, Descriptor: descriptor, Seq: seqs[len(seqs)-1]}, nil
}

// current says whether the world is still the one that the operand is made in, as
// far as the operand goes.
func (p *publication) current(w *admission.World) error {
	if p.served != 0 {
		if live, ok := w.Live(p.product); !ok || live.Seq != p.served {
			return errors.New("the product was published meanwhile: nothing was changed")
		}
	} else if now, ok := w.Newest(p.product); !ok || now.Digest != p.digest || now.Review != p.review {
		return errors.New("the product's document was changed meanwhile: review and publish it again")
	}
	return nil
}

// tableEntries are the publish entry of a table and, for a new epoch, the key's.
// Without a descriptor they are good for a rehearsal: what is not known yet is
// made up.
func (p *publication) tableEntries(w *admission.World, descriptor *lookup.Descriptor) ([]ledger.Entry, error) {
	if err := p.current(w); err != nil {
		return nil, err
	}
	publish := &ledger.Publish{
		Product: p.product, Epoch: p.spec.Epoch, Version: p.spec.Version,
		Import: p.imported, Review: p.review, Population: 1, Descriptor: []byte("{}"),
	}
	if descriptor == nil {
		return []ledger.Entry{{Kind: ledger.KindPublish, Publish: publish}}, nil
	}
	canonical, err := descriptor.Encode()
	if err != nil {
		return nil, err
	}
	publish.Population, publish.Descriptor = descriptor.Population, canonical
	entry := ledger.Entry{Kind: ledger.KindPublish, Publish: publish}
	if p.spec.Version > 1 {
		return []ledger.Entry{entry}, nil
	}
	key, err := descriptor.OPRF.Key.MarshalText()
	if err != nil {
		return nil, err
	}
	return []ledger.Entry{{Kind: ledger.KindKey, Key: &ledger.Key{
		Action: "create", Purpose: "oprf", Public: "ristretto255:" + string(key),
		ID: strings.TrimPrefix(release.KeyName(p.product, descriptor.Answer, p.spec.Epoch), "oprf/"),
	}}, entry}, nil
}

// removeOrphans removes operands' files that no entry names, and those that are
// not kept any more.
func (d *Domain) removeOrphans(s *world.Snapshot) error {
	dir := filepath.Join(d.dir, tablesDir)
	keep := map[string]bool{}
	for v := range d.kept(s) {
		keep[d.operandPath(v)] = true
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		path := filepath.Join(dir, n.Name())
		if keep[path] || !isOperand(n.Name()) && !isTemp(n.Name()) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing a table that is not served: %w", err)
		}
	}
	return nil
}

// lookupMargin is how long lookups of an epoch are kept after its grace.
const lookupMargin = 24 * time.Hour

// dropLookups forgets the lookups of a product's epochs whose grace is over.
func (d *Domain) dropLookups(ctx context.Context, s *world.Snapshot, product string) error {
	live, ok := s.Version(product, 0, 0)
	if !ok {
		return nil
	}
	now, kept, all := d.clock(), map[int]bool{live.Epoch: true}, map[int]bool{}
	for _, v := range s.Versions(product) {
		all[v.Epoch] = true
		for _, at := range []time.Time{now, now.Add(-lookupMargin)} {
			if _, ok := s.Served(product, v.Epoch, v.Version, at); ok {
				kept[v.Epoch] = true
			}
		}
	}
	for epoch := range all {
		if kept[epoch] {
			continue
		}
		if _, err := d.store.DropLookups(ctx, product, epoch); err != nil {
			return err
		}
	}
	return nil
}

// Versions are a verify product's published versions, oldest first.
func (d *Domain) Versions(ctx context.Context, product string) ([]*lookup.Descriptor, error) {
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	var out []*lookup.Descriptor
	for _, v := range s.Versions(product) {
		if v.Lookup != nil {
			out = append(out, v.Lookup)
		}
	}
	return out, nil
}
