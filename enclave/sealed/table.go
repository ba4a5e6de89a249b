package sealed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// Table is a sealed version of a resource, opened. It may be scanned by several
// goroutines at once.
type Table struct {
	binding
	kr      keyring.Wrapper
	file    *os.File
	size    int64
	tail    []byte  // the footer, still encrypted
	number  string  // the file's own
	keys    *keySet // nil: they are in the file's metadata (layout 1)
	rows    int64
	columns []ColumnInfo
}

// ColumnInfo is a column of a table. It is as the resource's schema was when
// the version was sealed.
type ColumnInfo struct {
	Name     string
	Type     Type
	Shredded bool // its key was destroyed: it is never read again
}

const (
	fileMagic   = "PARE" // Parquet with an encrypted footer
	trailerSize = 8      // the footer's length and the magic
	maxFooter   = 64 << 20
)

// Open opens the file at path, which must be that version of that resource
// (ErrOther), with the keys beside it. It unwraps the footer's key and no
// column's.
func Open(ctx context.Context, kr keyring.Wrapper, path, resource string, version int) (*Table, error) {
	return openWith(ctx, kr, path, KeysPath(path), resource, version)
}

func openWith(ctx context.Context, kr keyring.Wrapper, path, keys, resource string, version int) (_ *Table, err error) {
	t := &Table{binding: binding{resource, version, layoutVersion}, kr: kr}
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.file, err = os.Open(path); err != nil {
		return nil, fmt.Errorf("opening %s version %d: %w", resource, version, err)
	}
	if err := t.open(ctx, keys); err != nil {
		t.file.Close()
		return nil, fmt.Errorf("opening %s version %d, %s: %w", resource, version, path, err)
	}
	return t, nil
}

