package enclave

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"golang.org/x/mod/sumdb/note"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
)

// RestoreOptions say how a backup is restored.
type RestoreOptions struct {
	Unlock     func() (keyring.Unlock, error) // of the keyring in the backup, where it is embedded
	With       []age.Identity                 // keys that open the backup; or
	Passphrase []byte
	Database   string        // where to; default as the backup's configuration has it, in the folder or on a server
	VaultFiles string        // folder of the files that the domain logs in to Vault with, which no backup holds; default dir
	Mark       string        // file: the mark of the domain that was lost; default DIR/mark, where it is there
	Log        note.Verifier // one of the log's keys: a backup of another log is refused; nil: nobody knows whose log it is
	NewLog     string        // origin of a new log, where no mark tells how far the old one had come
	Clock      func() time.Time
	Progress   Progress
	TestAt     func(point string) // called as the restore passes points; tests only
}

// Restored is what a restore made.
type Restored struct {
	Entries   int64 // of the log that was restored
	Database  string
	NewLog    *NewLog // nil: the log goes on
	HandedOut bool    // the backup was a domain's last
	VKey      string  // the first key of the log that was in the backup
}

// Errors of Restore that callers act on.
var (
	// ErrWouldFork: the log is known to have come further than the backup.
	ErrWouldFork = errors.New("enclave: restoring would fork the log")
	// ErrAnotherLog: the backup's log is not the one whose key was given.
	ErrAnotherLog = errors.New("enclave: the backup holds another log than the key is of")
	// ErrNoMark: nothing tells how far the log has come.
	ErrNoMark = errors.New("enclave: nothing tells whether restoring would fork the log")
)

// restoreMarker is in a folder from a restore's first act to its last. It says
// what the restore found and where it loads to, so that the next one can begin
// anew.
const restoreMarker = "restore.incomplete"

// stageDir holds what is restored until all of it is known to be right.
const stageDir = "restoring"

const markFile = "mark"

// RestorePoints are the points that a restore passes once the folder is its own,
// in order.
var RestorePoints = []string{"claimed", "begun", "marked", "loaded", "copied", "opened", "verified", "begun anew", "database", "moving", "moved", "configured", "logged"}

// Restore makes the domain of a backup in dir, a new or empty folder, which may
// hold the mark of the domain that was lost. All of it is made or nothing: a
// restore that was interrupted is begun anew, with the same words.
//
// It verifies the backup whole, the database against itself, the log by an audit,
// sealed files by the log's digests and tables by their descriptors, before
// anything is in its place.
//
// All of that is from one hand. A backup that is sealed to a public key may be
// anyone's, so RestoreOptions.Log says whose log it has to be.
//
// A log that goes on from a backup while entries after it were acknowledged has
// forked. So the backup must reach as far as the log is known to have come: by
// the mark, which the keyring keeps apart from the database, or because the
// backup was the domain's last (BackupOptions.Final). Otherwise ErrWouldFork or
// ErrNoMark; with NewLog another log is begun instead.
func Restore(ctx context.Context, file, dir string, o RestoreOptions) (_ *Restored, err error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Passphrase != nil {
		id, err := age.NewScryptIdentity(string(o.Passphrase))
		if err != nil {
			return nil, fmt.Errorf("restoring: %w", err)
		}
		o.With = append(o.With, id)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("restoring: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("restoring: %w", err)
	}
	r := &restore{ctx: ctx, dir: dir, stage: filepath.Join(dir, stageDir), o: o}
	in := &contextReader{ctx: ctx, in: f, told: func(done int64) { r.progress("restoring", done, info.Size()) }}
	if r.backup, err = openBackup(in, o.With...); err != nil {
		return nil, fmt.Errorf("restoring %s: %w", file, err)
	}
	free, err := r.claim()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && !r.placed {
			err = errors.Join(err, r.undo())
		}
		err = errors.Join(err, free())
	}()
	made, err := r.run()
	if err != nil {
		return nil, fmt.Errorf("restoring %s: %w", file, err)
	}
	return made, nil
}

// restore is one under way.
type restore struct {
	ctx    context.Context
	dir    string
	stage  string
	o      RestoreOptions
	backup *backupReader

	marker   restoreNote
	config   *Config // the backup's
	unlock   keyring.Unlock
	target   string // DSN as the configuration will have it
	survivor []byte // the mark that was found
	pinned   admission.Genesis
	vkey     string // the first key of the backup's log
	placed   bool   // the configuration is in its place: the domain is there
}

// restoreNote is what the marker says.
type restoreNote struct {
	Mark     bool   `json:"mark"`     // the folder held a mark when the restore began
	Database string `json:"database"` // digest of the DSN that is loaded; empty: none yet
	Log      bool   `json:"log"`      // the restore is to be logged by whoever opens the domain first
}

func (r *restore) progress(stage string, done, total int64) {
	if r.o.Progress != nil {
		r.o.Progress(stage, done, total)
	}
}

func (r *restore) at(point string) {
	if r.o.TestAt != nil {
		r.o.TestAt(point)
	}
}

