package enclave

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Progress is told how far a stage of a verb has come; total is in the stage's
// own unit. Nil: nobody is told. It may be called from any goroutine.
type Progress func(stage string, done, total int64)

// Imported is what an import did, or found.
type Imported struct {
	Seq    int64          // the import entry
	Report *sealed.Report // counts of every column, and the faults where there are some
	Entry  *ledger.Import
}

func sealedPath(dir, resource string, version int) string {
	return filepath.Join(dir, sealedDir, fmt.Sprintf("%s-%d.parquet", resource, version))
}

// Import checks a CSV file against a resource's schema and seals it as the
// resource's next version. Data with faults is refused with a
// *sealed.FaultsError; Imported has the report then too. Nothing is published
// by it.
func (d *Domain) Import(ctx context.Context, resource, path string, progress Progress) (_ *Imported, err error) {
	release, err := d.tryLock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	w, err := d.World(ctx)
	if err != nil {
		return nil, err
	}
	held, ok := w.Catalogue().Resource(resource)
	if !ok {
		return nil, fmt.Errorf("%w: resource %s", ErrUnknown, resource)
	}
	for _, c := range held.Doc.Columns {
		if seq, gone := w.Shredded(resource, c.Name); gone {
			return nil, fmt.Errorf("%w: column %s of %s, entry %d: take it out of the resource's manifest", ErrShredded, c.Name, resource, seq)
		}
	}
	_, _, version, _ := w.Import(resource)
	version++
	file := sealedPath(d.dir, resource, version)
	if err := removeUnlogged(file); err != nil {
		return nil, err
	}
	entry, report, err := d.seal(ctx, path, file, held.Doc, version, progress)
	if err != nil {
		return &Imported{Report: report}, err
	}
	seq, err := d.logImport(ctx, entry, held)
	if err != nil {
		return &Imported{Report: report}, errors.Join(err, removeRefused(file, err))
	}
	return &Imported{Seq: seq, Report: report, Entry: entry}, nil
}

func (d *Domain) seal(ctx context.Context, path, file string, resource *vocabulary.Resource, version int, progress Progress) (*ledger.Import, *sealed.Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("importing %s: %w", resource.ID, err)
	}
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	var told sealed.Progress
	if progress != nil {
		told = func(pass sealed.Pass, bytes int64) { progress(string(pass), bytes, info.Size()) }
	}
	entry, report, err := sealed.ImportCSV(ctx, d.ring, open, file, resource, version, told)
	if err != nil {
		return nil, report, fmt.Errorf("importing %s into %s: %w", path, resource.ID, err)
	}
	return entry, report, nil
}

// logImport logs what was sealed, if the resource is still what it was sealed
// as.
func (d *Domain) logImport(ctx context.Context, entry *ledger.Import, held vocabulary.Held[*vocabulary.Resource]) (int64, error) {
	seqs, err := d.change(ctx, func(w *admission.World) ([]ledger.Entry, error) {
		if now, ok := w.Catalogue().Resource(entry.Resource); !ok || now.Digest != held.Digest {
			return nil, fmt.Errorf("importing %s: its manifest was changed meanwhile: import again", entry.Resource)
		}
		return []ledger.Entry{{Kind: ledger.KindImport, Import: entry}}, nil
	})
	if err != nil {
		return 0, err
	}
	return seqs[0], nil
}

// removeRefused removes a file whose entry was refused. Where it is not known
// whether the entry was logged, the file stays: an entry must have its file,
// and one that nobody names is removed by the next verb.
func removeRefused(path string, refusal error) error {
	if errors.Is(refusal, state.ErrUnconfirmed) {
		return nil
	}
	return removeUnlogged(path)
}

// removeUnlogged removes a file that no entry names, and the keys beside it:
// what an interrupted verb left in the place of the next version.
func removeUnlogged(path string) error {
	for _, name := range []string{path, sealed.KeysPath(path)} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing what an interrupted verb left: %w", err)
		}
	}
	return nil
}

// isTemp says whether a file's name is one that is not finished.
func isTemp(name string) bool {
	return strings.HasPrefix(name, tempPrefix) || strings.HasSuffix(name, ".tmp")
}
