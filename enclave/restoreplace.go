package enclave

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	"golang.org/x/mod/sumdb/note"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/ledger"
)

// lockMarker locks a marker file, so that the lock goes with the process.
func lockMarker(path, dir string) (free func() error, err error) {
	lock := flock.New(path, flock.SetPermissions(0o600))
	if ok, err := lock.TryLock(); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("%w: another process is restoring into %s", ErrIncomplete, dir), err)
	}
	return lock.Unlock, nil
}

// finish verifies what is in the stage, and puts the database in its place: the
// same log's, or that of another which is begun.
func (r *restore) finish(made *Restored) (err error) {
	if r.o.NewLog != "" {
		made.NewLog, err = r.begin()
		return err
	}
	d, err := Open(r.ctx, r.stage, r.unlock, Options{Clock: r.o.Clock})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	r.at("opened")
	if err := d.verify(r); err != nil {
		return err
	}
	r.at("verified")
	// Logged once the domain is in its place: an entry moves the mark, and with
	// keys in Vault that is the one that the restore would have to begin anew from.
	r.marker.Log = true
	if err := r.mark(); err != nil {
		return err
	}
	return r.transfer(d)
}

// completeRestore does the last act of a restore, where it was not done yet: the
// entry. The caller holds the domain's lock.
func (d *Domain) completeRestore(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(d.dir, restoreMarker))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var note restoreNote
	if json.Unmarshal(text, &note) != nil || !note.Log {
		return nil
	}
	return d.logRestore(ctx)
}

// logRestore logs that the domain was restored, and takes up a log that was
// handed over.
func (d *Domain) logRestore(ctx context.Context) error {
	_, err := d.store.Update(ctx, func(tx *state.Tx) error {
		tx.TakeOver()
		_, err := tx.Append(ledger.Entry{V: ledger.Version, Kind: ledger.KindAccess, Actor: d.operatorURI(),
			Access: &ledger.Access{Action: "restore", Object: "domain", Count: tx.Size()}})
		return err
	})
	if err != nil {
		return fmt.Errorf("logging the restore: %w", err)
	}
	return nil
}

// verify holds a restored domain to itself: its database, its log, its files.
func (d *Domain) verify(r *restore) error {
	keys, err := d.Keys(r.ctx)
	if err != nil {
		return err
	}
	v, err := ledger.LogVerifier(d.config.Origin, keys.Log)
	if err != nil {
		return fmt.Errorf("the log's first key: %w", err)
	}
	checked, err := d.store.Check(r.ctx, v)
	if err != nil {
		return err
	}
	if err := checked.Err(); err != nil {
		return err
	}
	log, err := d.Log(r.ctx)
	if err != nil {
		return err
	}
	r.vkey = ledger.VKey(d.config.Origin, keys.Log)
	if r.o.Log != nil {
		if err := d.isOf(r.ctx, r.o.Log, log.HandOvers()); err != nil {
			return err
		}
	}
	report, err := audit.Audit(r.ctx, log, audit.Keys{Log: v}, audit.Options{
		Progress: func(entries int64) { r.progress("auditing", entries, checked.Tree.N) }})
	if err != nil {
		return err
	}
	if len(report.Findings) > 0 {
		return fmt.Errorf("the audit of its log has %d findings, the first: %s", len(report.Findings), report.Findings[0])
	}
	if err := d.verifySealed(r); err != nil {
		return err
	}
	return d.verifyTables(r)
}

// isOf wants the log to be the one that a key is of: the key, or one that it is
// joined to by the log's hand-overs, signed the newest checkpoint.
func (d *Domain) isOf(ctx context.Context, known note.Verifier, handOvers [][]byte) error {
	newest, _, err := d.store.Checkpoint(ctx)
	if err != nil {
		return err
	}
	keys, err := ledger.NewLogKeys(known, handOvers...)
	if err == nil {
		_, err = keys.Checkpoint(newest)
	}
	if err != nil {
		return fmt.Errorf("%w: it is a log of %s: %w", ErrAnotherLog, d.config.Origin, err)
	}
	return nil
}

// verifySealed holds the sealed data to the log: what was read has the digests
// that the manifest names, and it is for the log to say which those are.
func (d *Domain) verifySealed(r *restore) error {
	left, newest := map[string]string{}, map[string]string{} // files that no import was seen of yet; by resource
	for _, item := range r.backup.manifest.Items {
		if strings.HasPrefix(item.Name, sealedDir+"/") {
			left[item.Name] = item.Logged
		}
	}
	for e, err := range d.Entries(r.ctx, state.Filter{Kinds: []ledger.Kind{ledger.KindImport}}) {
		if err != nil {
			return err
		}
		path := sealedPath("", e.Import.Resource, e.Import.Version)
		name := filepath.ToSlash(path)
		if logged, ok := left[name]; ok && logged != e.Import.Digest {
			return fmt.Errorf("%w: %s is other data than entry %d sealed", ErrDamaged, name, e.Seq)
		}
		delete(left, name)
		delete(left, filepath.ToSlash(sealed.KeysPath(path)))
		newest[e.Import.Resource] = name
	}
	for resource, name := range newest {
		if !r.held(name) {
			return fmt.Errorf("%w: %s, the newest data of %s, is missing", ErrDamaged, name, resource)
		}
	}
	for name := range left {
		return fmt.Errorf("%w: the log knows of no %s", ErrDamaged, name)
	}
	return nil
}

