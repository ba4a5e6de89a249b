package sealed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// sealedPeople is a sealed file and its digest.
func sealedPeople(t testing.TB, kr keyring.Wrapper, version int) (path, digest string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "people.parquet")
	return path, writePeople(t, kr, path, version, 120, tiny).Digest
}

// reads checks that the columns have what was written.
func reads(t *testing.T, kr keyring.Wrapper, path string, columns ...string) error {
	t.Helper()
	tab, err := Open(t.Context(), kr, path, "people", 2)
	if err != nil {
		return err
	}
	defer tab.Close()
	got, err := texts(tab, columns)
	if err == nil && !slices.Equal(got, wanted(people(), peopleRows(int(tab.Rows())), columns)) {
		t.Fatal("other rows were read than were written")
	}
	return err
}

func unchanged(t *testing.T, path, digest string) {
	t.Helper()
	if now, err := Digest(t.Context(), path); err != nil || now != digest {
		t.Errorf("the file's digest is %s (%v), it was logged as %s", now, err, digest)
	}
}

// "The key metadata in the Parquet only names the column": no wrapped key is in
// the file, and the keys beside it are private.
func TestKeysLieBesideTheFile(t *testing.T) {
	kr := newKeyring(t)
	path, _ := sealedPeople(t, kr, 2)
	info, err := os.Stat(KeysPath(path))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the keys' mode is %v", info.Mode())
	}
	k, err := readKeys(KeysPath(path))
	must(t, err)
	if len(k.Columns) != len(allColumns) || len(k.Footer) == 0 {
		t.Fatalf("keys of %d columns", len(k.Columns))
	}
	file, err := os.ReadFile(path)
	must(t, err)
	for name, wrapped := range k.Columns {
		if bytes.Contains(file, wrapped) || bytes.Contains(file, wrapped[:16]) {
			t.Errorf("the file holds the wrapped key of %s", name)
		}
	}
}

func TestRewrap(t *testing.T) {
	kr := newKeyring(t)
	path, digest := sealedPeople(t, kr, 2)
	if n, err := Rewrap(t.Context(), kr, path, "people", 2); err != nil || n != 0 {
		t.Errorf("under the newest key already: %d, %v", n, err)
	}
	_, err := kr.RotateWrapping(t.Context())
	must(t, err)
	must(t, reads(t, kr, path, allColumns...))
	if n, err := Rewrap(t.Context(), kr, path, "people", 2); err != nil || n != len(allColumns)+1 {
		t.Errorf("rewrapped %d keys, %v", n, err)
	}
	if n, err := kr.DestroyWrapping(t.Context()); err != nil || n != 1 {
		t.Errorf("destroyed %d, %v", n, err)
	}
	must(t, reads(t, kr, path, allColumns...))
	unchanged(t, path, digest)
}

// What was not rewrapped is lost with its wrapping key, and says so.
func TestDestroyedWrappingKey(t *testing.T) {
	kr := newKeyring(t)
	path, _ := sealedPeople(t, kr, 2)
	_, err := kr.RotateWrapping(t.Context())
	must(t, err)
	_, err = kr.DestroyWrapping(t.Context())
	must(t, err)
	if err := reads(t, kr, path, "id"); !errors.Is(err, ErrKey) || !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("reading: %v", err)
	}
	if _, err := Rewrap(t.Context(), kr, path, "people", 2); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("rewrapping: %v", err)
	}
}

// A shredded column is gone for good, a copy of the old keys included once the
// wrapping key is destroyed; the others are read as before.
func TestShred(t *testing.T) {
	kr := newKeyring(t)
	path, digest := sealedPeople(t, kr, 2)
	old, err := os.ReadFile(KeysPath(path))
	must(t, err)
	for i, want := range []bool{true, false} {
		if was, err := Shred(t.Context(), kr, path, "people", 2, "name"); err != nil || was != want {
			t.Errorf("shred %d: %v, %v", i, was, err)
		}
	}
	if was, err := Shred(t.Context(), kr, path, "people", 2, "nobody"); err != nil || was {
		t.Errorf("a column that is not there: %v, %v", was, err)
	}
	if err := reads(t, kr, path, "id", "name"); !errors.Is(err, ErrShredded) || !strings.Contains(err.Error(), "column name") {
		t.Errorf("a shredded column: %v", err)
	}
	must(t, reads(t, kr, path, "id", "age", "income", "since", "active"))
	tab, err := Open(t.Context(), kr, path, "people", 2)
	must(t, err)
	for _, c := range tab.Columns() {
		if c.Shredded != (c.Name == "name") {
			t.Errorf("column %s: shredded: %v", c.Name, c.Shredded)
		}
	}
	must(t, tab.Close())

	_, err = kr.RotateWrapping(t.Context())
	must(t, err)
	_, err = Rewrap(t.Context(), kr, path, "people", 2)
	must(t, err)
	_, err = kr.DestroyWrapping(t.Context())
	must(t, err)
	must(t, reads(t, kr, path, "id", "age"))
	must(t, os.WriteFile(KeysPath(path), old, 0o600))
	if err := reads(t, kr, path, "name"); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("a copy of the old keys: %v", err)
	}
	unchanged(t, path, digest)
}

