package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

func newKeyring(t testing.TB) *keyring.Embedded {
	t.Helper()
	dir := t.TempDir()
	k, err := keyring.Create(filepath.Join(dir, "keyring.age"), keyring.MachineKey(filepath.Join(dir, "key")), keyring.Options{})
	must(t, err)
	t.Cleanup(func() { k.Close() })
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rowList are rows from memory.
type rowList struct {
	rows [][]Value
	at   int
	hook func(row int) error // called before each row
}

func (r *rowList) Next(row []Value) error {
	if r.hook != nil {
		if err := r.hook(r.at); err != nil {
			return err
		}
	}
	if r.at == len(r.rows) {
		return io.EOF
	}
	copy(row, r.rows[r.at])
	r.at++
	return nil
}

// tiny cuts files into many row groups and pages.
var tiny = tuning{groupRows: 50, groupBytes: 1 << 20, pageBytes: 64, batchRows: 8}

func peopleRows(n int) [][]Value {
	rows := make([][]Value, n)
	for i := range rows {
		null := func(m int) bool { return i%m == 0 }
		rows[i] = []Value{
			{Text: []byte(keyOf(i))},
			{Null: null(3), Text: fmt.Appendf(nil, "name-%d", i*i)},
			{Null: null(4), Int: int64(i) * 1e15},
			{Null: null(5), Float: float64(i) / 7},
			{Int: int64(i) - 20},
			{Null: null(7), Int: int64(i % 2)},
		}
	}
	return rows
}

// texts gives a table's rows as text, "∅" for null.
func texts(t *Table, columns []string) ([]string, error) {
	var out []string
	err := t.Scan(context.Background(), columns, func(b *Batch) error {
		if int(b.First) != len(out) {
			return fmt.Errorf("a batch at row %d after %d rows", b.First, len(out))
		}
		for i := range b.Rows {
			var row []string
			for j := range b.Columns {
				v, ok := b.Columns[j].Text(i)
				if !ok {
					v = "∅"
				}
				row = append(row, v)
			}
			out = append(out, strings.Join(row, "|"))
		}
		return nil
	})
	return out, err
}

// wanted gives the same of the rows that were written.
func wanted(res *vocabulary.Resource, rows [][]Value, columns []string) []string {
	var out []string
	for _, r := range rows {
		var row []string
		for _, name := range columns {
			i := slices.IndexFunc(res.Columns, func(c vocabulary.Column) bool { return c.Name == name })
			v, c := r[i], Column{Type: Type(res.Columns[i].Type), Valid: []bool{true}}
			c.Strings, c.Ints, c.Floats, c.Bools = []string{string(v.Text)}, []int64{v.Int}, []float64{v.Float}, []bool{v.Int != 0}
			text, _ := c.Text(0)
			if v.Null {
				text = "∅"
			}
			row = append(row, text)
		}
		out = append(out, strings.Join(row, "|"))
	}
	return out
}

var allColumns = []string{"id", "name", "age", "income", "since", "active"}

// writePeople seals n rows with the given tuning.
func writePeople(t testing.TB, kr keyring.Wrapper, path string, version, n int, tune tuning) Sealed {
	t.Helper()
	s, err := writeFile(t.Context(), kr, path, people(), version, &rowList{rows: peopleRows(n)}, tune, nil)
	must(t, err)
	return s
}

func TestRoundTrip(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	for i, tune := range []tuning{tiny, defaultTuning, {groupRows: 1, groupBytes: 1, pageBytes: 1, batchRows: 1}, {groupRows: 1 << 20, groupBytes: 1000, pageBytes: 300, batchRows: 3}} {
		for _, n := range []int{1, 49, 50, 51, 333} {
			path := filepath.Join(dir, fmt.Sprint(i, n))
			s := writePeople(t, kr, path, 3, n, tune)
			tab, err := Open(t.Context(), kr, path, "people", 3)
			must(t, err)
			if info, err := os.Stat(path); err != nil || info.Size() != s.Bytes || info.Mode().Perm() != 0o600 || tab.Rows() != int64(n) || s.Rows != int64(n) {
				t.Fatalf("tuning %d: %d rows, %+v, %v", i, tab.Rows(), s, info)
			}
			if d, err := Digest(t.Context(), path); err != nil || d != s.Digest {
				t.Errorf("digest %s, %v, written %s", d, err, s.Digest)
			}
			for _, columns := range [][]string{allColumns, {"active"}, {"since", "id"}} {
				got, err := texts(tab, columns)
				if err != nil || !slices.Equal(got, wanted(people(), peopleRows(n), columns)) {
					t.Fatalf("tuning %d, %d rows, %v: %v, %d rows read", i, n, columns, err, len(got))
				}
			}
			must(t, tab.Close())
		}
	}
}

// Whatever the values, the nulls and the cut of the file, what comes out is
// what went in.
// anyRows are rows of people with any bytes, numbers and nulls.
func anyRows() *rapid.Generator[[][]Value] {
	null := rapid.Map(rapid.IntRange(0, 4), func(i int) bool { return i == 0 })
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []Value {
		return []Value{
			{Null: null.Draw(t, "null"), Text: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "text")},
			{Null: null.Draw(t, "null"), Text: []byte(rapid.String().Draw(t, "string"))},
			{Null: null.Draw(t, "null"), Int: rapid.Int64().Draw(t, "int")},
			{Null: null.Draw(t, "null"), Float: rapid.Float64().Draw(t, "float")},
			{Null: null.Draw(t, "null"), Int: int64(rapid.Int32().Draw(t, "date"))},
			{Null: null.Draw(t, "null"), Int: int64(rapid.IntRange(0, 1).Draw(t, "bool"))},
		}
	}), 0, 120)
}

