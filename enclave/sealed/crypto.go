package sealed

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/schema"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// The layout's version is in the file's metadata, under the footer's encryption,
// and in every key's context and page's associated data. Files of layout 1 hold
// their wrapped keys in their own metadata, until the first rewrap.
const (
	layoutVersion = "2"
	layoutOne     = "1"
)

// Metadata of the file.
const (
	metaLayout   = "yingbi.layout"
	metaResource = "yingbi.resource"
	metaVersion  = "yingbi.version"
)

// rowColumn is the first column of every file: true in every row, under the
// footer's key. It is there because the Parquet library cannot write a file
// with an encrypted footer whose first column has a key of its own (it looks
// into that column's metadata after encrypting it, and meets nil). No resource
// has a column of this name: theirs begin with a letter.
const rowColumn = "_row"

const dataKeyBytes = 32

// binding is what a file's keys and pages are bound to.
type binding struct {
	resource string
	version  int
	layout   string
}

func (b binding) check() error {
	if !resourceID.MatchString(b.resource) || b.version < 1 {
		return fmt.Errorf("sealed: resource %.70q, version %d: not an id and a version from 1 on", b.resource, b.version)
	}
	if b.layout != layoutVersion && b.layout != layoutOne {
		return fmt.Errorf("%w: %.20q, this program reads %s and %s: use a newer yingbi", ErrLayout, b.layout, layoutOne, layoutVersion)
	}
	return nil
}

// aadPrefix is the file's part of every page's associated data; the format
// adds kind, row group, column and page.
func (b binding) aadPrefix() string {
	return fmt.Sprintf("yingbi/sealed/%s/%s/%d", b.layout, b.resource, b.version)
}

// keyContext is under what the keyring wraps a data key. Ids and column names
// hold no slash, so that no two contexts meet.
func (b binding) keyContext(column string) string {
	if column == "" {
		return b.aadPrefix() + "/footer"
	}
	return b.aadPrefix() + "/column/" + column
}

// newDataKey draws a data key and wraps it. The key is a string because the
// library takes nothing else.
func (b binding) newDataKey(ctx context.Context, kr keyring.Wrapper, column string) (key string, wrapped []byte, err error) {
	k := make([]byte, dataKeyBytes)
	defer clear(k)
	rand.Read(k)
	w, err := kr.Wrap(ctx, b.keyContext(column), k)
	if err != nil {
		return "", nil, fmt.Errorf("%w: wrapping: %w", ErrKey, err)
	}
	return string(k), w, nil
}

// footerName stands for the footer where a column is named: no column's name
// begins with _.
const footerName = "_footer"

// encryption makes the keys of a new file. In the file stands only which key is
// meant.
func (b binding) encryption(ctx context.Context, kr keyring.Wrapper, columns []column) (*parquet.FileEncryptionProperties, *keySet, error) {
	set := &keySet{V: keysVersion, Resource: b.resource, Version: b.version, Layout: b.layout, Columns: map[string][]byte{}}
	props := parquet.ColumnPathToEncryptionPropsMap{rowColumn: parquet.NewColumnEncryptionProperties(rowColumn)}
	for _, c := range columns {
		key, wrapped, err := b.newDataKey(ctx, kr, c.name)
		if err != nil {
			return nil, nil, err
		}
		set.Columns[c.name] = wrapped
		props[c.name] = parquet.NewColumnEncryptionProperties(c.name, parquet.WithKey(key), parquet.WithKeyMetadata(c.name))
	}
	key, wrapped, err := b.newDataKey(ctx, kr, "")
	if err != nil {
		return nil, nil, err
	}
	enc := parquet.NewFileEncryptionProperties(key, parquet.WithAlg(parquet.AesGcm), parquet.WithFooterKeyMetadata(footerName),
		parquet.WithAadPrefix(b.aadPrefix()), parquet.WithEncryptedColumns(props))
	set.Footer, set.File = wrapped, fileNumber(enc.Algorithm())
	return enc, set, nil
}

// retriever unwraps the keys that the library asks for, while it reads. The
// library asks by key metadata alone, so column says what is being opened.
type retriever struct {
	binding
	ctx    context.Context
	kr     keyring.Wrapper
	keys   *keySet // nil: the keys are in the file
	column string  // "": the footer
	last   []byte  // the wrapped key that was asked for last
	err    error
}

// GetKey implements parquet.DecryptionKeyRetriever. It gives "" where there is
// no key, over which the library panics; err then says why.
func (r *retriever) GetKey(metadata []byte) string {
	wrapped, err := r.wrapped(metadata)
	if err != nil {
		r.err = err
		return ""
	}
	r.last = bytes.Clone(wrapped)
	k, err := r.kr.Unwrap(r.ctx, r.keyContext(r.column), wrapped)
	defer clear(k)
	if err == nil && len(k) != dataKeyBytes {
		err = fmt.Errorf("it has %d bytes, not %d", len(k), dataKeyBytes)
	}
	if err != nil {
		r.err = keyError(r.column, err)
		return ""
	}
	return string(k)
}

// wrapped is the wrapped key of what is being opened.
func (r *retriever) wrapped(metadata []byte) ([]byte, error) {
	if r.layout != layoutOne {
		name := r.column
		if name == "" {
			name = footerName
		}
		if string(metadata) != name {
			return nil, fmt.Errorf("%w: it names the key of %.70q where that of %s belongs", ErrCorrupt, metadata, name)
		}
	}
	switch {
	case r.keys == nil:
		return metadata, nil
	case r.column == "":
		return r.keys.Footer, nil
	case slices.Contains(r.keys.Shredded, r.column):
		return nil, fmt.Errorf("%w: column %s", ErrShredded, r.column)
	}
	wrapped, ok := r.keys.Columns[r.column]
	if !ok {
		return nil, fmt.Errorf("%w: its keys lack column %s", ErrCorrupt, r.column)
	}
	return wrapped, nil
}

// keyError is an error of the keyring's, of a column or of the footer.
func keyError(column string, err error) error {
	what := "the footer"
	if column != "" {
		what = "column " + column
	}
	return fmt.Errorf("%w: of %s: %w", ErrKey, what, err)
}

// parquetSchema is the file's schema: the row column, then the resource's, all
// of which may be null.
func parquetSchema(columns []column) (*schema.GroupNode, error) {
	fields := schema.FieldList{schema.NewBooleanNode(rowColumn, parquet.Repetitions.Required, -1)}
	for _, c := range columns {
		p, l := c.typ.physical()
		node, err := schema.NewPrimitiveNodeLogical(c.name, parquet.Repetitions.Optional, l, p, 0, -1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, node)
	}
	return schema.NewGroupNode("resource", parquet.Repetitions.Required, fields, -1)
}

// physical is how a type is stored.
func (t Type) physical() (parquet.Type, schema.LogicalType) {
	switch t {
	case String:
		return parquet.Types.ByteArray, schema.StringLogicalType{}
	case Integer:
		return parquet.Types.Int64, schema.NewIntLogicalType(64, true)
	case Number:
		return parquet.Types.Double, schema.NoLogicalType{}
	case Date:
		return parquet.Types.Int32, schema.DateLogicalType{}
	case Boolean:
		return parquet.Types.Boolean, schema.NoLogicalType{}
	}
	return parquet.Types.Undefined, schema.UnknownLogicalType{}
}

// typeOf is the inverse of physical.
func typeOf(c *schema.Column) (Type, bool) {
	for _, t := range []Type{String, Integer, Number, Date, Boolean} {
		p, l := t.physical()
		if c.PhysicalType() == p && c.LogicalType().Equals(l) {
			return t, true
		}
	}
	return "", false
}