// claim takes the folder: it is empty but for a mark, or what an interrupted
// restore left is removed.
func (r *restore) claim() (free func() error, err error) {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(r.dir, ConfigFile)); err == nil {
		return nil, fmt.Errorf("%w: %s: nothing was changed: restore into a new folder", ErrExists, r.dir)
	}
	names, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("reading the folder: %w", err)
	}
	path := filepath.Join(r.dir, restoreMarker)
	text, err := os.ReadFile(path)
	begun := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	found := restoreNote{}
	for _, n := range names {
		switch n.Name() {
		case markFile:
			found.Mark = true
		case markFile + ".lock", restoreMarker:
		default:
			if !begun {
				return nil, fmt.Errorf("%w: %s holds %s: give a new folder, or one with nothing but the mark of the domain that was lost", ErrNotEmpty, r.dir, n.Name())
			}
		}
	}
	r.at("looked")
	if free, err = lockMarker(path, r.dir); err != nil {
		return nil, err
	}
	if err := r.unchanged(path, text); err != nil {
		return nil, errors.Join(err, free())
	}
	// A marker that was cut short was the only thing made.
	if len(text) > 0 && json.Unmarshal(text, &r.marker) == nil {
		found = r.marker
	}
	r.marker = found
	if err := errors.Join(r.clean(), r.mark()); err != nil {
		return nil, errors.Join(fmt.Errorf("taking the folder for a restore: %w", err), free())
	}
	r.at("claimed")
	return free, nil
}

// unchanged makes sure, under the lock, that no other restore was here since the
// folder was looked at: what it made is not this one's to clean.
func (r *restore) unchanged(marker string, text []byte) error {
	if _, err := os.Lstat(filepath.Join(r.dir, ConfigFile)); err == nil {
		return errors.Join(fmt.Errorf("%w: %s: nothing was changed: restore into a new folder", ErrExists, r.dir), os.Remove(marker))
	}
	now, err := os.ReadFile(marker)
	if err == nil && !bytes.Equal(now, text) {
		err = fmt.Errorf("%w: another process is restoring into %s", ErrIncomplete, r.dir)
	}
	return err
}

// mark writes what the marker says, in place: the lock is on the file.
func (r *restore) mark() error {
	b, err := json.Marshal(r.marker)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(r.dir, restoreMarker), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Truncate(int64(len(b))), f.Sync(), f.Close(), syncDir(r.dir))
}

