package enclave

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// keyWrap is the kind of wrapping keys in entries: wrap, wrap/2, ….
const keyWrap = "wrap"

// Rewrapped is what RotateWrapping did.
type Rewrapped struct {
	Seq       int64 // the key entry
	Version   int   // of the wrapping key that is the newest now
	Keys      int   // data keys that were wrapped anew
	Destroyed int   // wrapping keys
}

// RotateWrapping makes a new wrapping key and wraps every data key under it. The
// sealed files stay as they are. The wrapping keys before are kept, so that
// copies of the old wrapped keys still open; with destroyOld they are destroyed,
// and such copies open nothing any more, in backups neither, except by a copy of
// the keyring that holds the old key.
//
// Interrupted, it is taken up where it stood by being called again.
func (d *Domain) RotateWrapping(ctx context.Context, destroyOld bool) (_ *Rewrapped, err error) {
	free, err := d.tryLock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	r := new(Rewrapped)
	if r.Version, err = d.newWrapping(ctx, s); err == nil {
		r.Keys, err = d.rewrapAll(ctx, s)
	}
	if err != nil {
		return nil, fmt.Errorf("rotating the wrapping key: %w", err)
	}
	seqs, err := d.change(ctx, func(*admission.World) ([]ledger.Entry, error) {
		return wrappingEntries(s, r.Version, destroyOld), nil
	})
	if err != nil {
		return nil, fmt.Errorf("rotating the wrapping key: %w", err)
	}
	r.Seq = seqs[0]
	if destroyOld {
		if r.Destroyed, err = d.ring.DestroyWrapping(ctx); err != nil {
			return r, fmt.Errorf("destroying the wrapping keys before: %w: repeat the command", err)
		}
	}
	return r, nil
}

// wrappingEntries put a wrapping key in force, and retire all before it.
func wrappingEntries(s *world.Snapshot, version int, retire bool) []ledger.Entry {
	entries := []ledger.Entry{{Kind: ledger.KindKey, Key: &ledger.Key{Action: "rotate", Purpose: "wrap", ID: wrapID(version)}}}
	if retire {
		last := max(1, min(numberOf(keyWrap, s.InForce(keyWrap)), version-1))
		entries = append(entries, ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{Action: "retire", Purpose: "wrap", ID: wrapID(last)}})
	}
	return entries
}

func wrapID(version int) string {
	if version == 1 {
		return keyWrap
	}
	return keyWrap + "/" + strconv.Itoa(version)
}

// newWrapping makes a wrapping key, or takes the one that an interrupted
// rotation made: one that is newer than what the log says is in force.
func (d *Domain) newWrapping(ctx context.Context, s *world.Snapshot) (int, error) {
	probe, err := d.ring.Wrap(ctx, "yingbi/rotate", make([]byte, 32)) // asks which key is the newest, and is thrown away
	if err != nil {
		return 0, err
	}
	_, newest, err := d.ring.Wrapping(ctx, probe)
	if err != nil {
		return 0, err
	}
	if newest > max(1, numberOf(keyWrap, s.InForce(keyWrap))) {
		return newest, nil
	}
	return d.ring.RotateWrapping(ctx)
}

// rewrapAll wraps the data keys of every sealed version under the newest
// wrapping key.
func (d *Domain) rewrapAll(ctx context.Context, s *world.Snapshot) (keys int, err error) {
	for _, held := range s.World.Catalogue().Resources() {
		err := d.eachVersion(s.World, held.Doc.ID, func(path string, version int) error {
			n, err := sealed.Rewrap(ctx, d.ring, path, held.Doc.ID, version)
			keys += n
			return err
		})
		if err != nil {
			return keys, err
		}
	}
	return keys, nil
}

