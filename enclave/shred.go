package enclave

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// ErrShredded says that a column is needed that was shredded.
var ErrShredded = errors.New("enclave: a column that is needed was shredded")

// ShredOptions say how something is shredded.
type ShredOptions struct {
	DryRun bool // say what would be destroyed and what stands against it
}

// Shredding is what a shred destroyed, or would.
type Shredding struct {
	Seq       int64            // the shred entry; -1 in a dry run
	Repeated  bool             // it was logged before; what was left to do is done
	Keys      int              // data keys or OPRF keys
	Rewrapped int              // other data keys that were wrapped anew
	Wrapping  int              // wrapping keys destroyed, so that copies of wrapped keys open nothing
	Epochs    []admission.Live // epochs that were made of the column: what they released is in their tables still
	Keyrings  []string         // of before a migration, in the domain's folder: they may hold what was shredded
}

// ShredColumn destroys the data keys of a resource's column in every sealed
// version, for good. It is refused while a published product reads the column:
// suspend or withdraw that first. Epochs that were made of the column are over
// from then on; their keys and tables go with ShredEpoch. The wrapping key is
// rotated and those before it are destroyed, so that stray copies of the wrapped
// keys open nothing. A backup made before holds the sealed data with its keys,
// for whoever can open the backup and its keyring; so may a keyring that a
// migration left (Shredding.Keyrings).
//
// The entry comes first and the keys go right after it: interrupted in between,
// the column is already read by nothing, and the same call finishes the rest.
func (d *Domain) ShredColumn(ctx context.Context, resource, column string, o ShredOptions) (_ *Shredding, err error) {
	free, err := d.tryLock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	doing := "shredding column " + column + " of " + resource
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := s.World.Catalogue().Resource(resource); !ok {
		return nil, fmt.Errorf("%w: resource %s", ErrUnknown, resource)
	}
	r := &Shredding{Seq: -1}
	if seq, ok := s.World.Shredded(resource, column); ok {
		r.Seq, r.Repeated = seq, true
	}
	if r.Keys, err = d.keysOf(ctx, s.World, resource, column); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	r.Epochs = s.World.MadeOf(resource, column)
	if r.Keyrings, err = d.leftKeyrings(); err != nil {
		return nil, err
	}
	if r.Keys > 0 || !r.Repeated {
		if err := d.logShredColumn(ctx, s, r, resource, column, o.DryRun); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
	}
	if o.DryRun {
		return r, nil
	}
	if err := d.finishShred(ctx, s, r, resource, column); err != nil {
		return r, fmt.Errorf("%s: it is logged, entry %d; destroying its keys: %w: repeat the command", doing, r.Seq, err)
	}
	return r, d.removeOrphansNow(ctx)
}

// keysOf counts the sealed versions that have a column's key still.
func (d *Domain) keysOf(ctx context.Context, w *admission.World, resource, column string) (keys int, err error) {
	err = d.eachVersion(w, resource, func(path string, version int) error {
		t, err := sealed.Open(ctx, d.ring, path, resource, version)
		if err != nil {
			return err
		}
		for _, c := range t.Columns() {
			if c.Name == column && !c.Shredded {
				keys++
			}
		}
		return t.Close()
	})
	return keys, err
}

// logShredColumn logs the shred, unless that was done, together with the wrapping
// key that replaces those that its keys are under: always a fresh one. Under what
// an interrupted rotation left, or what wrapped since an interrupted shred, the
// column's keys may have been wrapped too.
func (d *Domain) logShredColumn(ctx context.Context, s *world.Snapshot, r *Shredding, resource, column string, dryRun bool) error {
	var entries []ledger.Entry
	if !r.Repeated {
		if r.Keys == 0 {
			return fmt.Errorf("%w: no sealed version of %s has the column", ErrUnknown, resource)
		}
		entries = []ledger.Entry{{Kind: ledger.KindShred, Shred: &ledger.Shred{Object: ledger.ColumnObject(resource, column), Keys: r.Keys}}}
		// A refusal comes before a wrapping key is made.
		rehearse := func(*admission.World) ([]ledger.Entry, error) { return entries, nil }
		if _, err := d.changeOr(ctx, true, rehearse); err != nil {
			return err
		}
	}
	if dryRun {
		return nil
	}
	wrapping, err := d.ring.RotateWrapping(ctx)
	if err != nil {
		return err
	}
	seqs, err := d.change(ctx, func(*admission.World) ([]ledger.Entry, error) {
		return slices.Concat(entries, wrappingEntries(s, wrapping, true)), nil
	})
	if err == nil && !r.Repeated {
		r.Seq = seqs[0]
	}
	return err
}

