package sealed

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// Rewrap wraps a version's data keys anew under the keyring's newest wrapping
// key, where they are not yet, and gives how many were. The file stays as it is.
// An interrupted Rewrap has done all or nothing.
func Rewrap(ctx context.Context, kr keyring.Wrapper, path, resource string, version int) (int, error) {
	return changeKeys(ctx, kr, path, resource, version, func(t *Table, k *keySet) (int, error) {
		changed, err := t.rewrap(ctx, "", &k.Footer)
		if err != nil {
			return 0, err
		}
		for name, wrapped := range k.Columns {
			n, err := t.rewrap(ctx, name, &wrapped)
			if err != nil {
				return 0, err
			}
			k.Columns[name] = wrapped
			changed += n
		}
		return changed, nil
	})
}

// Shred drops a column's data key and gives whether there was one. What copies
// of the old keys open is for the keyring to end: the caller rotates the
// wrapping key, rewraps, and destroys the old one.
func Shred(ctx context.Context, kr keyring.Wrapper, path, resource string, version int, column string) (bool, error) {
	n, err := changeKeys(ctx, kr, path, resource, version, func(t *Table, k *keySet) (int, error) {
		known := slices.ContainsFunc(t.columns, func(c ColumnInfo) bool { return c.Name == column })
		if !known || slices.Contains(k.Shredded, column) {
			return 0, nil
		}
		delete(k.Columns, column)
		k.Shredded = append(k.Shredded, column)
		slices.Sort(k.Shredded)
		return 1, nil
	})
	return n > 0, err
}

// changeKeys changes the keys of one file. A file of layout 1 gets its keys
// beside it by it, whether change changes any or not.
func changeKeys(ctx context.Context, kr keyring.Wrapper, path, resource string, version int, change func(*Table, *keySet) (int, error)) (int, error) {
	t, err := Open(ctx, kr, path, resource, version)
	if err != nil {
		return 0, err
	}
	defer t.Close()
	keys, within := t.keys, t.keys == nil
	if within {
		if keys, err = t.gather(ctx); err != nil {
			return 0, fmt.Errorf("the keys of %s version %d: %w", resource, version, err)
		}
	}
	n, err := change(t, keys)
	if err == nil && (n > 0 || within) {
		err = writeKeys(KeysPath(path), keys)
	}
	if err != nil {
		return 0, fmt.Errorf("the keys of %s version %d: %w", resource, version, err)
	}
	return n, nil
}

func (t *Table) rewrap(ctx context.Context, column string, wrapped *[]byte) (int, error) {
	made, newest, err := t.kr.Wrapping(ctx, *wrapped)
	if err != nil {
		return 0, keyError(column, err)
	}
	if made == newest {
		return 0, nil
	}
	key, err := t.kr.Unwrap(ctx, t.keyContext(column), *wrapped)
	if err != nil {
		return 0, keyError(column, err)
	}
	defer clear(key)
	*wrapped, err = t.kr.Wrap(ctx, t.keyContext(column), key)
	if err != nil {
		return 0, keyError(column, err)
	}
	return 1, nil
}

// gather takes the keys of a layout 1 file out of its metadata.
func (t *Table) gather(ctx context.Context) (*keySet, error) {
	r, keys, err := t.reader(ctx)
	if err != nil {
		return nil, err
	}
	out := &keySet{V: keysVersion, Resource: t.resource, Version: t.version, Layout: t.layout, File: t.number,
		Footer: keys.last, Columns: map[string][]byte{}}
	if r.NumRowGroups() == 0 {
		return out, nil // nothing is encrypted under a column's key
	}
	for i, c := range t.columns {
		keys.column = c.Name
		if err := keys.guard("reading the key of column "+c.Name, func() error {
			_, err := r.RowGroup(0).MetaData().ColumnChunk(i + 1)
			return err
		}); err != nil {
			return nil, err
		}
		out.Columns[c.Name] = keys.last
	}
	return out, nil
}

// Reseal seals what a table holds as another version of its resource, under
// fresh data keys, at path. Columns whose key was shredded are left out.
func Reseal(ctx context.Context, t *Table, path string, version int, progress func(done, total int64)) (Sealed, error) {
	var columns []column
	var wanted []string
	for _, c := range t.columns {
		if !c.Shredded {
			columns = append(columns, column{name: c.Name, typ: c.Type})
			wanted = append(wanted, c.Name)
		}
	}
	if len(columns) == 0 {
		return Sealed{}, fmt.Errorf("%w: every column of %s version %d", ErrShredded, t.resource, t.version)
	}
	next, stop := iter.Pull2(func(yield func(*Batch, error) bool) {
		if err := t.Scan(ctx, wanted, func(b *Batch) error {
			if !yield(b, nil) {
				return context.Canceled // nobody reads on
			}
			return nil
		}); err != nil {
			yield(nil, err)
		}
	})
	defer stop()
	rows := &resealed{next: next, total: t.rows, progress: progress}
	return writeColumns(ctx, t.kr, path, binding{t.resource, version, layoutVersion}, columns, rows, defaultTuning, nil)
}

// resealed are a table's rows, one by one.
type resealed struct {
	next     func() (*Batch, error, bool)
	batch    *Batch
	at       int
	total    int64
	progress func(done, total int64)
}

func (r *resealed) Next(row []Value) error {
	if r.batch == nil || r.at == r.batch.Rows {
		if r.batch != nil && r.progress != nil {
			r.progress(r.batch.First+int64(r.batch.Rows), r.total)
		}
		b, err, ok := r.next()
		if !ok {
			return io.EOF
		}
		if err != nil {
			return err
		}
		r.batch, r.at = b, 0
	}
	for i := range row {
		row[i] = r.batch.Columns[i].value(r.at)
	}
	r.at++
	return nil
}

func (c *Column) value(i int) Value {
	if !c.Valid[i] {
		return Value{Null: true}
	}
	switch c.Type {
	case String:
		return Value{Text: []byte(c.Strings[i])}
	case Integer, Date:
		return Value{Int: c.Ints[i]}
	case Number:
		return Value{Float: c.Floats[i]}
	}
	v := Value{}
	if c.Bools[i] {
		v.Int = 1
	}
	return v
}