func TestReseal(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	first, second := filepath.Join(dir, "people-2.parquet"), filepath.Join(dir, "people-3.parquet")
	writePeople(t, kr, first, 2, 120, tiny)
	_, err := Shred(t.Context(), kr, first, "people", 2, "income")
	must(t, err)
	tab, err := Open(t.Context(), kr, first, "people", 2)
	must(t, err)
	defer tab.Close()
	var told int64
	s, err := Reseal(t.Context(), tab, second, 3, func(done, total int64) { told = done })
	must(t, err)
	if s.Rows != 120 || told != 120 {
		t.Errorf("%d rows, told of %d", s.Rows, told)
	}
	again, err := Open(t.Context(), kr, second, "people", 3)
	must(t, err)
	defer again.Close()
	kept := []string{"id", "name", "age", "since", "active"}
	got, err := texts(again, kept)
	must(t, err)
	if !slices.Equal(got, wanted(people(), peopleRows(120), kept)) {
		t.Error("other rows than were sealed first")
	}
	if len(again.Columns()) != len(kept) {
		t.Errorf("columns %v", again.Columns())
	}
	unwrapped := func(path string, version int) (out [][]byte) {
		k, err := readKeys(KeysPath(path))
		must(t, err)
		for _, name := range kept {
			key, err := kr.Unwrap(t.Context(), binding{"people", version, layoutVersion}.keyContext(name), k.Columns[name])
			must(t, err)
			out = append(out, key)
		}
		return out
	}
	before, after := unwrapped(first, 2), unwrapped(second, 3)
	for i := range before {
		if bytes.Equal(before[i], after[i]) {
			t.Errorf("column %s kept its data key", kept[i])
		}
	}
	for _, name := range kept {
		_, err := Shred(t.Context(), kr, first, "people", 2, name)
		must(t, err)
	}
	none, err := Open(t.Context(), kr, first, "people", 2)
	must(t, err)
	defer none.Close()
	if _, err := Reseal(t.Context(), none, filepath.Join(dir, "people-4.parquet"), 4, nil); !errors.Is(err, ErrShredded) {
		t.Errorf("nothing left to seal: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "people-4.keys")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused reseal left keys: %v", err)
	}
}

// Every way in which the keys beside a file are not its own is an error of a
// kind, that names what to do.
func TestKeysThatAreNotTheFiles(t *testing.T) {
	kr := newKeyring(t)
	path, _ := sealedPeople(t, kr, 2)
	keys := KeysPath(path)
	whole, err := os.ReadFile(keys)
	must(t, err)
	other, _ := sealedPeople(t, kr, 2)
	others, err := os.ReadFile(KeysPath(other))
	must(t, err)
	older, _ := sealedPeople(t, kr, 1)
	olders, err := os.ReadFile(KeysPath(older))
	must(t, err)
	edit := func(change func(*keySet)) []byte {
		k, err := decodeKeys(whole)
		must(t, err)
		change(k)
		b, err := json.Marshal(k)
		must(t, err)
		return append(b, '\n')
	}
	for _, c := range []struct {
		name string
		keys []byte
		kind error
		says string
	}{
		{"missing", nil, ErrKey, "restore it from a backup"},
		{"empty", []byte{}, ErrCorrupt, "no whole key set"},
		{"truncated", whole[:len(whole)-9], ErrCorrupt, "no whole key set"},
		{"without its newline", whole[:len(whole)-1], ErrCorrupt, "not as they are written"},
		{"with something after", append(bytes.Clone(whole), '\n'), ErrCorrupt, ""},
		{"spaced out", bytes.Replace(whole, []byte(`:`), []byte(`: `), 1), ErrCorrupt, "not as they are written"},
		{"with a name twice", bytes.Replace(whole, []byte(`"v":1`), []byte(`"v":1,"v":1`), 1), ErrCorrupt, ""},
		{"with an unknown name", bytes.Replace(whole, []byte(`"v":1`), []byte(`"v":1,"w":1`), 1), ErrCorrupt, ""},
		{"of a later format", bytes.Replace(whole, []byte(`"v":1`), []byte(`"v":2`), 1), ErrLayout, "this program reads 1: use a newer yingbi"},
		{"of another file", others, ErrOther, "restore the two together"},
		{"of another version", olders, ErrOther, "version 1"},
		{"without a column", edit(func(k *keySet) { delete(k.Columns, "id") }), ErrCorrupt, "lack column id"},
		{"with two columns exchanged", edit(func(k *keySet) { k.Columns["id"], k.Columns["age"] = k.Columns["age"], k.Columns["id"] }), ErrKey, "column id"},
		{"with the footer's key altered", edit(func(k *keySet) { k.Footer[len(k.Footer)-1] ^= 1 }), ErrKey, "the footer"},
		{"with an empty key", edit(func(k *keySet) { k.Columns["id"] = nil }), ErrCorrupt, ""},
		{"with a column shredded", edit(func(k *keySet) { delete(k.Columns, "id"); k.Shredded = []string{"id"} }), ErrShredded, "column id"},
		{"shredded and kept", edit(func(k *keySet) { k.Shredded = []string{"id"} }), ErrCorrupt, ""},
		{"too large", bytes.Repeat([]byte(" "), maxKeysFile+1), ErrCorrupt, "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.Remove(keys))
			if c.keys != nil {
				must(t, os.WriteFile(keys, c.keys, 0o600))
			}
			err := reads(t, kr, path, "id")
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, expected %v with %q", err, c.kind, c.says)
			}
			must(t, os.WriteFile(keys, whole, 0o600))
		})
	}
}

