package enclave

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// ErrMixes says that a publication would end the statement of differential
// privacy of a resource.
var ErrMixes = errors.New("enclave: cells were published over the resource under the other regime, " +
	"and with both no statement of differential privacy holds for it: publish with mixing allowed if that is meant")

// ErrBudget says that a privacy budget has too little left.
var ErrBudget = errors.New("enclave: the resource's privacy budget has too little left")

// errNoKey refuses to rotate what is not there.
var errNoKey = errors.New("enclave: released cells have no key: publish the product again for fresh ones")

// publishCells publishes an aggregate product. Nothing is spent and nothing kept
// unless the publish entry is logged.
func (d *Domain) publishCells(ctx context.Context, s *world.Snapshot, p *publication, table *sealed.Table, o PublishOptions) (*Published, error) {
	doc := p.spec.Product
	done := &Published{Seq: -1, Mixes: mixes(s, doc)}
	if life, period, ok := s.World.Budget(doc.Resource, d.clock()); ok && doc.Aggregate.Privacy != nil {
		done.Budget = []admission.BudgetUse{life, period}
	} else if doc.Aggregate.Disclosure != nil {
		p.spec.Earlier = d.earlier(s, p.imported)
	}
	options := release.BuildOptions{Workers: d.config.Publish.Workers, Progress: release.Progress(o.Progress)}
	if o.DryRun {
		var err error
		if done.CellsPlan, err = release.PlanCells(ctx, table, p.spec, options); err != nil {
			return nil, errors.Join(fmt.Errorf("publishing %s: %w", p.product, err), d.access(ctx, "dry-run", p.product, table.Rows()))
		}
		return done, d.access(ctx, "dry-run", p.product, table.Rows())
	}
	if err := d.permitted(ctx, p, done, o); err != nil {
		return done, fmt.Errorf("publishing %s: %w", p.product, err)
	}
	if err := d.removeOrphans(s); err != nil {
		return done, fmt.Errorf("publishing %s: %w", p.product, err)
	}
	path := release.CellsPath(filepath.Join(d.dir, tablesDir), p.product, p.spec.Epoch, p.spec.Version)
	descriptor, plan, err := release.BuildCells(ctx, table, d.ring, p.spec, path, options)
	done.CellsPlan = plan
	if err != nil {
		return done, fmt.Errorf("publishing %s: %w", p.product, err)
	}
	seqs, err := d.change(ctx, func(w *admission.World) ([]ledger.Entry, error) { return p.cellsEntries(w, descriptor, d.clock()) })
	if err != nil {
		return done, errors.Join(fmt.Errorf("publishing %s: %w", p.product, err), removeRefused(path, err))
	}
	done.Cells, done.Seq = descriptor, seqs[len(seqs)-1]
	return done, nil
}

// permitted refuses what is known to be refused before a row is read.
func (d *Domain) permitted(ctx context.Context, p *publication, done *Published, o PublishOptions) error {
	if done.Mixes && !o.Mix {
		return fmt.Errorf("%w (resource %s)", ErrMixes, p.spec.Resource.ID)
	}
	for _, use := range done.Budget {
		if rho := p.spec.Product.Aggregate.Privacy.Rho; rho > use.Left() {
			return fmt.Errorf("%w: the product spends %d millionths of rho, %d are left of %d in %s", ErrBudget, rho, use.Left(), use.Limit, use.Window)
		}
	}
	_, err := d.changeOr(ctx, true, func(w *admission.World) ([]ledger.Entry, error) { return p.cellsEntries(w, nil, d.clock()) })
	return err
}

// mixes says whether a product would be the first of its regime over a resource
// that has cells under the other.
func mixes(s *world.Snapshot, doc *vocabulary.Product) bool {
	published := map[string]bool{}
	for v := range s.All {
		if v.Cells != nil && v.Doc.Resource == doc.Resource {
			published[v.Cells.Regime] = true
		}
	}
	regime := doc.Aggregate.Regime()
	return len(published) == 1 && !published[regime]
}

// earlier are the publications over an import's data that new cells under
// disclosure control are checked against.
func (d *Domain) earlier(s *world.Snapshot, imported int64) []release.Earlier {
	var out []release.Earlier
	for _, v := range s.Told(imported) {
		out = append(out, release.Earlier{Product: v.Doc, Descriptor: v.Cells, Path: d.operandPath(v)})
	}
	return out
}

// cellsEntries are the publish entry of cells and, right before it, what it spends
// of a privacy budget. Without a descriptor they are good for a rehearsal.
func (p *publication) cellsEntries(w *admission.World, descriptor *cells.Descriptor, at time.Time) ([]ledger.Entry, error) {
	if err := p.current(w); err != nil {
		return nil, err
	}
	var entries []ledger.Entry
	for _, spend := range w.Spends(p.spec.Product, at) {
		entries = append(entries, ledger.Entry{Kind: ledger.KindBudget, Budget: spend})
	}
	publish := &ledger.Publish{
		Product: p.product, Epoch: p.spec.Epoch, Version: p.spec.Version, Import: p.imported, Review: p.review,
		Population: 1, Descriptor: []byte("{}"), Regime: p.spec.Product.Aggregate.Regime(),
	}
	if pr := p.spec.Product.Aggregate.Privacy; pr != nil {
		publish.Rho = pr.Rho
	}
	if descriptor != nil {
		canonical, err := descriptor.Encode()
		if err != nil {
			return nil, err
		}
		publish.Population, publish.Descriptor = int64(descriptor.Cells), canonical
	}
	return append(entries, ledger.Entry{Kind: ledger.KindPublish, Publish: publish}), nil
}
