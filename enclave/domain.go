package enclave

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// Options of Open. The zero value is right outside tests.
type Options struct {
	Clock  func() time.Time   // default time.Now
	Log    *slog.Logger       // of the gateway: what no caller is told; default nowhere
	TestAt func(point string) // see state.Config; tests only
}

// Domain is an open domain. Its methods may be called concurrently.
type Domain struct {
	dir     string
	config  *Config
	clock   func() time.Time
	log     *slog.Logger
	ring    keyring.Keyring
	store   *state.Store
	world   *world.Follower
	logKeys *logKeys // of checkpoints; the store signs with them
	ca      []byte   // PEM
	vkey    string   // of the log's first key
	server  serverCertificate
}

// ErrMoved says that another process changed the domain at the same time:
// nothing was changed by this one. Try again.
var ErrMoved = errors.New("enclave: another process changed the domain meanwhile: nothing was changed, try again")

// Open opens a domain. Whoever opens it closes it.
func Open(ctx context.Context, dir string, unlock keyring.Unlock, o Options) (_ *Domain, err error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	config, err := readConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(dir, markerFile)); err == nil {
			return nil, fmt.Errorf("%w: %s: run init again", ErrIncomplete, dir)
		}
		if _, err := os.Lstat(filepath.Join(dir, restoreMarker)); err == nil {
			return nil, fmt.Errorf("%w: %s: restore it again", ErrIncomplete, dir)
		}
		return nil, fmt.Errorf("%w: %s has no %s", ErrNoDomain, dir, ConfigFile)
	}
	if err != nil {
		return nil, err
	}
	ring, err := openRing(ctx, dir, config.Keyring, unlock, o.Clock)
	if err != nil {
		return nil, err
	}
	d := &Domain{dir: dir, config: config, clock: o.Clock, log: o.Log, ring: ring}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	d.logKeys = newLogKeys(config.Origin, ring)
	if d.ca, err = ring.Root(ctx); err != nil {
		return nil, err
	}
	if d.store, err = openStore(ctx, dir, ring, d.logKeys, config, o, state.Open); err != nil {
		return nil, err
	}
	if d.vkey, err = d.firstVKey(ctx); err != nil {
		return nil, err
	}
	d.world = world.NewFollower(d.store)
	return d, d.tidy(ctx)
}

// openStore opens or creates the domain's database.
func openStore(ctx context.Context, dir string, ring keyring.Keyring, keys *logKeys, c *Config, o Options,
	open func(context.Context, state.Config) (*state.Store, error)) (*state.Store, error) {
	store, err := open(ctx, state.Config{DSN: databaseIn(dir, c.Database), Origin: c.Origin, Signers: keys.signer, Marks: ring, Clock: o.Clock, TestAt: o.TestAt})
	if err != nil {
		return nil, fmt.Errorf("opening the domain's database: %w", err)
	}
	return store, nil
}

// Close closes the domain and clears its keys.
func (d *Domain) Close() error {
	var err error
	if d.store != nil {
		err = d.store.Close()
	}
	if d.logKeys != nil {
		d.logKeys.clear()
	}
	return errors.Join(err, d.ring.Close())
}

// tidy removes what interrupted verbs left, unless a verb is running.
func (d *Domain) tidy(ctx context.Context) error {
	release, err := d.tryLock()
	if errors.Is(err, ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	// An Init that died after its last act but one.
	if err := os.Remove(filepath.Join(d.dir, markerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, release())
	}
	if err := d.completeRestore(ctx); err != nil {
		return errors.Join(fmt.Errorf("completing the restore: %w", err), release())
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(d.dir, stageDir)), os.RemoveAll(filepath.Join(d.dir, restoreMarker))); err != nil {
		return errors.Join(fmt.Errorf("removing what an interrupted restore left: %w", err), release())
	}
	for _, name := range []string{".", certsDir, sealedDir, tablesDir} {
		if err := removeTemps(filepath.Join(d.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fmt.Errorf("removing what an interrupted verb left: %w", err), release())
		}
	}
	return release()
}

// lockFile is held by verbs that write files, so that one process at a time
// does and a file that nobody holds is known to be left over.
const lockFile = "lock"

// ErrBusy says that another process is writing the domain's files.
var ErrBusy = errors.New("enclave: another process is importing, publishing, rotating or shredding: try again when it has finished")

func (d *Domain) tryLock() (release func() error, err error) {
	lock := flock.New(filepath.Join(d.dir, lockFile), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the domain: %w", err)
	}
	if !ok {
		return nil, ErrBusy
	}
	return lock.Unlock, nil
}

