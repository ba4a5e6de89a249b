package audit_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
)

// Whatever is changed in a signed log is found: a bit of an entry or of a salt,
// a line taken out, put in again, or moved.
func TestWhateverIsChangedIsFound(t *testing.T) {
	whole := busy(t)
	rapid.Check(t, func(t *rapid.T) {
		l := whole.Rewrite()
		at := rapid.IntRange(0, len(l.Lines)-1).Draw(t, "line")
		line := l.Lines[at]
		switch kind := rapid.SampledFrom([]string{"entry", "salt", "drop", "repeat", "move"}).Draw(t, "change"); kind {
		case "entry":
			line.Bytes = slices.Clone(line.Bytes)
			line.Bytes[rapid.IntRange(0, len(line.Bytes)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			l.Lines[at] = line
		case "salt":
			line.Salt[rapid.IntRange(0, len(line.Salt)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			l.Lines[at] = line
		default:
			to := rapid.IntRange(0, len(l.Lines)-1).Draw(t, "to")
			if kind == "move" && to == at {
				t.Skip("it stays")
			}
			if kind != "repeat" {
				l.Lines = slices.Delete(l.Lines, at, at+1)
			}
			if kind != "drop" {
				l.Lines = slices.Insert(l.Lines, min(to, len(l.Lines)), line)
			}
		}
		r, err := audit.Audit(context.Background(), source{l}, keys(), audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Clean() {
			t.Fatal("nothing found")
		}
	})
}

// The audit's own tree is tlog's, at every size.
func TestTree(t *testing.T) {
	l := logtest.New(t)
	for len(l.Lines) < 70 {
		l.Append(ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "unlock", Object: "x", Count: 1}})
	}
	for n := int64(1); n <= 70; n++ {
		root, err := tlog.TreeHash(n, l)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := ledger.SignCheckpoint(l.Signer(), logtest.Origin, tlog.Tree{N: n, Hash: root})
		if err != nil {
			t.Fatal(err)
		}
		l.Checkpoints = append(l.Checkpoints, msg)
	}
	if r := run(t, source{l}, audit.Options{}); !r.Clean() || r.Checkpoints != 70 {
		t.Errorf("%d of 70 checkpoints match: %v", r.Checkpoints, r.Findings)
	}
}

// FuzzExport: no file makes an audit panic, and none but a signed log is clean.
func FuzzExport(f *testing.F) {
	l := busy(f)
	path := filepath.Join(f.TempDir(), "log.jsonl")
	export(f, l, path)
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)/3])
	f.Add([]byte(`{"format":"yingbi-log/1","origin":"yingbi.example/log"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "log.jsonl")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := audit.OpenExport(path)
		if err != nil {
			return
		}
		r, err := audit.Audit(context.Background(), x, keys(), audit.Options{MaxFindings: 50})
		if err != nil {
			t.Fatal(err)
		}
		if r.Clean() && r.Size != r.Entries {
			t.Fatalf("clean, but %d of %d entries are signed for", r.Size, r.Entries)
		}
	})
}