// eachVersion visits the sealed versions of a resource that are there, the
// oldest first. An older one may have been removed; the newest has to be there.
func (d *Domain) eachVersion(w *admission.World, resource string, visit func(path string, version int) error) error {
	_, _, newest, _ := w.Import(resource)
	for version := 1; version <= newest; version++ {
		path := sealedPath(d.dir, resource, version)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && version < newest {
			continue
		} else if err != nil {
			return fmt.Errorf("the newest data of %s: %w: restore it first", resource, err)
		}
		if err := visit(path, version); err != nil {
			return err
		}
	}
	return nil
}

// RotateColumns seals a resource's newest data anew, under fresh data keys for
// every column, as the resource's next version, and logs that as an import that
// says which one it seals anew. The version before is removed with its keys as
// soon as the entry is logged: as long as it lay there, its old keys would open
// the same data. What is published stays; the next publication is made of the
// new version.
func (d *Domain) RotateColumns(ctx context.Context, resource string, progress Progress) (_ *Imported, err error) {
	free, err := d.tryLock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	w, err := d.World(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := w.Catalogue().Resource(resource); !ok {
		return nil, fmt.Errorf("%w: resource %s", ErrUnknown, resource)
	}
	seq, _, version, ok := w.Import(resource)
	if !ok {
		return nil, fmt.Errorf("sealing %s anew: %w", resource, ErrNoData)
	}
	file := sealedPath(d.dir, resource, version+1)
	if err := removeUnlogged(file); err != nil {
		return nil, err
	}
	entry, err := d.reseal(ctx, seq, file, progress)
	if err != nil {
		return nil, fmt.Errorf("sealing %s anew: %w", resource, err)
	}
	seqs, err := d.change(ctx, func(w *admission.World) ([]ledger.Entry, error) {
		if now, _, _, _ := w.Import(resource); now != seq {
			return nil, fmt.Errorf("sealing %s anew: it was imported meanwhile: nothing is to be sealed anew", resource)
		}
		return []ledger.Entry{{Kind: ledger.KindImport, Import: entry}}, nil
	})
	if err != nil {
		return nil, errors.Join(err, removeRefused(file, err))
	}
	return &Imported{Seq: seqs[0], Entry: entry}, d.removeResealed(ctx, resource)
}

// reseal seals an import anew at path and gives the entry of it.
func (d *Domain) reseal(ctx context.Context, seq int64, path string, progress Progress) (*ledger.Import, error) {
	table, old, err := d.openImport(ctx, seq)
	if err != nil {
		return nil, err
	}
	var told func(done, total int64)
	if progress != nil {
		told = func(done, total int64) { progress("reseal", done, total) }
	}
	s, err := sealed.Reseal(ctx, table, path, old.Version+1, told)
	if err := errors.Join(err, table.Close()); err != nil {
		return nil, err
	}
	entry := &ledger.Import{Resource: old.Resource, Version: old.Version + 1, Rows: s.Rows, Digest: s.Digest, Reseals: seq}
	for _, c := range old.Columns {
		if slices.ContainsFunc(table.Columns(), func(k sealed.ColumnInfo) bool { return k.Name == c.Name && !k.Shredded }) {
			entry.Columns = append(entry.Columns, c)
		}
	}
	return entry, nil
}

// removeResealed removes the versions that a later one seals anew: their data is
// in that one.
func (d *Domain) removeResealed(ctx context.Context, resource string) error {
	versions := map[int64]int{}
	for e, err := range d.Entries(ctx, state.Filter{Kinds: []ledger.Kind{ledger.KindImport}}) {
		if err != nil {
			return err
		}
		if e.Import.Resource != resource {
			continue
		}
		versions[e.Seq] = e.Import.Version
		if e.Import.Reseals == 0 {
			continue
		}
		if err := removeUnlogged(sealedPath(d.dir, resource, versions[e.Import.Reseals])); err != nil {
			return err
		}
	}
	return nil
}

// RotatedOPRF is a product's new epoch beside the one before.
type RotatedOPRF struct {
	*Published
	Before int       // the epoch that ends
	Until  time.Time // when it does; zero: it was over already
}

// RotateOPRF publishes the document and the data that a product is served from
// again, under a fresh key: as the next epoch. The epoch before stays served for
// the grace that its document promised, and its key is kept until RetireKeys or a
// shred.
func (d *Domain) RotateOPRF(ctx context.Context, product string, progress Progress) (*RotatedOPRF, error) {
	p, err := d.Publish(ctx, product, PublishOptions{NewEpoch: true, again: true, Progress: progress})
	if err != nil {
		return nil, err
	}
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	r := &RotatedOPRF{Published: p, Before: p.Descriptor.Epoch - 1}
	if _, served := s.World.Served(product, r.Before, d.clock()); served {
		live, _ := s.World.Live(product)
		doc, _, _ := s.World.Product(product) // the one that the epoch before was published under too
		r.Until = live.At.Add(doc.Grace())
	}
	return r, nil
}

// RetiredKey is an epoch whose key was destroyed.
type RetiredKey struct {
	Product string
	Epoch   int
	Seq     int64 // the key entry
}

// RetireKeys destroys the keys of a product's epochs whose grace has ended, of
// all products where product is empty. What was settled in them cannot be
// computed again from then on: a retry is told EPOCH_ENDED, and the job may be
// renewed for free, once, as before. With dryRun it says which keys those are.
//
// A retirement that was interrupted between its entry and the key's end is
// finished by calling it again.
func (d *Domain) RetireKeys(ctx context.Context, product string, dryRun bool) ([]RetiredKey, error) {
	var out []RetiredKey
	seqs, err := d.changeOr(ctx, dryRun, func(w *admission.World) ([]ledger.Entry, error) {
		out = nil
		var entries []ledger.Entry
		s, err := d.world.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		if _, known := w.Newest(product); product != "" && !known {
			return nil, fmt.Errorf("%w: product %s", ErrUnknown, product)
		}
		for v := range epochsOf(s, product) {
			_, gone := w.KeyGone(v.Product, v.Epoch)
			if _, served := w.Served(v.Product, v.Epoch, d.clock()); gone || served {
				continue
			}
			out = append(out, RetiredKey{Product: v.Product, Epoch: v.Epoch, Seq: -1})
			entries = append(entries, ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{Action: "retire", Purpose: "oprf",
				ID: strings.TrimPrefix(release.KeyName(v.Product, v.Lookup.Answer, v.Epoch), "oprf/")}})
		}
		return entries, nil
	})
	if err != nil {
		return nil, fmt.Errorf("retiring keys: %w", err)
	}
	for i, seq := range seqs {
		out[i].Seq = seq
	}
	if dryRun {
		return out, nil
	}
	return out, d.destroyGone(ctx)
}

