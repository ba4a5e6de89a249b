package enclave

import (
	"context"
	"path/filepath"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// WrapRing puts something before the domain's keyring.
func (d *Domain) WrapRing(wrap func(keyring.Keyring) keyring.Keyring) { d.ring = wrap(d.ring) }

// PublishTable publishes cells that a test made up, for the newest document and
// import of their product's: what serves them is tested apart from what makes
// them.
func (d *Domain) PublishTable(ctx context.Context, descriptor *cells.Descriptor, table *cells.Table) error {
	w, err := d.World(ctx)
	if err != nil {
		return err
	}
	doc, _, _ := w.Product(descriptor.Product)
	newest, _ := w.Newest(descriptor.Product)
	imported, _, _, _ := w.Import(doc.Resource)
	descriptor.Document = newest.Digest
	path := release.CellsPath(filepath.Join(d.dir, tablesDir), descriptor.Product, descriptor.Epoch, descriptor.Version)
	if descriptor.Digest, err = table.WriteFile(path); err != nil {
		return err
	}
	canonical, err := descriptor.Encode()
	if err != nil {
		return err
	}
	_, err = d.change(ctx, func(*admission.World) ([]ledger.Entry, error) {
		return []ledger.Entry{{Kind: ledger.KindPublish, Publish: &ledger.Publish{
			Product: descriptor.Product, Epoch: descriptor.Epoch, Version: descriptor.Version, Import: imported, Review: newest.Review,
			Population: int64(descriptor.Cells), Descriptor: canonical, Regime: descriptor.Regime,
		}}}, nil
	})
	return err
}