func (t *Table) open(ctx context.Context, keys string) error {
	if err := t.readTail(); err != nil {
		return err
	}
	if err := t.checkEnvelope(); err != nil {
		return err
	}
	if err := t.readKeys(keys); err != nil {
		return err
	}
	r, _, err := t.reader(ctx)
	if err != nil {
		return err
	}
	if err := guard("reading the footer", func() error { return t.readSchema(r) }); err != nil {
		if errors.Is(err, ErrLayout) || errors.Is(err, ErrOther) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// readTail reads the footer's bytes, once: what was checked is what is used.
func (t *Table) readTail() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	t.size = info.Size()
	var head [len(fileMagic)]byte
	var trailer [trailerSize]byte
	if t.size < int64(len(head)+len(trailer)) {
		return fmt.Errorf("%w: it has %d bytes", ErrCorrupt, t.size)
	}
	if _, err := t.file.ReadAt(head[:], 0); err != nil {
		return err
	}
	if _, err := t.file.ReadAt(trailer[:], t.size-trailerSize); err != nil {
		return err
	}
	if string(head[:]) != fileMagic || string(trailer[4:]) != fileMagic {
		return fmt.Errorf("%w: it does not begin and end as a sealed file does (cut short?)", ErrCorrupt)
	}
	n := int64(binary.LittleEndian.Uint32(trailer[:4])) + trailerSize
	if n > maxFooter || n > t.size-int64(len(head)) {
		return fmt.Errorf("%w: its footer cannot be %d bytes long", ErrCorrupt, n)
	}
	t.tail = make([]byte, n)
	_, err = t.file.ReadAt(t.tail, t.size-n)
	return err
}

// checkEnvelope checks the one part of a file that is not authenticated: how
// it says that it is encrypted. Were another algorithm believed there, pages
// would be decrypted without being checked.
func (t *Table) checkEnvelope() error {
	var algorithm parquet.Algorithm
	err := guard("reading the encryption's parameters", func() error {
		m, err := metadata.NewFileCryptoMetaData(t.tail)
		if err != nil {
			return err
		}
		var again bytes.Buffer
		if _, err := m.WriteTo(&again); err != nil {
			return err
		}
		if m.Len() > len(t.tail) || !bytes.Equal(again.Bytes(), t.tail[:m.Len()]) {
			return errors.New("they are not as they are written")
		}
		algorithm = m.EncryptionAlgorithm()
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if algorithm.Algo != parquet.AesGcm || len(algorithm.Aad.AadFileUnique) != int(parquet.AadFileUniqueLength) || algorithm.Aad.SupplyAadPrefix {
		return fmt.Errorf("%w: the encryption's parameters are not AES-GCM's", ErrCorrupt)
	}
	got := string(algorithm.Aad.AadPrefix)
	if rest, ok := strings.CutPrefix(got, "yingbi/sealed/"); ok {
		t.layout, _, _ = strings.Cut(rest, "/")
	}
	if err := t.check(); err != nil {
		return err
	}
	if got != t.aadPrefix() {
		return fmt.Errorf("%w: it says %.100q, expected %q", ErrOther, got, t.aadPrefix())
	}
	t.number = fileNumber(algorithm)
	return nil
}

// readKeys reads the keys beside the file. A file of layout 1 may still hold
// them itself.
func (t *Table) readKeys(path string) (err error) {
	if t.keys, err = readKeys(path); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	switch k := t.keys; {
	case k == nil && t.layout == layoutOne:
	case k == nil:
		return fmt.Errorf("%w: %s is missing: restore it from a backup, or import the data again", ErrKey, path)
	case k.Resource != t.resource || k.Version != t.version || k.Layout != t.layout:
		return fmt.Errorf("%w: %s holds the keys of %s version %d: restore the file's own", ErrOther, path, k.Resource, k.Version)
	case k.File != t.number:
		return fmt.Errorf("%w: %s holds the keys of another file of the version: restore the two together", ErrOther, path)
	}
	return nil
}

// reader gives a Parquet reader of its own: the library keeps the keys it was
// given, and a position, in it.
func (t *Table) reader(ctx context.Context) (*file.Reader, *retriever, error) {
	keys := &retriever{binding: t.binding, ctx: ctx, kr: t.kr, keys: t.keys}
	var r *file.Reader
	err := keys.guard("reading the footer", func() (err error) {
		props := parquet.NewReaderProperties(memory.NewGoAllocator())
		props.FileDecryptProps = parquet.NewFileDecryptionProperties(parquet.WithKeyRetriever(keys), parquet.WithDecryptAadPrefix(t.aadPrefix()))
		r, err = file.NewParquetReader(&source{t, io.NewSectionReader(t.file, 0, t.size)}, file.WithReadProps(props))
		return err
	})
	return r, keys, err
}

// guard is guard for reading: where a key was missing, that is the error; all
// else is a damaged file.
func (r *retriever) guard(what string, f func() error) error {
	err := guard(what, f)
	switch {
	case r.err != nil:
		return r.err
	case err != nil && r.ctx.Err() == nil && !errors.Is(err, fs.ErrClosed):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// source is the file, with the footer that was read when it was opened.
type source struct {
	t *Table
	*io.SectionReader
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if from := s.t.size - int64(len(s.t.tail)); off >= from && off-from <= int64(len(s.t.tail)) {
		return bytes.NewReader(s.t.tail).ReadAt(p, off-from)
	}
	return s.SectionReader.ReadAt(p, off)
}

// readSchema reads what the footer says of the file, and checks that it holds
// together.
func (t *Table) readSchema(r *file.Reader) error {
	m := r.MetaData()
	meta := func(key string) string {
		if v := m.KeyValueMetadata().FindValue(key); v != nil {
			return *v
		}
		return ""
	}
	if v := meta(metaLayout); v != t.layout {
		return fmt.Errorf("%w: %.20q, its envelope says %s: import the resource again, or use the yingbi that sealed it", ErrLayout, v, t.layout)
	}
	if meta(metaResource) != t.resource || meta(metaVersion) != strconv.Itoa(t.version) {
		return fmt.Errorf("%w: its footer says %.70q version %.10q", ErrOther, meta(metaResource), meta(metaVersion))
	}
	if n := m.Schema.NumColumns(); n < 2 || n > maxColumns+1 || m.Schema.Column(0).Name() != rowColumn {
		return fmt.Errorf("its %d columns do not begin with %s", n, rowColumn)
	}
	for i := 1; i < m.Schema.NumColumns(); i++ {
		c := m.Schema.Column(i)
		typ, ok := typeOf(c)
		if !ok || c.MaxDefinitionLevel() != 1 || c.MaxRepetitionLevel() != 0 {
			return fmt.Errorf("column %d has no type of ours", i)
		}
		gone := t.keys != nil && slices.Contains(t.keys.Shredded, c.Name())
		t.columns = append(t.columns, ColumnInfo{Name: c.Name(), Type: typ, Shredded: gone})
	}
	for i := range r.NumRowGroups() {
		g := m.RowGroup(i)
		if g.NumColumns() != m.Schema.NumColumns() || g.NumRows() < 1 || int(g.Ordinal()) != i {
			return fmt.Errorf("row group %d is not whole", i)
		}
		t.rows += g.NumRows()
	}
	if t.rows != r.NumRows() {
		return fmt.Errorf("its row groups hold %d rows, it says %d", t.rows, r.NumRows())
	}
	return nil
}

// Rows is the number of rows.
func (t *Table) Rows() int64 { return t.rows }

// Columns are the table's columns, in order.
func (t *Table) Columns() []ColumnInfo { return slices.Clone(t.columns) }

// Close closes the file. Scans that go on end in an error.
func (t *Table) Close() error { return t.file.Close() }

// Digest is the digest of the file at path, "sha256:" + hex, to be compared
// with the import entry's.
func Digest(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, &contextReader{ctx: ctx, in: f}); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