// clean removes what a restore makes before it is finished. A mark that was
// found stays.
func (r *restore) clean() error {
	names := append([]string{stageDir, databaseFile, databaseFile + "-wal", databaseFile + "-shm", keyringFile + ".lock", formerLog}, small...)
	for folder := range folders {
		names = append(names, folder)
	}
	if !r.marker.Mark {
		names = append(names, markFile, markFile+".lock")
	}
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// undo takes back a restore that failed. Where that fails too, the marker stays
// and the next restore begins anew.
func (r *restore) undo() error {
	if err := r.clean(); err != nil {
		return fmt.Errorf("removing what was restored: %w", err)
	}
	if r.marker.Database != "" { // loaded perhaps: for the next restore to know
		return nil
	}
	return os.Remove(filepath.Join(r.dir, restoreMarker))
}

func (r *restore) run() (*Restored, error) {
	if err := r.unpack(); err != nil {
		return nil, err
	}
	r.at("copied")
	made := &Restored{Entries: r.backup.manifest.Size, Database: r.target, HandedOut: r.backup.manifest.Final}
	if err := r.finish(made); err != nil {
		return nil, err
	}
	made.VKey = r.vkey
	if err := r.place(); err != nil {
		return nil, err
	}
	return made, nil
}

// unpack reads the whole backup into the stage.
func (r *restore) unpack() error {
	for _, name := range []string{stageDir, filepath.Join(stageDir, certsDir), filepath.Join(stageDir, policiesDir),
		filepath.Join(stageDir, sealedDir), filepath.Join(stageDir, tablesDir)} {
		if err := os.MkdirAll(filepath.Join(r.dir, name), 0o700); err != nil {
			return err
		}
	}
	r.at("begun")
	for {
		item, content, err := r.backup.part()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if item.Name == databaseItem {
			err = r.database(content)
		} else {
			err = r.file(item, content)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", item.Name, err)
		}
	}
}

// file writes a file of the domain, and holds it to manifest and log.
func (r *restore) file(item *backupItem, content io.Reader) error {
	mode := fs.FileMode(0o600)
	if strings.HasSuffix(item.Name, ".pem") {
		mode = 0o644
	}
	f, err := os.OpenFile(filepath.Join(r.stage, filepath.FromSlash(item.Name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	sum := newCounter(content)
	_, err = io.Copy(f, sum)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return sum.check(item)
}

// database loads the dump, once it is known that the log may go on from it.
func (r *restore) database(content io.Reader) error {
	if err := r.prepare(); err != nil {
		return err
	}
	if err := r.mayGoOn(); err != nil {
		return err
	}
	r.at("marked")
	_, err := state.Load(r.ctx, r.staged(), content, state.LoadOptions{Check: r.backup.manifest.matches})
	if err != nil {
		return err
	}
	r.at("loaded")
	return nil
}

// staged is the database in the stage: SQLite, whatever it will be.
func (r *restore) staged() string { return "sqlite:" + filepath.Join(r.stage, databaseFile) }

// prepare reads the configuration, and points the staged one to the staged
// database.
func (r *restore) prepare() error {
	c, err := readConfig(r.stage)
	if err != nil {
		return err
	}
	m := r.backup.manifest
	if c.Origin != m.Origin || c.Operator.Code != m.Operator || c.Keyring.Kind != m.Keyring {
		return fmt.Errorf("%w: its configuration is of another domain than its manifest", ErrDamaged)
	}
	if c.Keyring.Kind == KeyringVault {
		from := r.o.VaultFiles
		if from == "" {
			from = r.dir
		}
		if from, err = filepath.Abs(from); err != nil {
			return err
		}
		c.Keyring.Vault = c.Keyring.Vault.In(from)
	}
	if c.Keyring.Kind == KeyringEmbedded {
		if r.unlock, err = r.o.Unlock(); err != nil {
			return err
		}
	}
	r.config, r.target = c, c.Database
	if r.o.Database != "" {
		r.target = r.o.Database
	} else if path, ok := strings.CutPrefix(c.Database, "sqlite:"); ok && !filepath.IsLocal(path) {
		return fmt.Errorf("its configuration has the database at %s, outside the folder: say with --database where it shall be", path)
	}
	changed := *c
	changed.Database = r.target
	if err := changed.Validate(); err != nil {
		return err
	}
	return r.configure(r.stage, c.Origin, "sqlite:"+databaseFile)
}

// configure writes the configuration with another origin or database.
func (r *restore) configure(dir, origin, database string) error {
	c := *r.config
	c.Origin, c.Database = origin, database
	text, err := c.Encode()
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, ConfigFile), text, 0o600)
}

// mayGoOn compares the backup with the mark, and puts the mark into the stage.
func (r *restore) mayGoOn() error {
	m := r.backup.manifest
	if r.o.NewLog != "" {
		if m.Keyring != KeyringEmbedded {
			return errors.New("a new log needs a keyring of its own: with Vault, migrate a restored copy to the embedded keyring first")
		}
		return nil
	}
	at, err := r.findMark()
	if err != nil {
		return err
	}
	if at.Size > m.Size {
		return fmt.Errorf("%w: the log had come to %d entries, the backup holds %d: restore a newer backup; without one begin a new log with --new-log, which every client has to enrol in anew",
			ErrWouldFork, at.Size, m.Size)
	}
	return nil
}

func (r *restore) findMark() (at keyring.Mark, err error) {
	m := r.backup.manifest
	if m.Keyring == KeyringEmbedded {
		if err := r.stageMark(); err != nil {
			return at, err
		}
	}
	ring, err := openRing(r.ctx, r.stage, r.config.Keyring, r.unlock, r.o.Clock)
	if err != nil {
		return at, err
	}
	at, err = ring.Mark(r.ctx)
	return at, errors.Join(err, ring.Close())
}

// stageMark puts the surviving mark beside the staged keyring; where none is
// needed, one of the backup's tree.
func (r *restore) stageMark() error {
	m := r.backup.manifest
	found, err := r.readMark()
	if err != nil {
		return err
	}
	if found != nil {
		r.survivor = found
		return writeFile(filepath.Join(r.stage, markFile), found, 0o600)
	}
	if !m.Final {
		return fmt.Errorf("%w: the backup has %d entries and the mark, which says how far the log came, is lost with the domain: give the old domain's mark file with --mark; to move a domain make its last backup with --final; else begin a new log with --new-log, which every client has to enrol in anew",
			ErrNoMark, m.Size)
	}
	tree, err := m.tree()
	if err != nil {
		return err
	}
	return keyring.RestoreMark(filepath.Join(r.stage, keyringFile), r.unlock, keyring.Options{Now: r.o.Clock}, keyring.Mark{Size: tree.N, Root: tree.Hash})
}

// readMark reads the mark that survived; nil: none.
func (r *restore) readMark() ([]byte, error) {
	const limit = 1 << 20
	path := r.o.Mark
	if path == "" {
		if !r.marker.Mark {
			return nil, nil
		}
		path = filepath.Join(r.dir, markFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the mark: %w", err)
	}
	defer f.Close()
	return readAll(f, path, limit)
}

// markStands makes sure that nobody moved the mark meanwhile.
func (r *restore) markStands() error {
	if r.survivor == nil {
		return nil
	}
	now, err := r.readMark()
	if err != nil {
		return err
	}
	if !bytes.Equal(now, r.survivor) {
		return fmt.Errorf("%w: the mark moved while the backup was restored: the old domain is still in use: stop it, and hand it over with backup --final", ErrWouldFork)
	}
	return nil
}
