package enclave

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/yingbi/yingbi/enclave/internal/archive"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
)

// BackupOptions say how a backup is made. It is sealed for keys or with a
// passphrase, one of the two.
type BackupOptions struct {
	To         []age.Recipient // public keys; none of a passphrase
	Passphrase []byte
	// Final hands the domain over: an entry says so, and from then on nothing is
	// served or changed here. It goes on where this backup is restored.
	Final    bool
	Progress Progress

	InsecureTestLogN int // of the passphrase's scrypt; tests only
}

// BackedUp is what a backup holds.
type BackedUp struct {
	Entries int64 // of the log
	Files   int
	Bytes   int64 // of the backup
	Final   bool
	Vault   []string // what is in Vault and not in the backup: back it up there
}

// Backup writes a backup of the domain to a new file at path: the configuration,
// certificates, policies, the sealed keyring where it is embedded, the database,
// the sealed data and the tables that are served. It goes on beside a serving
// process; verbs that write files wait for it. The database is of one moment,
// after the entry that the backup is made. The file is read back before it gets
// its name: every digest is checked, the tree computed anew.
//
// The file is also sealed to a key that exists only while Backup runs, so that
// what is sealed for public keys alone can be read back too.
func (d *Domain) Backup(ctx context.Context, path string, o BackupOptions) (_ *BackedUp, err error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("backing up: %s exists: give a new name", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("backing up: %w", err)
	}
	to, with, err := o.keys()
	if err != nil {
		return nil, fmt.Errorf("backing up: %w", err)
	}
	free, err := d.tryLock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	b := &backup{d: d, o: o, wrote: map[string][32]byte{}}
	if err := b.begin(ctx); err != nil {
		return nil, fmt.Errorf("backing up: %w", err)
	}
	defer func() { err = errors.Join(err, b.snap.Close()) }()
	size, err := b.writeFile(ctx, path, to, with)
	if err != nil {
		if b.manifest.Final {
			err = fmt.Errorf("%w; the domain is handed over and serves no more: make the final backup again, elsewhere", err)
		}
		return nil, fmt.Errorf("backing up to %s: %w", path, err)
	}
	return &BackedUp{Entries: b.manifest.Size, Files: len(b.manifest.Items) - 1, Bytes: size, Final: b.manifest.Final, Vault: b.manifest.Vault}, nil
}

// keys gives whom to seal for and what reads it back.
func (o *BackupOptions) keys() ([]age.Recipient, age.Identity, error) {
	if (len(o.To) == 0) == (len(o.Passphrase) == 0) {
		return nil, nil, errors.New("it is sealed either for public keys or with a passphrase: give one of the two")
	}
	if len(o.To) == 0 {
		to, err := age.NewScryptRecipient(string(o.Passphrase))
		if err != nil {
			return nil, nil, err
		}
		if o.InsecureTestLogN != 0 {
			to.SetWorkFactor(o.InsecureTestLogN)
		}
		with, err := age.NewScryptIdentity(string(o.Passphrase))
		return []age.Recipient{to}, with, err
	}
	once, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	return append([]age.Recipient{once.Recipient()}, o.To...), once, nil
}

// backup is one under way.
type backup struct {
	d        *Domain
	o        BackupOptions
	snap     *state.Snapshot
	manifest *backupManifest
	content  map[string][]byte   // of small parts
	wrote    map[string][32]byte // digests
}

func (b *backup) progress(stage string, done, total int64) {
	if b.o.Progress != nil {
		b.o.Progress(stage, done, total)
	}
}

// begin logs the backup, takes the snapshot, and says what will be in it.
func (b *backup) begin(ctx context.Context) (err error) {
	if err := b.log(ctx); err != nil {
		return err
	}
	if b.snap, err = b.d.store.Snapshot(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.snap.Close())
		}
	}()
	tree := b.snap.Tree
	b.manifest = &backupManifest{
		Format: backupFormat, Made: ledger.NewTime(b.d.clock()), Origin: b.snap.Origin, Operator: b.d.config.Operator.Code,
		Size: tree.N, Root: tree.Hash.String(), Checkpoint: string(b.snap.Checkpoint), Final: b.snap.HandedOver, Keyring: b.d.config.Keyring.Kind,
		Layouts: backupLayouts{Config: b.d.config.Version, Database: b.snap.Layout}, Rows: b.snap.Rows,
	}
	if v := b.d.config.Keyring.Vault.WithDefaults(); b.manifest.Keyring == KeyringVault {
		b.manifest.Vault = []string{v.Transit.Mount + "/keys/" + v.Transit.Key, v.KV.Mount + "/" + v.KV.Path, v.PKI.Mount}
	}
	if err := b.small(); err != nil {
		return err
	}
	b.manifest.Items = append(b.manifest.Items, backupItem{Name: databaseItem, Size: -1})
	if err := b.data(ctx); err != nil {
		return err
	}
	return b.manifest.check()
}