func TestRoundTripOfAnything(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		tune := tuning{rapid.IntRange(1, 40).Draw(rt, "rows"), rapid.IntRange(1, 4000).Draw(rt, "bytes"), rapid.Int64Range(1, 400).Draw(rt, "page"), rapid.Int64Range(1, 10).Draw(rt, "batch")}
		rows := anyRows().Draw(rt, "rows")
		path := filepath.Join(dir, fmt.Sprint(n))
		if _, err := writeFile(t.Context(), kr, path, people(), 1, &rowList{rows: rows}, tune, nil); err != nil {
			rt.Fatal(err)
		}
		tab, err := Open(t.Context(), kr, path, "people", 1)
		if err != nil {
			rt.Fatal(err)
		}
		defer tab.Close()
		got, err := texts(tab, allColumns)
		if err != nil || !slices.Equal(got, wanted(people(), rows, allColumns)) {
			rt.Fatalf("%v\n%q\n%q", err, got, wanted(people(), rows, allColumns))
		}
	})
}

// countingKeyring counts the contexts that are unwrapped.
type countingKeyring struct {
	keyring.Wrapper
	mu       sync.Mutex
	contexts []string
	fail     func(context string) error
}

func (c *countingKeyring) Unwrap(ctx context.Context, context string, wrapped []byte) ([]byte, error) {
	c.mu.Lock()
	c.contexts = append(c.contexts, context)
	c.mu.Unlock()
	if c.fail != nil {
		if err := c.fail(context); err != nil {
			return nil, err
		}
	}
	return c.Wrapper.Unwrap(ctx, context, wrapped)
}

func TestOnlyRequestedKeysAreUnwrapped(t *testing.T) {
	kr := &countingKeyring{Wrapper: newKeyring(t)}
	path := filepath.Join(t.TempDir(), "f")
	writePeople(t, kr, path, 2, 200, tiny)
	kr.contexts = nil
	tab, err := Open(t.Context(), kr, path, "people", 2)
	must(t, err)
	defer tab.Close()
	const footer = "yingbi/sealed/2/people/2/footer"
	if !slices.Equal(kr.contexts, []string{footer}) {
		t.Errorf("opening unwrapped %q", kr.contexts)
	}
	kr.contexts = nil
	_, err = texts(tab, []string{"age", "id"})
	must(t, err)
	if want := []string{footer, "yingbi/sealed/2/people/2/column/age", "yingbi/sealed/2/people/2/column/id"}; !slices.Equal(kr.contexts, want) {
		t.Errorf("scanning unwrapped %q, want %q", kr.contexts, want)
	}
	// A column whose key is gone (shredded) does not keep the others from being read.
	gone := errors.New("key destroyed")
	kr.fail = func(context string) error {
		if strings.HasSuffix(context, "/name") {
			return gone
		}
		return nil
	}
	if _, err := texts(tab, []string{"id", "name"}); !errors.Is(err, ErrKey) || !errors.Is(err, gone) || !strings.Contains(err.Error(), "column name") {
		t.Errorf("a column without its key: %v", err)
	}
	if _, err := texts(tab, []string{"id", "age"}); err != nil {
		t.Errorf("the other columns: %v", err)
	}
}

