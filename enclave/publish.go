package enclave

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// PublishOptions say how a product is published.
type PublishOptions struct {
	DryRun   bool // read the data, say what would be, make nothing; the reading is logged
	NewEpoch bool // a new key and a new tracking window; the old epoch stays served for its grace
	Progress Progress
}

// Published is what Publish made, or would make.
type Published struct {
	Plan       *release.Plan
	Descriptor *lookup.Descriptor // nil in a dry run
	Seq        int64              // the publish entry; -1 in a dry run
}

// ErrNotReviewed says that nobody has reviewed the document that would be
// published.
var ErrNotReviewed = errors.New("enclave: the product's document is not reviewed: review it first")

// ErrNoData says that nothing was imported for the product's resource.
var ErrNoData = errors.New("enclave: nothing is imported for the product's resource: import it first")

// Publish makes the next version of a product's table from the newest import
// and makes it live: the table file first, then the entry, so that an entry
// always has its file. What the release rule refuses is a
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
	p, err := d.prepare(s, product, o.NewEpoch)
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", product, err)
	}
	table, err := d.openSealed(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", product, err)
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	if o.DryRun {
		plan, err := release.PlanTable(ctx, table, p.spec, release.Progress(o.Progress))
		if err != nil {
			return nil, fmt.Errorf("publishing %s: %w", product, err)
		}
		return &Published{Plan: plan, Seq: -1}, d.access(ctx, "dry-run", product, plan.Rows)
	}
	if err := d.removeOrphans(s); err != nil {
		return nil, fmt.Errorf("publishing %s: %w", product, err)
	}
	return d.publish(ctx, p, table, o)
}

// publication is what is about to be published.
type publication struct {
	product  string
	digest   string // of the product's document
	review   int64
	resource string
	version  int   // of the import
	imported int64 // its entry
	spec     release.Spec
}

// prepare finds what a publication is made of, in the world as it is.
func (d *Domain) prepare(s *world.Snapshot, product string, newEpoch bool) (*publication, error) {
	w := s.World
	revision, ok := w.Newest(product)
	if !ok {
		return nil, fmt.Errorf("%w: product %s", ErrUnknown, product)
	}
	if revision.Review == 0 {
		return nil, ErrNotReviewed
	}
	resource, ok := w.Catalogue().Resource(revision.Doc.Resource)
	if !ok {
		return nil, fmt.Errorf("%w: resource %s", ErrUnknown, revision.Doc.Resource)
	}
	seq, _, version, ok := w.Import(revision.Doc.Resource)
	if !ok {
		return nil, ErrNoData
	}
	p := &publication{
		product: product, digest: revision.Digest, review: revision.Review,
		resource: revision.Doc.Resource, version: version, imported: seq,
		spec: release.Spec{Product: revision.Doc, Document: revision.Digest, Resource: resource.Doc, Epoch: 1, Version: 1},
	}
	if last, ok := s.Version(product, 0, 0); ok {
		p.spec.Epoch, p.spec.Version = last.Epoch+1, 1
		if !newEpoch {
			p.spec.Epoch, p.spec.Version, p.spec.Previous = last.Epoch, last.Version+1, last.Descriptor
		}
	}
	return p, nil
}

// openSealed opens the import, which has to be the file that was logged.
func (d *Domain) openSealed(ctx context.Context, p *publication) (*sealed.Table, error) {
	raw, _, err := d.store.Record(ctx, p.imported)
	if err != nil {
		return nil, err
	}
	e, err := ledger.Decode(raw)
	if err != nil {
		return nil, err
	}
	path := sealedPath(d.dir, p.resource, p.version)
	sum, err := sealed.Digest(ctx, path)
	if err != nil {
		return nil, err
	}
	if e.Import == nil || e.Import.Digest != sum {
		return nil, fmt.Errorf("%s is not the file that was imported (entry %d): restore it, or import again", path, p.imported)
	}
	return sealed.Open(ctx, d.ring, path, p.resource, p.version)
}

func (d *Domain) publish(ctx context.Context, p *publication, table *sealed.Table, o PublishOptions) (*Published, error) {
	// A refusal that can be known before the table is made should not come after it.
	_, err := d.changeOr(ctx, true, func(w *admission.World) ([]ledger.Entry, error) { return p.entries(w, nil) })
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", p.product, err)
	}
	path := release.TablePath(filepath.Join(d.dir, tablesDir), p.product, p.spec.Epoch, p.spec.Version)
	descriptor, plan, err := release.BuildTable(ctx, table, d.ring, p.spec, path,
		release.BuildOptions{Workers: d.config.Publish.Workers, Progress: release.Progress(o.Progress)})
	if err != nil {
		return &Published{Plan: plan, Seq: -1}, err
	}
	seqs, err := d.change(ctx, func(w *admission.World) ([]ledger.Entry, error) { return p.entries(w, descriptor) })
	if err != nil {
		return &Published{Plan: plan, Seq: -1}, errors.Join(fmt.Errorf("publishing %s: %w", p.product, err), removeRefused(path, err))
	}
	return &Published{Plan: plan, Descriptor: descriptor, Seq: seqs[len(seqs)-1]}, nil
}

// entries are the publish entry and, for a new epoch, the key's. The world must
// still be the one that the table is made in, as far as the table goes. Without
// a descriptor they are good for a rehearsal: what is not known yet is made up.
func (p *publication) entries(w *admission.World, descriptor *lookup.Descriptor) ([]ledger.Entry, error) {
	if now, ok := w.Newest(p.product); !ok || now.Digest != p.digest || now.Review != p.review {
		return nil, errors.New("the product's document was changed meanwhile: review and publish it again")
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

// removeOrphans removes table files that no entry names, and those of versions
// that are not served any more.
func (d *Domain) removeOrphans(s *world.Snapshot) error {
	dir := filepath.Join(d.dir, tablesDir)
	keep := map[string]bool{}
	for v := range s.All {
		if _, ok := s.Served(v.Product, v.Epoch, v.Version, d.clock()); ok {
			keep[release.TablePath(dir, v.Product, v.Epoch, v.Version)] = true
		}
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		path := filepath.Join(dir, n.Name())
		if keep[path] || !strings.HasSuffix(n.Name(), ".tbl") && !isTemp(n.Name()) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing a table that is not served: %w", err)
		}
	}
	return nil
}

// Versions are a product's published versions, oldest first.
func (d *Domain) Versions(ctx context.Context, product string) ([]*lookup.Descriptor, error) {
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	var out []*lookup.Descriptor
	for _, v := range s.Versions(product) {
		out = append(out, v.Descriptor)
	}
	return out, nil
}
