package sealed

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Sealed is what Write wrote.
type Sealed struct {
	Rows   int64
	Bytes  int64
	Digest string // of the file, "sha256:" + hex
}

// tuning is how a file is cut. A row group is what is held in memory when
// writing, and, of the columns read, when reading.
type tuning struct {
	groupRows  int
	groupBytes int
	pageBytes  int64
	batchRows  int64 // how often the library looks whether a page is full
}

var defaultTuning = tuning{groupRows: 64 << 10, groupBytes: 32 << 20, pageBytes: 1 << 20, batchRows: 1024}

// The format numbers row groups with 16 bits, of which it uses 15.
const maxGroups = 1<<15 - 1

// Write seals rows as the given version of the resource, at path, where there
// must be no file yet (ErrExists). It takes the rows as checked. When it
// returns without an error the file is whole, durable and can be opened; on an
// error there is none.
func Write(ctx context.Context, kr keyring.Wrapper, path string, res *vocabulary.Resource, version int, rows Rows) (Sealed, error) {
	return writeFile(ctx, kr, path, res, version, rows, defaultTuning, nil)
}

// writeFile calls accept, if there is one, when the file is written and before
// it gets its name.
func writeFile(ctx context.Context, kr keyring.Wrapper, path string, res *vocabulary.Resource, version int, rows Rows, tune tuning, accept func() error) (Sealed, error) {
	columns, err := newSchema(res)
	if err != nil {
		return Sealed{}, err
	}
	return writeColumns(ctx, kr, path, binding{res.ID, version, layoutVersion}, columns, rows, tune, accept)
}

func writeColumns(ctx context.Context, kr keyring.Wrapper, path string, b binding, columns []column, rows Rows, tune tuning, accept func() error) (_ Sealed, err error) {
	if err := b.check(); err != nil {
		return Sealed{}, err
	}
	if _, err := os.Lstat(path); err == nil {
		return Sealed{}, fmt.Errorf("%w: %s: a version is never written over", ErrExists, path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Sealed{}, fmt.Errorf("sealing %s: %w", b.resource, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return Sealed{}, fmt.Errorf("sealing %s: %w", b.resource, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("sealing %s version %d: %w", b.resource, b.version, err), os.Remove(tmp.Name()))
		}
	}()
	out := &sink{file: tmp, digest: sha256.New()}
	out.Writer = bufio.NewWriterSize(out.digesting(), 1<<20)
	s, keys, err := write(ctx, kr, out, b, columns, rows, tune)
	if err == nil && accept != nil {
		err = accept()
	}
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return Sealed{}, err
	}
	// The keys first: a file has keys as soon as it has a name. What there may be
	// are those of a file that was never named.
	beside := KeysPath(path)
	if err := writeKeys(beside, keys); err != nil {
		return Sealed{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(beside))
		}
	}()
	// Before it counts as written it is opened as it will be.
	t, err := openWith(ctx, kr, tmp.Name(), beside, b.resource, b.version)
	if err != nil {
		return Sealed{}, fmt.Errorf("opening what was written: %w", err)
	}
	err = t.Close()
	if t.Rows() != s.Rows {
		return Sealed{}, fmt.Errorf("%w: %d rows were written, %d are there", ErrCorrupt, s.Rows, t.Rows())
	}
	if err != nil {
		return Sealed{}, err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return Sealed{}, err
	}
	return s, syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // has no such thing
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sink is what the library writes to. It keeps the first error, which the
// library may turn into a panic of its own wording, or drop.
type sink struct {
	*bufio.Writer
	file   *os.File
	digest hash.Hash
	bytes  int64
	err    error
}

func (s *sink) digesting() io.Writer { return io.MultiWriter(s.file, s.digest) }

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	s.bytes += int64(n)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, err
}

// call is guard for writing: an error of the sink goes before what the library
// made of it.
func (s *sink) call(what string, f func() error) error {
	err := guard(what, f)
	if s.err != nil {
		return s.err
	}
	return err
}

func write(ctx context.Context, kr keyring.Wrapper, out *sink, b binding, columns []column, rows Rows, tune tuning) (Sealed, *keySet, error) {
	enc, keys, err := b.encryption(ctx, kr, columns)
	if err != nil {
		return Sealed{}, nil, err
	}
	defer enc.WipeOutEncryptionKeys()
	w, err := newWriter(out, enc, b, columns, tune)
	if err != nil {
		return Sealed{}, nil, err
	}
	buffers := make([]buffer, len(columns))
	row := make([]Value, len(columns))
	total, inGroup, size, groups := int64(0), 0, 0, 0
	flush := func() error {
		if groups++; groups > maxGroups {
			return fmt.Errorf("the data needs more than %d row groups of %d rows: split the resource", maxGroups, tune.groupRows)
		}
		err := out.call("writing a row group", func() error { return writeGroup(w, columns, buffers, inGroup) })
		for i := range buffers {
			buffers[i].reset()
		}
		inGroup, size = 0, 0
		return errors.Join(err, ctx.Err())
	}
	for {
		err := rows.Next(row)
		if err == io.EOF {
			break
		}
		if err != nil {
			return Sealed{}, nil, fmt.Errorf("reading row %d: %w", total+1, err)
		}
		for i := range row {
			size += buffers[i].add(columns[i].typ, &row[i])
		}
		total, inGroup = total+1, inGroup+1
		if inGroup >= tune.groupRows || size >= tune.groupBytes {
			if err := flush(); err != nil {
				return Sealed{}, nil, err
			}
		}
	}
	if inGroup > 0 {
		if err := flush(); err != nil {
			return Sealed{}, nil, err
		}
	}
	// Close drops the error of the footer, FlushWithFooter does not.
	err = out.call("writing the footer", func() error { return errors.Join(w.FlushWithFooter(), w.Close()) })
	if err := errors.Join(err, out.Flush()); err != nil {
		return Sealed{}, nil, err
	}
	return Sealed{Rows: total, Bytes: out.bytes, Digest: "sha256:" + hex.EncodeToString(out.digest.Sum(nil))}, keys, nil
}