func TestWrongKeysAndPlacesAreTypedErrors(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	path := filepath.Join(dir, "f")
	writePeople(t, kr, path, 2, 120, tiny)
	open := func(kr keyring.Wrapper, resource string, version int) error {
		tab, err := Open(t.Context(), kr, path, resource, version)
		if err == nil {
			tab.Close()
		}
		return err
	}
	if err := open(newKeyring(t), "people", 2); !errors.Is(err, ErrKey) || !errors.Is(err, keyring.ErrForeignKey) {
		t.Errorf("another domain's keyring: %v", err)
	}
	if err := open(kr, "people", 3); !errors.Is(err, ErrOther) {
		t.Errorf("another version: %v", err)
	}
	if err := open(kr, "firms", 2); !errors.Is(err, ErrOther) {
		t.Errorf("another resource: %v", err)
	}
	if err := open(kr, "../people", 2); err == nil {
		t.Error("a resource's id that is none was taken")
	}
	if err := open(kr, "people", 0); err == nil {
		t.Error("version 0 was taken")
	}
	// A keyring that gives the wrong key, or one of another length.
	for name, key := range map[string][]byte{"wrong": make([]byte, 32), "short": make([]byte, 16), "long": make([]byte, 33), "empty": {}} {
		wrong := &wrongKeyring{kr, key, "/footer"}
		if err := open(wrong, "people", 2); !errors.Is(err, ErrKey) && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s footer key: %v", name, err)
		}
		wrong.suffix = "/column/id"
		tab, err := Open(t.Context(), wrong, path, "people", 2)
		must(t, err)
		if _, err := texts(tab, []string{"id"}); !errors.Is(err, ErrKey) && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s column key: %v", name, err)
		}
		tab.Close()
	}
	if _, err := Open(t.Context(), kr, filepath.Join(dir, "none"), "people", 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(t.Context(), kr, dir, "people", 2); err == nil {
		t.Error("a directory was opened")
	}
}

type wrongKeyring struct {
	keyring.Wrapper
	key    []byte
	suffix string
}

func (w *wrongKeyring) Unwrap(ctx context.Context, context string, wrapped []byte) ([]byte, error) {
	if strings.HasSuffix(context, w.suffix) {
		return bytes.Clone(w.key), nil
	}
	return w.Wrapper.Unwrap(ctx, context, wrapped)
}

func TestScanRefusals(t *testing.T) {
	kr := newKeyring(t)
	path := filepath.Join(t.TempDir(), "f")
	writePeople(t, kr, path, 1, 120, tiny)
	tab, err := Open(t.Context(), kr, path, "people", 1)
	must(t, err)
	none := func(*Batch) error { t.Error("yield was called"); return nil }
	for _, columns := range [][]string{nil, {"nobody"}, {"id", "id"}, {rowColumn}, {""}} {
		if err := tab.Scan(t.Context(), columns, none); !errors.Is(err, ErrColumn) {
			t.Errorf("%q: %v", columns, err)
		}
	}
	stop := errors.New("enough")
	calls := 0
	if err := tab.Scan(t.Context(), []string{"id"}, func(*Batch) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := tab.Scan(ctx, []string{"id"}, func(*Batch) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := tab.Scan(ctx, []string{"id"}, none); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	func() { // a panic of the caller's stays one
		defer func() {
			if recover() == nil {
				t.Error("Scan took the caller's panic for a damaged file")
			}
		}()
		tab.Scan(t.Context(), []string{"id"}, func(*Batch) error { panic("mine") })
	}()
	must(t, tab.Close())
	if err := tab.Scan(t.Context(), []string{"id"}, none); !errors.Is(err, fs.ErrClosed) || errors.Is(err, ErrCorrupt) {
		t.Errorf("closed: %v", err)
	}
}

func TestConcurrentScans(t *testing.T) {
	kr := newKeyring(t)
	path := filepath.Join(t.TempDir(), "f")
	writePeople(t, kr, path, 1, 300, tiny)
	tab, err := Open(t.Context(), kr, path, "people", 1)
	must(t, err)
	defer tab.Close()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			columns := []string{allColumns[i], "id"}
			if i == 0 {
				columns = columns[:1]
			}
			if got, err := texts(tab, columns); err != nil || !slices.Equal(got, wanted(people(), peopleRows(300), columns)) {
				t.Errorf("%v: %v", columns, err)
			}
		})
	}
	wg.Wait()
}

// No value can be read from the disk: neither in the file nor, while it is
// written, in anything else in its directory. The keys beside it name columns,
// as the resource's manifest does, the file itself does not.
func TestNoPlaintextOnDisk(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	path := filepath.Join(dir, "f")
	rows := peopleRows(1000)
	looked := 0
	look := func(files int) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			must(t, err)
			looked += len(b)
			for _, plain := range []string{"A001", "name-1", "income", "active", "id\x00", "PAR1"} {
				column := plain == "income" || plain == "active"
				if bytes.Contains(b, []byte(plain)) && !(column && e.Name() == "f.keys") {
					t.Fatalf("%s holds %q", e.Name(), plain)
				}
			}
			if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %o", e.Name(), info.Mode().Perm())
			}
		}
		if len(entries) != files {
			t.Fatalf("%d files in the directory: %v", len(entries), entries)
		}
	}
	src := &rowList{rows: rows, hook: func(row int) error {
		if row%400 == 399 {
			look(1)
		}
		return nil
	}}
	_, err := writeFile(t.Context(), kr, path, people(), 1, src, tiny, nil)
	must(t, err)
	look(2)
	if looked < 50_000 {
		t.Errorf("only %d bytes were looked at", looked)
	}
}