// InspectDatabase says how the database is set up otherwise than it should be.
func (d *Domain) InspectDatabase(ctx context.Context) ([]state.Advice, error) {
	return d.store.Inspect(ctx)
}

// Dir is the domain's folder.
func (d *Domain) Dir() string { return d.dir }

// Config is the domain's configuration. Do not change it.
func (d *Domain) Config() *Config { return d.config }

// Origin is the log's name.
func (d *Domain) Origin() string { return d.config.Origin }

// CA is the certificate of the domain's authority, PEM.
func (d *Domain) CA() []byte { return d.ca }

// World is what the ledger says now. Do not change it.
func (d *Domain) World(ctx context.Context) (*admission.World, error) {
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return s.World, nil
}

// Keys are the keys that the log's first entry pins.
func (d *Domain) Keys(ctx context.Context) (admission.Genesis, error) {
	w, err := d.World(ctx)
	if err != nil {
		return admission.Genesis{}, err
	}
	return w.Keys(), nil
}

// operatorURI names the operator in entries.
func (d *Domain) operatorURI() string { return operatorOf(d.config).URI() }

// Now is the domain's time.
func (d *Domain) Now() time.Time { return d.clock() }

// tries is how often a change is prepared anew because another process changed
// the domain in between.
const tries = 4

// change logs the entries that prepare makes for the world as it is, all or
// none. prepare may be called again, with a newer world.
func (d *Domain) change(ctx context.Context, prepare func(w *admission.World) ([]ledger.Entry, error)) ([]int64, error) {
	return d.changeOr(ctx, false, prepare)
}

// changeOr is change, or with dryRun all of it but the logging.
func (d *Domain) changeOr(ctx context.Context, dryRun bool, prepare func(w *admission.World) ([]ledger.Entry, error)) ([]int64, error) {
	for try := 1; ; try++ {
		s, err := d.world.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		entries, err := prepare(s.World)
		if err != nil || len(entries) == 0 {
			return nil, err
		}
		for i := range entries {
			entries[i].V, entries[i].Actor = ledger.Version, d.operatorURI()
		}
		if _, err := s.World.Rehearse(d.clock(), entries...); err != nil || dryRun {
			return nil, err
		}
		seqs, err := d.append(ctx, s.Seq, entries)
		if !errors.Is(err, ErrMoved) || try == tries {
			return seqs, err
		}
	}
}

// append appends entries, provided that no control entry followed seq.
func (d *Domain) append(ctx context.Context, seq int64, entries []ledger.Entry) ([]int64, error) {
	var seqs []int64
	_, err := d.store.Update(ctx, func(tx *state.Tx) error {
		if tx.ControlSeq() != seq {
			return ErrMoved
		}
		seqs = seqs[:0]
		for _, e := range entries {
			n, err := tx.Append(e)
			if err != nil {
				return err
			}
			seqs = append(seqs, n)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("logging the change: %w", err)
	}
	return seqs, nil
}

// access logs an act of the operator's own on data.
func (d *Domain) access(ctx context.Context, action, object string, count int64) error {
	_, err := d.store.Update(ctx, func(tx *state.Tx) error {
		_, err := tx.Append(ledger.Entry{V: ledger.Version, Kind: ledger.KindAccess, Actor: d.operatorURI(),
			Access: &ledger.Access{Action: action, Object: object, Count: count}})
		return err
	})
	if err != nil {
		return fmt.Errorf("logging the access: %w", err)
	}
	return nil
}

// Gateway opens the domain to enterprises. It logs that their keys were
// unlocked. Close it before the domain.
func (d *Domain) Gateway(ctx context.Context) (*gateway.Gateway, error) {
	if err := d.access(ctx, "unlock", "gateway", 1); err != nil {
		return nil, err
	}
	l := d.config.Limits
	return gateway.New(ctx, gateway.Config{
		Store: d.store, World: d.world, Keyring: d.ring, Tables: filepath.Join(d.dir, tablesDir), Uploads: filepath.Join(d.dir, uploadsDir),
		Origin: d.config.Origin, Server: serverOf(d.config).URI(), Clock: d.clock, Log: d.log,
		Kernels: l.Kernels, Queue: l.Queue, PerEnterprise: l.PerEnterprise,
		QueriesPerCall: l.QueriesPerCall, DenialsPerMinute: l.DenialsPerMinute,
		UploadBytesPerEnterprise: l.UploadBytesPerEnterprise, UploadBytes: l.UploadBytes, UploadKeep: time.Duration(l.UploadKeep),
	})
}