// finishShred destroys what a logged shred says is destroyed. What is done
// already it leaves.
func (d *Domain) finishShred(ctx context.Context, s *world.Snapshot, r *Shredding, resource, column string) error {
	dropped := 0
	err := d.eachVersion(s.World, resource, func(path string, version int) error {
		was, err := sealed.Shred(ctx, d.ring, path, resource, version, column)
		if was {
			dropped++
		}
		return err
	})
	if err != nil {
		return err
	}
	r.Keys = dropped
	if r.Rewrapped, err = d.rewrapAll(ctx, s); err != nil {
		return err
	}
	r.Wrapping, err = d.ring.DestroyWrapping(ctx)
	return err
}

// ShredEpoch destroys the key of a product's epoch, for good: nobody is served
// from it any more, what was settled in it is not computed again, and its tables,
// which are removed, open to nobody who has not evaluated before. It is refused
// while the epoch is served: publish a new one and let the grace pass, or suspend
// or withdraw the product first. A backup made before holds the key, for whoever
// can open the backup and its keyring; so may a keyring that a migration left.
//
// As with ShredColumn the entry comes first, and the same call finishes what was
// interrupted.
func (d *Domain) ShredEpoch(ctx context.Context, product string, epoch int, o ShredOptions) (_ *Shredding, err error) {
	free, err := d.tryLock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	v, ok := s.Version(product, epoch, 0)
	if !ok || epoch < 1 {
		return nil, fmt.Errorf("%w: epoch %d of product %s", ErrUnknown, epoch, product)
	}
	if v.Cells != nil {
		return nil, fmt.Errorf("shredding epoch %d of %s: %w", epoch, product, errNoKey)
	}
	r := &Shredding{Seq: -1, Keys: 1}
	if r.Keyrings, err = d.leftKeyrings(); err != nil {
		return nil, err
	}
	if r.Seq, r.Repeated = s.World.KeyGone(product, epoch); !r.Repeated {
		r.Seq = -1
		entry := ledger.Entry{Kind: ledger.KindShred, Shred: &ledger.Shred{Object: ledger.EpochObject(product, epoch), Keys: 1}}
		seqs, err := d.changeOr(ctx, o.DryRun, func(*admission.World) ([]ledger.Entry, error) { return []ledger.Entry{entry}, nil })
		if err != nil {
			return nil, fmt.Errorf("shredding epoch %d of %s: %w", epoch, product, err)
		}
		if !o.DryRun {
			r.Seq = seqs[0]
		}
	}
	if o.DryRun {
		return r, nil
	}
	return r, errors.Join(d.destroyGone(ctx), d.removeOrphansNow(ctx))
}

// leftKeyrings are the embedded keyrings that migrations left in the folder.
func (d *Domain) leftKeyrings() ([]string, error) {
	left, err := filepath.Glob(filepath.Join(d.dir, keptDir+"*", keyringFile))
	if err != nil || d.config.Keyring.Kind == KeyringEmbedded {
		return left, err
	}
	path := filepath.Join(d.dir, keyringFile)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return left, nil
	} else if err != nil {
		return nil, err
	}
	return append(left, path), nil
}

// removeOrphansNow removes the tables that are not served any more.
func (d *Domain) removeOrphansNow(ctx context.Context) error {
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return err
	}
	return d.removeOrphans(s)
}