func TestWriteFailsWhole(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	path := filepath.Join(dir, "f")
	empty := func(what string) {
		t.Helper()
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%s left %v", what, entries)
		}
	}
	broken := errors.New("no more rows")
	_, err := writeFile(t.Context(), kr, path, people(), 1, &rowList{rows: peopleRows(200), hook: func(row int) error {
		if row == 120 {
			return broken
		}
		return nil
	}}, tiny, nil)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "row 121") {
		t.Errorf("a source that breaks: %v", err)
	}
	empty("a source that breaks")
	_, err = writeFile(t.Context(), kr, path, people(), 1, &rowList{rows: peopleRows(9)}, tiny, func() error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("not accepted: %v", err)
	}
	empty("not accepted")
	ctx, cancel := context.WithCancel(t.Context())
	_, err = writeFile(ctx, kr, path, people(), 1, &rowList{rows: peopleRows(200), hook: func(row int) error {
		if row == 120 {
			cancel()
		}
		return nil
	}}, tiny, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	empty("cancelled")
	closed := newKeyring(t)
	closed.Close()
	if _, err := Write(t.Context(), closed, path, people(), 1, &rowList{rows: peopleRows(9)}); !errors.Is(err, ErrKey) || !errors.Is(err, keyring.ErrClosed) {
		t.Errorf("a closed keyring: %v", err)
	}
	empty("a closed keyring")
	must(t, os.WriteFile(path, []byte("x"), 0o600))
	if _, err := Write(t.Context(), kr, path, people(), 1, &rowList{rows: peopleRows(9)}); !errors.Is(err, ErrExists) {
		t.Errorf("over a file: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "x" {
		t.Error("the file that was there was changed")
	}
}

// A full disk is an error wherever it is met: every write in turn fails.
func TestEveryWriteFails(t *testing.T) {
	kr := newKeyring(t)
	columns, err := newSchema(people())
	must(t, err)
	full := errors.New("no space left on device")
	for n := 0; ; n += 97 {
		f := &failing{left: n, err: full}
		out := &sink{digest: nopHash{}}
		out.Writer = newBufio(f)
		_, _, err := write(t.Context(), kr, out, binding{"people", 1, layoutVersion}, columns, &rowList{rows: peopleRows(130)}, tiny)
		if err == nil {
			if n < 10_000 {
				t.Fatalf("a disk with room for %d bytes held the file", n)
			}
			return
		}
		if !errors.Is(err, full) {
			t.Fatalf("a disk full after %d bytes: %v", n, err)
		}
	}
}

func TestBatchesAreOfBoundedSize(t *testing.T) {
	kr := newKeyring(t)
	path := filepath.Join(t.TempDir(), "f")
	const n = 2*batchRows + 5
	rows := make([][]Value, n)
	for i := range rows {
		rows[i] = []Value{{Text: fmt.Append(nil, i)}, {Null: true}, {Int: int64(i)}, {Float: math.Pi}, {Int: 1}, {Null: true}}
	}
	_, err := Write(t.Context(), kr, path, people(), 1, &rowList{rows: rows})
	must(t, err)
	tab, err := Open(t.Context(), kr, path, "people", 1)
	must(t, err)
	defer tab.Close()
	var sizes []int
	var kept []string // strings stay valid
	must(t, tab.Scan(t.Context(), []string{"id", "age", "name"}, func(b *Batch) error {
		sizes = append(sizes, b.Rows)
		kept = append(kept, b.Columns[0].Strings...)
		for i := range b.Rows {
			if b.Columns[1].Ints[i] != b.First+int64(i) || b.Columns[2].Valid[i] || b.Columns[2].Strings[i] != "" {
				return fmt.Errorf("row %d", b.First+int64(i))
			}
		}
		return nil
	}))
	if !slices.Equal(sizes, []int{batchRows, batchRows, 5}) {
		t.Errorf("batches of %v rows", sizes)
	}
	for i, s := range kept {
		if s != fmt.Sprint(i) {
			t.Fatalf("row %d: %q", i, s)
		}
	}
}
