package lookup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copyFile gives a test a table file of its own.
func copyFile(t *testing.T, from string) string {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// patch writes bytes into a file and returns what was there.
func patch(t *testing.T, path string, at int64, b []byte) (old []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old = make([]byte, len(b))
	if _, err := f.ReadAt(old, at); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	return old
}

func TestOpenDetectsDamageAnywhere(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	path := copyFile(t, f.path)
	l := f.layout()
	for _, c := range []struct {
		name string
		at   int64
		want error
	}{
		{"magic", 0, ErrLayout},
		{"layout version", 16, ErrLayout},
		{"columns", 21, ErrCorrupt},
		{"sub-tables", 28, ErrCorrupt},
		{"parameter set", 40, ErrCorrupt},
		{"seeds", 64, ErrCorrupt},
		{"digest", 160, ErrCorrupt},
		{"file size", 256, ErrCorrupt},
		{"header checksum", 264, ErrCorrupt},
		{"header padding", 300, ErrCorrupt},
		{"header's end", headerBytes - 1, ErrCorrupt},
		{"table's first byte", l.table, ErrCorrupt},
		{"table", l.table + 1234567, ErrCorrupt},
		{"table's last byte", l.digits - 1, ErrCorrupt},
		{"digits' first byte", l.digits, ErrCorrupt},
		{"digits", l.digits + 20_000_001, ErrCorrupt},
		{"digits' last byte", l.answer - 1, ErrCorrupt},
		{"answer's first byte", l.answer, ErrCorrupt},
		{"answer's last byte", l.end - 1, ErrCorrupt},
	} {
		old := patch(t, path, c.at, []byte{0})
		patch(t, path, c.at, []byte{old[0] ^ 0x10})
		table, err := Open(path, f.public)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, expected %v", c.name, err, c.want)
		}
		if c.name == "layout version" && !strings.Contains(err.Error(), "use a newer yingbi") {
			t.Errorf("a later layout: %v", err)
		}
		if err == nil {
			table.Close()
		}
		patch(t, path, c.at, old)
	}
	for _, size := range []int64{0, 15, headerBytes - 1, headerBytes, l.digits, l.end - 1, l.end + 1} {
		short := copyFile(t, f.path)
		if err := os.Truncate(short, size); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(short, f.public); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrLayout) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), f.public); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	table, err := Open(path, f.public) // everything was put back
	if err != nil {
		t.Fatal(err)
	}
	table.Close()
}

// Whoever can write the file can make its checksums hold. What the descriptor
// names is compared with it; the digits, which it does not name, are caught by
// the query that Open asks itself.
func TestOpenDetectsForgedChecksums(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	l := f.layout()
	const smallerPrime = 94887937 // a forged digit stays canonical
	forge := func(t *testing.T, at int64) error {
		path := copyFile(t, f.path)
		old := patch(t, path, at, make([]byte, 4))
		patch(t, path, at, binary.LittleEndian.AppendUint32(nil, (binary.LittleEndian.Uint32(old)+1)%smallerPrime))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h := &header{params: f.Params, seeds: f.seeds}
		columns := make([]byte, f.TableBytes())
		for c := 0; c < f.Columns; c += pieceColumns {
			untileColumns(columns[c*f.Rows:][:pieceColumns*f.Rows], b[l.table:l.digits], f.Rows, c)
		}
		block := sha256.Sum256(b[l.digits:l.answer])
		h.table, h.digits, h.answer = sha256.Sum256(columns), sha256.Sum256(block[:]), sha256.Sum256(b[l.answer:])
		patch(t, path, 0, h.encode())
		_, err = Open(path, f.public)
		return err
	}
	if err := forge(t, l.table+5000); !errors.Is(err, ErrMismatch) {
		t.Errorf("table: %v", err)
	}
	if err := forge(t, l.answer+500); !errors.Is(err, ErrMismatch) {
		t.Errorf("answer part: %v", err)
	}
	if err := forge(t, l.digits+7_654_320); !errors.Is(err, ErrCorrupt) {
		t.Errorf("digits: %v", err)
	}
}