// epochsOf yields the newest version of every epoch of a product, or of all, that
// has a key: released cells have none.
func epochsOf(s *world.Snapshot, product string) func(yield func(world.Version) bool) {
	return func(yield func(world.Version) bool) {
		for _, held := range s.World.Catalogue().Products() {
			if product != "" && held.Doc.ID != product {
				continue
			}
			for epoch := 1; ; epoch++ {
				v, ok := s.Version(held.Doc.ID, epoch, 0)
				if !ok {
					break
				}
				if v.Lookup != nil && !yield(v) {
					return
				}
			}
		}
	}
}

// destroyGone destroys the keys of epochs that the log says are gone and that
// are still kept.
func (d *Domain) destroyGone(ctx context.Context) error {
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return err
	}
	names, err := d.ring.SecretNames(ctx)
	if err != nil {
		return err
	}
	for v := range epochsOf(s, "") {
		name := release.KeyName(v.Product, v.Lookup.Answer, v.Epoch)
		if _, gone := s.World.KeyGone(v.Product, v.Epoch); !gone || !slices.Contains(names, name) {
			continue
		}
		if err := d.ring.DestroySecret(ctx, name); err != nil && !errors.Is(err, keyring.ErrNotFound) {
			return fmt.Errorf("destroying the key of %s epoch %d: %w: repeat the command", v.Product, v.Epoch, err)
		}
	}
	return nil
}