// A file of layout 1, written by the code before the keys left the file, opens,
// and gets its keys beside it by the first rewrap.
func TestLayoutOne(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"keyring.age", "mark", "people-2.parquet"} {
		b, err := os.ReadFile(filepath.Join("testdata", "layout1", name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	kr, err := keyring.Open(filepath.Join(dir, "keyring.age"), keyring.Passphrase([]byte("correct horse")), keyring.Options{})
	must(t, err)
	defer kr.Close()
	path := filepath.Join(dir, "people-2.parquet")
	digest, err := Digest(t.Context(), path)
	must(t, err)
	must(t, reads(t, kr, path, allColumns...))
	if _, err := os.Stat(KeysPath(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading wrote keys: %v", err)
	}
	_, err = kr.RotateWrapping(t.Context())
	must(t, err)
	if n, err := Rewrap(t.Context(), kr, path, "people", 2); err != nil || n != len(allColumns)+1 {
		t.Errorf("rewrapped %d keys, %v", n, err)
	}
	_, err = kr.DestroyWrapping(t.Context())
	must(t, err)
	must(t, reads(t, kr, path, allColumns...)) // by the keys beside it: those within open no more
	_, err = Shred(t.Context(), kr, path, "people", 2, "name")
	must(t, err)
	if err := reads(t, kr, path, "name"); !errors.Is(err, ErrShredded) {
		t.Errorf("a shredded column: %v", err)
	}
	must(t, reads(t, kr, path, "id"))
	unchanged(t, path, digest)
	must(t, os.Remove(KeysPath(path)))
	if err := reads(t, kr, path, "id"); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("by the keys within: %v", err)
	}
}

// failingWrapper fails one call of Wrap.
type failingWrapper struct {
	keyring.Wrapper
	left int
}

func (w *failingWrapper) Wrap(ctx context.Context, context string, key []byte) ([]byte, error) {
	if w.left--; w.left == 0 {
		return nil, errors.New("the keyring is away")
	}
	return w.Wrapper.Wrap(ctx, context, key)
}

// An interrupted rewrap leaves the keys as they were.
func TestRewrapFailsWhole(t *testing.T) {
	kr := newKeyring(t)
	path, _ := sealedPeople(t, kr, 2)
	_, err := kr.RotateWrapping(t.Context())
	must(t, err)
	before, err := os.ReadFile(KeysPath(path))
	must(t, err)
	for left := 1; left <= len(allColumns)+1; left++ {
		if _, err := Rewrap(t.Context(), &failingWrapper{kr, left}, path, "people", 2); !errors.Is(err, ErrKey) {
			t.Errorf("failing at key %d: %v", left, err)
		}
		if after, _ := os.ReadFile(KeysPath(path)); !bytes.Equal(before, after) {
			t.Fatalf("failing at key %d changed the keys", left)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.tmp")); len(names) > 0 {
		t.Errorf("left over: %v", names)
	}
}

// FuzzKeys: what is read as a key set is one that is written so.
func FuzzKeys(f *testing.F) {
	kr := newKeyring(f)
	path, _ := sealedPeople(f, kr, 2)
	b, err := os.ReadFile(KeysPath(path))
	must(f, err)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte(`{"v":1,"resource":"people","version":1,"layout":"2","file":"0011223344556677","footer":"AA==","columns":{"id":"AA=="},"shredded":["age"]}` + "\n"))
	f.Add([]byte(`{"v":1,"columns":null}`))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := decodeKeys(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrLayout) {
				t.Errorf("an error of no type: %v", err)
			}
			return
		}
		again, err := k.encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("written again it differs (%v)", err)
		}
	})
}