func TestOpenRefusesAnotherTable(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	other := built(t, 2048, 2048, "zeros")
	taller := built(t, 2048, 4096, "random")
	seeded := f.public
	seeded.Seeds.V = Hex32{0xff}
	for name, want := range map[string]Public{"table": other.public, "shape": taller.public, "seeds": seeded} {
		if _, err := Open(f.path, want); !errors.Is(err, ErrMismatch) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if _, err := Open(f.path, Public{}); !errors.Is(err, ErrPublic) {
		t.Errorf("empty descriptor: %v", err)
	}
}

func TestBuildIsDeterministicAndReports(t *testing.T) {
	f := built(t, 2048, 4096, "random")
	path := filepath.Join(t.TempDir(), "again")
	last := map[string]int64{}
	pub, err := Build(context.Background(), path, f.Params, f.seeds, f.columns, BuildOptions{Workers: 1, Progress: func(stage string, done, total int64) {
		want := map[string]int64{StageTable: f.TableBytes(), StageHint: int64(f.Rows), StagePack: int64(f.Rows)}[stage]
		if done <= last[stage] || done > total || total != want {
			t.Errorf("stage %s: %d of %d after %d", stage, done, total, last[stage])
		}
		last[stage] = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	if pub != f.public {
		t.Errorf("another description: %+v", pub)
	}
	if last[StageTable] != f.TableBytes() || last[StageHint] != int64(f.Rows) || last[StagePack] != int64(f.Rows) {
		t.Errorf("stages ended at %v", last)
	}
	a, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(f.path); err != nil || !bytes.Equal(a, b) {
		t.Errorf("another file: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestBuildLeavesNothingWhenItFails(t *testing.T) {
	f := built(t, 2048, 2048, "zeros")
	for stage, after := range map[string]int64{StageTable: 1, StageHint: 1, StagePack: 100} {
		dir := t.TempDir()
		path := filepath.Join(dir, "table")
		if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Build(ctx, path, f.Params, f.seeds, f.columns, BuildOptions{Progress: func(s string, done, _ int64) {
			if s == stage && done >= after {
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled in stage %s: %v", stage, err)
		}
		entries, err := os.ReadDir(dir)
		if b, _ := os.ReadFile(path); err != nil || len(entries) != 1 || string(b) != "before" {
			t.Errorf("cancelled in stage %s: %d files, %q, %v", stage, len(entries), b, err)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	f := built(t, 2048, 2048, "zeros")
	path := filepath.Join(t.TempDir(), "table")
	try := func(name string, want error, path string, p Params, s Seeds, columns []byte) {
		if _, err := Build(context.Background(), path, p, s, columns, BuildOptions{}); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	try("no parameters", ErrParams, path, Params{}, f.seeds, f.columns)
	try("too few bytes", ErrParams, path, f.Params, f.seeds, f.columns[1:])
	try("equal seeds", ErrPublic, path, f.Params, Seeds{A: Hex32{1}}, f.columns)
	try("no folder", os.ErrNotExist, filepath.Join(path, "none", "table"), f.Params, f.seeds, f.columns)
	dir := filepath.Dir(path)
	if _, err := Build(context.Background(), dir, f.Params, f.seeds, f.columns, BuildOptions{}); err == nil {
		t.Error("a folder in the way: no error")
	}
	if left, _ := filepath.Glob(dir + "*tmp"); len(left) > 0 {
		t.Errorf("a folder in the way: %v left", left)
	}
}

func TestPublicJSON(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	b, err := json.Marshal(f.public)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"params":"lookup-n2048-q53-v1","columns":2048,"rows":2048,"subTables":1,` +
		`"seeds":{"a":"0100000000000000000000000000000000000000000000000000000000000000",` +
		`"w":"0200000000000000000000000000000000000000000000000000000000000000",` +
		`"v":"0300000000000000000000000000000000000000000000000000000000000000"},` +
		`"table":"sha256:","answer":"sha256:","queryBytes":30464,"answerBytes":2560,"publicBytes":4608}`
	got := bytes.ReplaceAll(bytes.ReplaceAll(b, []byte(f.public.Table[7:]), nil), []byte(f.public.Answer[7:]), nil)
	if string(got) != want {
		t.Errorf("%s\nexpected %s", got, want)
	}
	var back Public
	if err := json.Unmarshal(b, &back); err != nil || back != f.public {
		t.Errorf("read back as %+v, %v", back, err)
	}
	if sum := sha256.Sum256(f.columns); f.public.Table != formatDigest(sum) {
		t.Error("the table's digest is not that of its columns")
	}
}

func TestPublicValidate(t *testing.T) {
	good := built(t, 2048, 2048, "random").public
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Public){
		"set":             func(p *Public) { p.Params = "lookup-n1024" },
		"columns":         func(p *Public) { p.Columns++ },
		"columns, sizes":  func(p *Public) { p.Columns += 2048 },
		"rows":            func(p *Public) { p.Rows = 1 << 30 },
		"sub-tables":      func(p *Public) { p.SubTables = 2 },
		"seeds":           func(p *Public) { p.Seeds.W = p.Seeds.V },
		"table digest":    func(p *Public) { p.Table = "sha256:00" },
		"upper-case":      func(p *Public) { p.Table = digestPrefix + "AA" + p.Table[9:] },
		"not hexadecimal": func(p *Public) { p.Answer = digestPrefix + "zz" + p.Answer[9:] },
		"answer digest":   func(p *Public) { p.Answer = "" },
		"query bytes":     func(p *Public) { p.QueryBytes = 0 },
		"answer bytes":    func(p *Public) { p.AnswerBytes++ },
		"public bytes":    func(p *Public) { p.PublicBytes-- },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); !errors.Is(err, ErrPublic) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewSeedsAreSeparate(t *testing.T) {
	a, b := NewSeeds(), NewSeeds()
	if a.Validate() != nil || b.Validate() != nil || a == b {
		t.Errorf("%+v and %+v", a, b)
	}
}

func FuzzHeader(f *testing.F) {
	h := &header{params: Params{ID: ParamsID, Columns: 2048, Rows: 4096}, seeds: fixedSeeds, table: [32]byte{1}}
	good := h.encode()
	f.Add(good)
	f.Add(good[:100])
	f.Add(bytes.Repeat([]byte{0xff}, headerBytes))
	odd := bytes.Clone(good)
	binary.LittleEndian.PutUint32(odd[20:], 1<<31)
	f.Add(odd)
	f.Fuzz(func(t *testing.T, b []byte) {
		// Let the fuzzer past the checksum.
		if len(b) == headerBytes {
			sum := sha256.Sum256(b[:headerUsed])
			copy(b[headerUsed:], sum[:])
		}
		h, err := decodeHeader(b)
		if err != nil {
			if !errors.Is(err, ErrLayout) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if !bytes.Equal(h.encode(), b) {
			t.Fatal("encoding what was decoded gives other bytes")
		}
		if err := h.params.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