// log logs the backup, before the snapshot, so that the entry is in it. A domain
// that is handed over takes no entry: what is backed up is the same again.
func (b *backup) log(ctx context.Context) error {
	action, hand := "backup", func(*state.Tx) {}
	if b.o.Final {
		action, hand = "handover", (*state.Tx).HandOver
	}
	_, err := b.d.store.Update(ctx, func(tx *state.Tx) error {
		hand(tx)
		_, err := tx.Append(ledger.Entry{V: ledger.Version, Kind: ledger.KindAccess, Actor: b.d.operatorURI(),
			Access: &ledger.Access{Action: action, Object: "domain", Count: tx.Size()}})
		return err
	})
	if errors.Is(err, state.ErrHandedOver) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("logging the backup: %w", err)
	}
	return nil
}

// small reads the parts that fit into memory. The keyring comes after the
// snapshot, so that it has every key that the database speaks of.
func (b *backup) small() error {
	b.content = map[string][]byte{}
	names := []string{ConfigFile, caFile}
	if b.manifest.Keyring == KeyringEmbedded {
		names = append(names, keyringFile)
	}
	for folder, ends := range folders {
		if folder == sealedDir || folder == tablesDir {
			continue
		}
		files, err := os.ReadDir(filepath.Join(b.d.dir, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, f := range files {
			if f.Type().IsRegular() && strings.HasSuffix(f.Name(), ends[0]) && !isTemp(f.Name()) {
				names = append(names, folder+"/"+f.Name())
			}
		}
	}
	for _, name := range names {
		if err := b.smallFile(name); err != nil {
			return err
		}
	}
	return nil
}

func (b *backup) smallFile(name string) error {
	path := filepath.Join(b.d.dir, filepath.FromSlash(name))
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxSmall {
		return fmt.Errorf("%s has %d bytes, at most %d are taken", path, info.Size(), maxSmall)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b.content[name] = text
	b.manifest.Items = append(b.manifest.Items, backupItem{Name: name, Size: int64(len(text))})
	return nil
}

// data lists the sealed data that the log names, and the tables that are served.
// What a verb left that no entry names is left out.
func (b *backup) data(ctx context.Context) error {
	s, err := b.d.world.Snapshot(ctx)
	if err != nil {
		return err
	}
	for e, err := range b.d.Entries(ctx, state.Filter{Kinds: []ledger.Kind{ledger.KindImport}}) {
		if err != nil {
			return err
		}
		_, _, newest, _ := s.World.Import(e.Import.Resource)
		path := sealedPath(b.d.dir, e.Import.Resource, e.Import.Version)
		there, err := b.file(sealedDir, path, e.Import.Digest)
		if err != nil {
			return err
		}
		if !there && e.Import.Version == newest {
			return fmt.Errorf("%s is missing, which entry %d sealed: put it back, or import again", path, e.Seq)
		}
		if there {
			if err := b.keysOf(path); err != nil {
				return err
			}
		}
	}
	return b.tables(s)
}

func (b *backup) keysOf(path string) error {
	name := sealedDir + "/" + filepath.Base(sealed.KeysPath(path))
	err := b.smallFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // of the first layout: its keys are in it
	}
	return err
}

func (b *backup) tables(s *world.Snapshot) error {
	for v, served := range b.d.kept(s) {
		path := b.d.operandPath(v)
		there, err := b.file(tablesDir, path, "")
		if err != nil {
			return err
		}
		if !there && served {
			return fmt.Errorf("%s is missing, which entry %d published: put it back, or publish %s again", path, v.Seq, v.Product)
		}
	}
	return nil
}

// file lists a file of the domain, if it is there.
func (b *backup) file(folder, path, logged string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	b.manifest.Items = append(b.manifest.Items, backupItem{Name: folder + "/" + filepath.Base(path), Size: info.Size(), Logged: logged})
	return true, nil
}

// writeFile writes the backup beside its place, reads it back, and puts it there.
func (b *backup) writeFile(ctx context.Context, path string, to []age.Recipient, with age.Identity) (_ int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+filepath.Base(path)+"-") // 0600
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if err := b.write(ctx, f, to); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	in := &contextReader{ctx: ctx, in: f, told: func(done int64) { b.progress("reading back", done, info.Size()) }}
	if err := b.readBack(in, with); err != nil {
		return 0, fmt.Errorf("reading it back: %w", err)
	}
	if _, err := os.Lstat(path); err == nil {
		return 0, errors.New("it exists: give a new name")
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return 0, err
	}
	return info.Size(), errors.Join(f.Close(), syncDir(filepath.Dir(path)))
}

func (b *backup) write(ctx context.Context, out io.Writer, to []age.Recipient) error {
	w, err := archive.NewWriter(out, to...)
	if err != nil {
		return err
	}
	text, err := b.manifest.encode()
	if err != nil {
		return err
	}
	if err := b.add(w, manifestItem, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	total, done := int64(0), int64(0)
	for _, item := range b.manifest.Items {
		total += max(item.Size, 0)
	}
	for i := range b.manifest.Items {
		item := &b.manifest.Items[i]
		if err := b.add(w, item.Name, func(w io.Writer) error {
			if item.Name == databaseItem {
				return b.snap.Dump(ctx, w, func(rows int64) { b.progress("database", rows, b.snap.Total()) })
			}
			return b.copy(ctx, w, item, func(n int64) { b.progress("files", done+n, total) })
		}); err != nil {
			return err
		}
		done += max(item.Size, 0)
	}
	return w.Close()
}

func (b *backup) add(w *archive.Writer, name string, write func(io.Writer) error) error {
	digest, _, err := w.Add(name, write)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.wrote[name] = digest
	return nil
}

// copy copies a file into the backup, which has to be as long as it was.
func (b *backup) copy(ctx context.Context, w io.Writer, item *backupItem, told func(int64)) error {
	if text, ok := b.content[item.Name]; ok {
		_, err := w.Write(text)
		return err
	}
	f, err := os.Open(filepath.Join(b.d.dir, filepath.FromSlash(item.Name)))
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(w, &contextReader{ctx: ctx, in: f, told: told})
	if err == nil && n != item.Size {
		err = fmt.Errorf("it had %d bytes and now has %d", item.Size, n)
	}
	return err
}

// readBack reads what was written and holds it to what was meant.
func (b *backup) readBack(in io.Reader, with age.Identity) error {
	r, err := openBackup(in, with)
	if err != nil {
		return err
	}
	for {
		item, content, err := r.part()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := checkPart(r.manifest, item, content, b.wrote[item.Name]); err != nil {
			return fmt.Errorf("%s: %w", item.Name, err)
		}
	}
}

// checkPart reads a part and holds it to the manifest, to the log's digest and,
// where it is known, to the digest that it was written with.
func checkPart(m *backupManifest, item *backupItem, content io.Reader, wrote [32]byte) error {
	sum := newCounter(content)
	if item.Name == databaseItem {
		found, err := state.CheckDump(sum)
		if err != nil {
			return err
		}
		if err := m.matches(found); err != nil {
			return err
		}
	} else if _, err := io.Copy(io.Discard, sum); err != nil {
		return err
	}
	if err := sum.check(item); err != nil {
		return err
	}
	if got := sum.digest(); wrote != [32]byte{} && !bytes.Equal(got, wrote[:]) {
		return fmt.Errorf("%w: it reads back as something else: %s", ErrDamaged, hex.EncodeToString(got))
	}
	return nil
}

// matches holds a dump to the manifest.
func (m *backupManifest) matches(found *state.Dumped) error {
	tree, err := m.tree()
	if err != nil {
		return err
	}
	if found.Tree != tree || found.Layout != m.Layouts.Database || !maps.Equal(found.Rows, m.Rows) {
		return fmt.Errorf("%w: its log has %d entries of root %s, the manifest says %d of %s; or other rows than it counts",
			ErrDamaged, found.Tree.N, found.Tree.Hash, tree.N, tree.Hash)
	}
	if found.HandedOver != m.Final {
		return fmt.Errorf("%w: its manifest and its log disagree about whether the domain was handed over with it", ErrDamaged)
	}
	return nil
}
