package ledger

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// testExport is an export of the sample log: a checkpoint half way, one at the
// end.
func testExport(t testing.TB) []byte {
	t.Helper()
	m, entries := testLog(t)
	var out bytes.Buffer
	w, err := NewExportWriter(&out, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if err := w.Entry(int64(i), testSalt(int64(i)), e); err != nil {
			t.Fatal(err)
		}
		if n := int64(i + 1); n == 8 || n == m.n {
			msg, err := SignCheckpoint(testSigner(t), testOrigin, m.tree(t, n))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Checkpoint(msg); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func readExport(r io.Reader) (lines []ExportLine, err error) {
	in, err := NewExportReader(r)
	if err != nil {
		return nil, err
	}
	for {
		line, err := in.Next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
	}
}

// From the file alone: every entry has its record in the tree of every
// checkpoint, and the bytes are those that were written.
func TestExportRoundTrip(t *testing.T) {
	file := testExport(t)
	_, entries := testLog(t)
	for _, chunk := range []io.Reader{bytes.NewReader(file), iotest.OneByteReader(bytes.NewReader(file))} {
		lines, err := readExport(chunk)
		if err != nil {
			t.Fatal(err)
		}
		m := &memory{}
		checkpoints := 0
		for i, line := range lines {
			if line.Line != i+2 {
				t.Errorf("line %d says it is line %d", i+2, line.Line)
			}
			if line.Checkpoint != nil {
				tree, err := OpenCheckpoint(line.Checkpoint, testVerifier(t))
				if err != nil || tree != m.tree(t, m.n) {
					t.Errorf("checkpoint after %d entries: %v (%v)", m.n, tree, err)
				}
				checkpoints++
				continue
			}
			if line.Seq != m.n || line.Salt != testSalt(m.n) || !bytes.Equal(line.Entry, entries[m.n]) {
				t.Errorf("entry %d differs from what was written", m.n)
			}
			m.add(t, Leaf(Record(line.Salt, line.Entry)))
		}
		if m.n != int64(len(entries)) || checkpoints != 2 {
			t.Errorf("read %d entries and %d checkpoints, want %d and 2", m.n, checkpoints, len(entries))
		}
	}
}

// The file is what its format says: JSON lines for everybody.
func TestExportGolden(t *testing.T) {
	lines := strings.Split(string(testExport(t)), "\n")
	if want := `{"format":"yingbi-log/1","origin":"yingbi.example/log"}`; lines[0] != want {
		t.Errorf("first line %s, want %s", lines[0], want)
	}
	if want := `{"seq":0,"salt":"c2FsdCBvZiBlbnRyeSAwAAAAAAAAAAAAAAAAAAAAAAA=","entry":{"actor":"yingbi:`; !strings.HasPrefix(lines[1], want) {
		t.Errorf("second line %.100s, want %s…", lines[1], want)
	}
	if want := `{"checkpoint":"yingbi.example/log\n8\n`; !strings.HasPrefix(lines[9], want) {
		t.Errorf("tenth line %.60s, want %s…", lines[9], want)
	}
	if lines[len(lines)-1] != "" {
		t.Error("the file does not end in a newline")
	}
	for i, line := range lines[:len(lines)-1] {
		if _, err := Canonical([]byte(line)); err != nil {
			t.Errorf("line %d is no JSON: %v", i+1, err)
		}
	}
}

// The reader hands on what is in the file, however wrong the entries are: to
// judge them is the audit's work, and it wants to name them.
func TestExportReaderJudgesLinesOnly(t *testing.T) {
	const head = `{"format":"yingbi-log/1","origin":"o"}` + "\n"
	const salt = `"c2FsdCBvZiBlbnRyeSAwAAAAAAAAAAAAAAAAAAAAAAA="`
	lines, err := readExport(strings.NewReader(head +
		`{"seq":9,"salt":` + salt + `,"entry":{"not":"an entry"}}` + "\n" +
		`{"seq":9,"salt":` + salt + `,"entry":}` + "\n" +
		`{"seq":2,"salt":` + salt + `,"entry":{"a":"}"},"entry":0}` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range lines {
		got = append(got, string(line.Entry))
	}
	if diff := cmp.Diff([]string{`{"not":"an entry"}`, ``, `{"a":"}"},"entry":0`}, got); diff != "" {
		t.Errorf("entries differ (-want +got):\n%s", diff)
	}
}

func TestExportReaderRefuses(t *testing.T) {
	const head = `{"format":"yingbi-log/1","origin":"o"}` + "\n"
	const salt = `"c2FsdCBvZiBlbnRyeSAwAAAAAAAAAAAAAAAAAAAAAAA="`
	tests := []struct {
		name, file string
		want       error
		says       string
	}{
		{"an empty file", "", ErrMalformed, "empty"},
		{"another format", `{"format":"yingbi-log/2","origin":"o"}` + "\n", ErrMalformed, "line 1"},
		{"another file", "PK\x03\x04\n", ErrMalformed, "line 1"},
		{"a cut first line", strings.TrimSuffix(head, "\n"), ErrMalformed, "cut off"},
		{"no origin", `{"format":"yingbi-log/1","origin":""}` + "\n", ErrMalformed, "line 1"},
		{"an origin with an escape", `{"format":"yingbi-log/1","origin":"a\u0062"}` + "\n", ErrMalformed, "line 1"},
		{"a cut last line", head + `{"seq":0,"salt":` + salt + `,"entry":{}}`, ErrMalformed, "line 2: malformed: the file is cut off"},
		{"an empty line", head + "\n", ErrMalformed, "line 2"},
		{"spaces", head + `{"seq": 0,"salt":` + salt + `,"entry":{}}` + "\n", ErrMalformed, "line 2"},
		{"another order", head + `{"salt":` + salt + `,"seq":0,"entry":{}}` + "\n", ErrMalformed, "line 2"},
		{"a negative sequence", head + `{"seq":-1,"salt":` + salt + `,"entry":{}}` + "\n", ErrMalformed, "line 2"},
		{"a sequence of 2^53", head + `{"seq":9007199254740992,"salt":` + salt + `,"entry":{}}` + "\n", ErrMalformed, "line 2"},
		{"a short salt", head + `{"seq":0,"salt":"AAAA","entry":{}}` + "\n", ErrMalformed, "line 2"},
		{"a large entry", head + `{"seq":0,"salt":` + salt + `,"entry":{"` + strings.Repeat("a", MaxEntry) + `"}}` + "\n", ErrMalformed, "line 2"},
		{"a line without end", head + strings.Repeat("a", MaxExportLine+1), ErrTooLarge, "line 2"},
		{"a checkpoint that is no string", head + `{"checkpoint":1}` + "\n", ErrMalformed, "line 2"},
		{"a checkpoint with more", head + `{"checkpoint":"a","b":"c"}` + "\n", ErrMalformed, "line 2"},
		{"a large checkpoint", head + `{"checkpoint":"` + strings.Repeat("a", MaxCheckpoint+1) + `"}` + "\n", ErrMalformed, "line 2"},
	}
	for _, test := range tests {
		_, err := readExport(strings.NewReader(test.file))
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %v that says %q", test.name, err, test.want, test.says)
		}
	}
}

func TestExportPassesErrorsOn(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, err := NewExportReader(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("reader: %v, want the cause", err)
	}
	w, err := NewExportWriter(failing{broken}, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); !errors.Is(err, broken) {
		t.Errorf("writer: %v, want the cause", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestExportWriterRefuses(t *testing.T) {
	if _, err := NewExportWriter(io.Discard, "two words"); !errors.Is(err, ErrMalformed) {
		t.Errorf("a bad origin: %v", err)
	}
	w, err := NewExportWriter(io.Discard, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"a large entry":           w.Entry(0, testSalt(0), make([]byte, MaxEntry+1)),
		"an entry of two lines":   w.Entry(0, testSalt(0), []byte("{}\n{}")),
		"a negative sequence":     w.Entry(-1, testSalt(0), []byte("{}")),
		"a large checkpoint":      w.Checkpoint(make([]byte, MaxCheckpoint+1)),
		"a checkpoint in Latin-1": w.Checkpoint([]byte("caf\xe9")),
	} {
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}
