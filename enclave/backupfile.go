package enclave

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/enclave/internal/archive"
	"github.com/yingbi/yingbi/policy/ledger"
)

// Errors of backups that callers act on.
var (
	// ErrDamaged: a backup is not as it was written.
	ErrDamaged = archive.ErrDamaged
	// ErrWrongKey: a backup is sealed for another key or passphrase.
	ErrWrongKey = archive.ErrWrongKey
)

// The parts of a backup that are no files of their own in the domain's folder.
const (
	manifestItem = "manifest.json"
	databaseItem = "database"
)

const (
	backupFormat = 1
	maxManifest  = 32 << 20
	maxItems     = 1 << 17
	maxSmall     = 64 << 20 // of a part that is read into memory
)

// backupManifest is a backup's first part: what is in it, and of which state of
// the domain it is.
type backupManifest struct {
	Format     int              `json:"format"`
	Made       ledger.Time      `json:"made"`
	Origin     string           `json:"origin"`
	Operator   string           `json:"operator"`
	Size       int64            `json:"size"` // of the log
	Root       string           `json:"root"` // base64, as in checkpoints
	Checkpoint string           `json:"checkpoint"`
	Final      bool             `json:"final"`   // the domain was handed over: nothing follows it
	Keyring    string           `json:"keyring"` // kind; only of the embedded one the keys are in here
	Vault      []string         `json:"vault,omitempty"`
	Layouts    backupLayouts    `json:"layouts"`
	Rows       map[string]int64 `json:"rows"`  // of the database, by table
	Items      []backupItem     `json:"items"` // in their order, after this one
}

// backupLayouts are the layout versions of what is in a backup. What lies in
// files of its own has its version in the file.
type backupLayouts struct {
	Config   int   `json:"config"`
	Database int64 `json:"database"`
}

// backupItem is a part of a backup.
type backupItem struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`             // -1: the database's, which is not known before
	Logged string `json:"logged,omitempty"` // digest that the log says the file has
}

func (m *backupManifest) tree() (tlog.Tree, error) {
	root, err := tlog.ParseHash(m.Root)
	if err != nil || m.Size < 1 {
		return tlog.Tree{}, errors.New("its manifest names no tree")
	}
	return tlog.Tree{N: m.Size, Hash: root}, nil
}

func (m *backupManifest) encode() ([]byte, error) { return json.Marshal(m) }

// decodeManifest reads a manifest strictly.
func decodeManifest(b []byte) (*backupManifest, error) {
	var form struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &form); err != nil {
		return nil, fmt.Errorf("%w: its manifest is no JSON", ErrDamaged)
	}
	if form.Format > backupFormat {
		return nil, fmt.Errorf("the backup is of format %d, this program knows up to %d: use a newer yingbi", form.Format, backupFormat)
	}
	m := &backupManifest{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil || d.More() {
		return nil, fmt.Errorf("%w: its manifest: %w", ErrDamaged, errors.Join(err, errors.New("expected one object and nothing after it")))
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: its manifest: %w", ErrDamaged, err)
	}
	return m, nil
}

func (m *backupManifest) check() error {
	if m.Format != backupFormat || len(m.Items) > maxItems {
		return fmt.Errorf("format %d, %d parts", m.Format, len(m.Items))
	}
	if _, err := m.tree(); err != nil {
		return err
	}
	if m.Layouts.Config > configVersion {
		return fmt.Errorf("its configuration is of version %d, this program knows up to %d: use a newer yingbi", m.Layouts.Config, configVersion)
	}
	seen := map[string]bool{}
	for _, item := range m.Items {
		if err := checkItem(&item); err != nil {
			return err
		}
		if seen[item.Name] {
			return fmt.Errorf("%s is there twice", item.Name)
		}
		seen[item.Name] = true
	}
	for _, name := range []string{ConfigFile, caFile, databaseItem} {
		if !seen[name] {
			return fmt.Errorf("%s is missing", name)
		}
	}
	if embedded := m.Keyring == KeyringEmbedded; seen[keyringFile] != embedded {
		return fmt.Errorf("its keyring is %q, and its file is there: %t", m.Keyring, seen[keyringFile])
	}
	return nil
}

// small are the parts that are files in the domain's own folder.
var small = []string{ConfigFile, keyringFile, caFile}

// folders are the folders of a domain that a backup has files of, each with the
// endings that they have.
var folders = map[string][]string{
	certsDir: {".pem"}, policiesDir: {policySuffix}, sealedDir: {".parquet", ".keys"}, tablesDir: operandEnds,
}

// checkItem holds a part to the few places that a domain has: a backup that
// somebody forged writes nowhere else.
func checkItem(i *backupItem) error {
	if err := archive.CheckName(i.Name); err != nil {
		return err
	}
	if i.Name == databaseItem {
		if i.Size != -1 {
			return errors.New("it says how long the database is")
		}
		return nil
	}
	if i.Size < 0 {
		return fmt.Errorf("%s has %d bytes", i.Name, i.Size)
	}
	if slices.Contains(small, i.Name) {
		if i.Size > maxSmall {
			return fmt.Errorf("%s has %d bytes, at most %d are read", i.Name, i.Size, maxSmall)
		}
		return nil
	}
	folder, file, _ := strings.Cut(i.Name, "/")
	if !slices.ContainsFunc(folders[folder], func(end string) bool { return strings.HasSuffix(file, end) }) {
		return fmt.Errorf("%s is no file of a domain", i.Name)
	}
	return nil
}

// backupReader reads a backup's parts as its manifest announces them.
type backupReader struct {
	archive  *archive.Reader
	manifest *backupManifest
	next     int
}

// openBackup reads a backup up to its manifest.
func openBackup(r io.Reader, with ...age.Identity) (*backupReader, error) {
	a, err := archive.NewReader(r, with...)
	if err != nil {
		return nil, err
	}
	name, content, err := a.Next()
	if errors.Is(err, io.EOF) || err == nil && name != manifestItem {
		return nil, fmt.Errorf("%w: it does not begin with a manifest", ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	b, err := readAll(content, manifestItem, maxManifest)
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, err
	}
	return &backupReader{archive: a, manifest: m}, nil
}

// part gives the next part. After the last it gives io.EOF, when the whole of
// the backup was found to be as it was written.
func (b *backupReader) part() (*backupItem, io.Reader, error) {
	name, content, err := b.archive.Next()
	if errors.Is(err, io.EOF) && b.next < len(b.manifest.Items) {
		return nil, nil, fmt.Errorf("%w: %s is missing", ErrDamaged, b.manifest.Items[b.next].Name)
	}
	if err != nil {
		return nil, nil, err
	}
	if b.next == len(b.manifest.Items) || b.manifest.Items[b.next].Name != name {
		return nil, nil, fmt.Errorf("%w: %s is not where the manifest has it", ErrDamaged, name)
	}
	b.next++
	return &b.manifest.Items[b.next-1], content, nil
}

// readAll reads a small part.
func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrDamaged, name, limit)
	}
	return b, nil
}
