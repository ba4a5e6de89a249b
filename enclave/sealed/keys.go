package sealed

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/parquet"
)

// keySet is a sealed file's data keys, wrapped. It lies beside the file, so
// that keys are wrapped anew and destroyed without a byte of the file changing:
// the file's digest is on the ledger.
type keySet struct {
	V        int               `json:"v"`        // keysVersion
	Resource string            `json:"resource"` //
	Version  int               `json:"version"`  // of the resource
	Layout   string            `json:"layout"`   // of the sealed file: part of every key's context
	File     string            `json:"file"`     // the sealed file's own number, hex: keys of another are told from damage
	Footer   []byte            `json:"footer"`
	Columns  map[string][]byte `json:"columns"`
	Shredded []string          `json:"shredded,omitempty"` // columns whose key was destroyed, sorted
}

const (
	keysVersion = 1
	maxKeysFile = 8 << 20
	maxWrapped  = 4 << 10
)

// KeysPath is where the keys of the sealed file at path lie.
func KeysPath(path string) string { return strings.TrimSuffix(path, ".parquet") + ".keys" }

// encode is the one way in which a key set is written.
func (k *keySet) encode() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	if len(b) >= maxKeysFile {
		return nil, fmt.Errorf("its keys take %d bytes, at most %d are kept", len(b), maxKeysFile)
	}
	return append(b, '\n'), nil
}

// decodeKeys reads a key set as encode writes it and in no other form.
func decodeKeys(b []byte) (*keySet, error) {
	if len(b) > maxKeysFile {
		return nil, fmt.Errorf("%w: its keys take more than %d bytes", ErrCorrupt, maxKeysFile)
	}
	k := new(keySet)
	if err := json.Unmarshal(b, k); err != nil {
		return nil, fmt.Errorf("%w: its keys are no whole key set", ErrCorrupt) // the decoder's own words may quote what is in it
	}
	if k.V != keysVersion {
		return nil, fmt.Errorf("%w: of its keys: %d, this program reads %d: use a newer yingbi", ErrLayout, k.V, keysVersion)
	}
	again, err := k.encode()
	if err != nil {
		return nil, fmt.Errorf("%w: its keys: %w", ErrCorrupt, err)
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: its keys are not as they are written", ErrCorrupt)
	}
	return k, nil
}

func (k *keySet) check() error {
	b := binding{k.Resource, k.Version, k.Layout}
	if err := b.check(); err != nil {
		return err
	}
	if n, err := hex.DecodeString(k.File); err != nil || len(n) != int(parquet.AadFileUniqueLength) {
		return errors.New("the file's number is none")
	}
	if k.Columns == nil || len(k.Columns)+len(k.Shredded) > maxColumns {
		return fmt.Errorf("they are of %d columns", len(k.Columns)+len(k.Shredded))
	}
	wrapped := slices.Collect(maps.Values(k.Columns))
	for _, w := range append(wrapped, k.Footer) {
		if len(w) < 1 || len(w) > maxWrapped {
			return fmt.Errorf("a wrapped key has %d bytes", len(w))
		}
	}
	for name := range k.Columns {
		if !columnName.MatchString(name) {
			return errors.New("a column's name is none")
		}
	}
	for i, name := range k.Shredded {
		if _, kept := k.Columns[name]; kept || !columnName.MatchString(name) || i > 0 && k.Shredded[i-1] >= name {
			return errors.New("the shredded columns are not in order")
		}
	}
	return nil
}

// fileNumber is a sealed file's own number, as a key set names it.
func fileNumber(a parquet.Algorithm) string { return hex.EncodeToString(a.Aad.AadFileUnique) }

// readKeys reads the keys beside a sealed file; nil, nil: there are none.
func readKeys(path string) (*keySet, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeysFile+1))
	if err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	return decodeKeys(b)
}

// writeKeys replaces the keys at path, whole and durably.
func writeKeys(path string, k *keySet) (err error) {
	b, err := k.encode()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