func newWriter(out *sink, enc *parquet.FileEncryptionProperties, b binding, columns []column, tune tuning) (w *file.Writer, err error) {
	err = out.call("beginning the file", func() error {
		root, err := parquetSchema(columns)
		if err != nil {
			return err
		}
		// No statistics: the smallest and largest value of each page serve
		// nobody here. No dictionaries: they need page kinds that encryption
		// treats apart.
		props := parquet.NewWriterProperties(parquet.WithEncryptionProperties(enc), parquet.WithDictionaryDefault(false),
			parquet.WithStats(false), parquet.WithCompression(compress.Codecs.Snappy), parquet.WithDataPageVersion(parquet.DataPageV1),
			parquet.WithDataPageSize(tune.pageBytes), parquet.WithBatchSize(tune.batchRows))
		kv := metadata.NewKeyValueMetadata()
		err = errors.Join(kv.Append(metaLayout, b.layout), kv.Append(metaResource, b.resource), kv.Append(metaVersion, strconv.Itoa(b.version)))
		w = file.NewParquetWriter(out, root, file.WithWriterProps(props), file.WithWriteMetadata(kv))
		return err
	})
	return w, err
}

// buffer holds a column's values of the row group that is being gathered.
type buffer struct {
	defs   []int16 // 1: there is a value
	text   []byte  // the strings, one after the other
	ends   []int
	ints   []int64
	days   []int32
	floats []float64
	bools  []bool
}

func (b *buffer) reset() {
	*b = buffer{defs: b.defs[:0], text: b.text[:0], ends: b.ends[:0], ints: b.ints[:0], days: b.days[:0], floats: b.floats[:0], bools: b.bools[:0]}
}

// add takes a value over and says how many bytes it takes.
func (b *buffer) add(t Type, v *Value) int {
	if v.Null {
		b.defs = append(b.defs, 0)
		return 2
	}
	b.defs = append(b.defs, 1)
	switch t {
	case String:
		b.text = append(b.text, v.Text...)
		b.ends = append(b.ends, len(b.text))
		return 10 + len(v.Text)
	case Integer:
		b.ints = append(b.ints, v.Int)
	case Number:
		b.floats = append(b.floats, v.Float)
	case Date:
		b.days = append(b.days, int32(v.Int))
	case Boolean:
		b.bools = append(b.bools, v.Int != 0)
	}
	return 10
}

func writeGroup(w *file.Writer, columns []column, buffers []buffer, rows int) error {
	group := w.AppendRowGroup()
	c, err := group.NextColumn()
	if err != nil {
		return err
	}
	present := make([]bool, rows)
	for i := range present {
		present[i] = true
	}
	if _, err := c.(*file.BooleanColumnChunkWriter).WriteBatch(present, nil, nil); err != nil {
		return err
	}
	for i := range columns {
		c, err := group.NextColumn()
		if err != nil {
			return err
		}
		if err := buffers[i].write(c); err != nil {
			return fmt.Errorf("column %s: %w", columns[i].name, err)
		}
	}
	return group.Close()
}

func (b *buffer) write(c file.ColumnChunkWriter) (err error) {
	switch c := c.(type) {
	case *file.ByteArrayColumnChunkWriter:
		values, begin := make([]parquet.ByteArray, len(b.ends)), 0
		for i, end := range b.ends {
			values[i], begin = b.text[begin:end:end], end
		}
		_, err = c.WriteBatch(values, b.defs, nil)
	case *file.Int64ColumnChunkWriter:
		_, err = c.WriteBatch(b.ints, b.defs, nil)
	case *file.Int32ColumnChunkWriter:
		_, err = c.WriteBatch(b.days, b.defs, nil)
	case *file.Float64ColumnChunkWriter:
		_, err = c.WriteBatch(b.floats, b.defs, nil)
	case *file.BooleanColumnChunkWriter:
		_, err = c.WriteBatch(b.bools, b.defs, nil)
	default:
		err = fmt.Errorf("no such column writer: %T", c)
	}
	return err
}