// verifyTables opens every operand that is kept, which holds all of it to its
// descriptor in the log.
func (d *Domain) verifyTables(r *restore) error {
	s, err := d.world.Snapshot(r.ctx)
	if err != nil {
		return err
	}
	for v := range d.kept(s) {
		err := d.openOperand(r.ctx, v)
		if errors.Is(err, fs.ErrNotExist) && !r.held(tablesDir+"/"+filepath.Base(d.operandPath(v))) {
			continue // not in force any more when the backup was made, by its clock
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// held says whether a part was in the backup.
func (r *restore) held(name string) bool {
	for _, item := range r.backup.manifest.Items {
		if item.Name == name {
			return true
		}
	}
	return false
}

// transfer loads the staged database into its place, where that is not in the
// folder.
func (r *restore) transfer(d *Domain) error {
	if err := r.markStands(); err != nil {
		return err
	}
	if r.inFolder() {
		return nil
	}
	dsn := databaseIn(r.dir, r.target)
	again := r.marker.Database == ledger.Digest([]byte(dsn))
	r.marker.Database = ledger.Digest([]byte(dsn))
	if err := r.mark(); err != nil {
		return err
	}
	snap, err := d.store.Snapshot(r.ctx)
	if err != nil {
		return err
	}
	err = r.load(dsn, snap, again)
	return errors.Join(err, snap.Close())
}

// load loads a snapshot. What this restore loaded there before it was interrupted
// is replaced.
func (r *restore) load(dsn string, snap *state.Snapshot, again bool) error {
	o := state.LoadOptions{Check: func(found *state.Dumped) error {
		if found.Tree != snap.Tree {
			return fmt.Errorf("%w: the database that is loaded is another than the one that was verified", ErrDamaged)
		}
		return nil
	}}
	if again {
		o.Replace = snap.Origin
	}
	in, out := io.Pipe()
	go func() {
		out.CloseWithError(snap.Dump(r.ctx, out, func(rows int64) { r.progress("database", rows, snap.Total()) }))
	}()
	_, err := state.Load(r.ctx, dsn, in, o)
	in.CloseWithError(err) // ends the dump, where that is not at its end
	if err != nil {
		return fmt.Errorf("loading the database: %w", err)
	}
	r.at("database")
	return nil
}

// inFolder says whether the database is the file that the stage has.
func (r *restore) inFolder() bool { return r.target == "sqlite:"+databaseFile }

// place puts everything in its place, the configuration last: with it, the
// domain is there.
func (r *restore) place() error {
	r.at("moving")
	names := []string{caFile, certsDir, policiesDir, sealedDir, tablesDir}
	optional := []string{keyringFile, formerLog}
	if r.inFolder() {
		optional = append(optional, databaseFile, databaseFile+"-wal")
	}
	for _, name := range optional {
		if _, err := os.Lstat(filepath.Join(r.stage, name)); err == nil {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(r.stage, name), filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	r.at("moved")
	if err := r.placeMark(); err != nil {
		return err
	}
	if err := syncDir(r.dir); err != nil {
		return err
	}
	origin := r.config.Origin
	if r.o.NewLog != "" {
		origin = r.o.NewLog
	}
	if err := r.configure(r.dir, origin, r.target); err != nil {
		return err
	}
	r.placed = true
	r.at("configured")
	if r.marker.Log { // opening it does what is left
		d, err := Open(r.ctx, r.dir, r.unlock, Options{Clock: r.o.Clock})
		if err != nil {
			return fmt.Errorf("the domain is restored; opening it: %w", err)
		}
		if err := d.Close(); err != nil {
			return err
		}
	}
	r.at("logged")
	return errors.Join(os.RemoveAll(r.stage), os.RemoveAll(filepath.Join(r.dir, restoreMarker)))
}

// placeMark: a mark that was found stays as it was found; opening the domain
// brings it up to the database. Other marks come from the stage.
func (r *restore) placeMark() error {
	to := filepath.Join(r.dir, markFile)
	if r.backup.manifest.Keyring != KeyringEmbedded {
		return nil
	}
	if r.survivor != nil {
		return writeFile(to, r.survivor, 0o600)
	}
	return os.Rename(keyring.MarkPath(filepath.Join(r.stage, keyringFile)), to)
}
