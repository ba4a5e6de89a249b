package audit_test

import (
	"bytes"
	"context"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// rotated is a log that went over to another key twice, at entries 21 and 23,
// with checkpoints of 20, 23 and 25 entries.
func rotated(t *testing.T) *logtest.Log {
	l := logtest.New(t)
	l.Checkpoint()
	l.Call(logtest.Product, vocabulary.Industry, 10)
	l.Rotate("second")
	l.Call(logtest.Product, vocabulary.Industry, 10)
	l.Checkpoint()
	l.Rotate("third")
	l.Call(logtest.Product, vocabulary.Industry, 10)
	l.Checkpoint()
	return l
}

// pinning are the auditor's keys with another one for the log.
func pinning(t *testing.T, name string) audit.Keys {
	k := keys()
	k.Log = verifier(t, name)
	return k
}

func verifier(t *testing.T, name string) note.Verifier {
	t.Helper()
	v, err := ledger.LogVerifier(logtest.Origin, logtest.Public(name))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Whichever of the log's keys an auditor trusts, the whole log is checked by it,
// from the database and from a file alike, and so are receipts of every time.
func TestHandedOver(t *testing.T) {
	l := logtest.New(t)
	var held []*ledger.Receipt
	for _, next := range []string{"second", "third", ""} {
		l.Call(logtest.Product, vocabulary.Industry, 10)
		l.Checkpoint()
		held = append(held, l.Receipt(int64(len(l.Lines)-1)))
		if next != "" {
			l.Rotate(next)
		}
	}
	path := filepath.Join(t.TempDir(), "log.jsonl")
	export(t, l, path)
	file, err := audit.OpenExport(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, pinned := range []string{"ledger", "second", "third"} {
		for _, src := range []audit.Source{source{l}, file} {
			r, err := audit.Audit(context.Background(), src, pinning(t, pinned), audit.Options{Receipts: held})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Clean() || r.Checkpoints < 3 || r.Size != int64(len(l.Lines)) {
				t.Errorf("pinned %s: %v, %d checkpoints of up to %d", pinned, r.Findings, r.Checkpoints, r.Size)
			}
			if found, err := audit.Receipts(context.Background(), src, pinning(t, pinned), held); err != nil || len(found) != 0 {
				t.Errorf("pinned %s: receipts alone: %v, %v", pinned, found, err)
			}
		}
	}
	r, err := audit.Audit(context.Background(), source{l}, pinning(t, "fourth"), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r, []string{"A04 -1", "A04 -1", "A04 -1", "A08 0-24", "A09 0"})
}

func TestHandOverFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		forge func(l *logtest.Log)
		want  []string
	}{
		{"a checkpoint by a retired key after it", func(l *logtest.Log) {
			l.SignedBy = "second"
			l.Checkpoint()
		}, []string{"A43 -1"}},
		{"a checkpoint by a key that was not in force yet", func(l *logtest.Log) {
			l.SignedBy = "third"
			cut := l.Rewrite()
			cut.Lines = cut.Lines[:22]
			l.Checkpoints = append(l.Checkpoints, cut.Checkpoint())
		}, []string{"A43 -1"}},
		{"the new key did not sign", func(l *logtest.Log) {
			l.Follow(unsigned(l, "fourth", true))
			l.Checkpoint()
		}, []string{"A19 25"}},
		{"the key in force did not sign", func(l *logtest.Log) {
			l.Follow(unsigned(l, "fourth", false))
			l.Checkpoint()
		}, []string{"A19 25"}},
		{"a retired key hands over again", func(l *logtest.Log) {
			l.Follow(l.HandOver("second", "fourth"))
			l.Checkpoint()
		}, []string{"A19 25"}},
		{"a stranger hands over", func(l *logtest.Log) {
			l.Follow(l.HandOver("stranger", "fourth"))
			l.Checkpoint()
		}, []string{"A19 25"}},
		{"to the operator's key", func(l *logtest.Log) {
			l.Follow(l.HandOver("third", "operator"))
			l.SignedBy = "operator"
			l.Checkpoint()
		}, []string{"A19 25"}},
		{"back to the first key", func(l *logtest.Log) {
			l.Follow(l.HandOver("third", "ledger"))
			l.Checkpoint()
		}, []string{"A19 25", "A19 25"}},
		{"at another tree", func(l *logtest.Log) {
			other := l.Rewrite()
			other.Lines[24].Bytes = slices.Clone(l.Lines[22].Bytes)
			l.Follow(resigned(t, other).HandOver("third", "fourth"))
			l.SignedBy = "fourth"
			l.Checkpoint()
		}, []string{"A06 24"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := rotated(t)
			c.forge(l)
			expect(t, run(t, source{l}, audit.Options{}), c.want)
		})
	}
}

// unsigned is a hand-over by the key in force in which one of the two signatures
// does not verify.
func unsigned(l *logtest.Log, to string, byNew bool) ledger.Entry {
	e := l.HandOver("third", to)
	lines := bytes.SplitAfter(e.Key.HandOver, []byte("\n"))
	at := len(lines) - 3 // the old key's; after the new key's comes nothing
	if byNew {
		at++
	}
	line := slices.Clone(lines[at])
	if i := len(line) - 10; line[i] == 'A' { // a digit of the signature
		line[i] = 'B'
	} else {
		line[i] = 'A'
	}
	lines[at] = line
	e.Key.HandOver = bytes.Join(lines, nil)
	return e
}

// Two logs under one first key, each handed over to a key of its own: whoever
// holds a receipt of one finds it in an audit of the other.
func TestForkedHandOver(t *testing.T) {
	l := logtest.New(t)
	l.Call(logtest.Product, vocabulary.Industry, 10)
	fork := logtest.New(t)
	fork.Call(logtest.Product, vocabulary.Industry, 10)
	l.Rotate("second")
	l.Checkpoint()
	fork.Rotate("another")
	held := fork.Receipt(20)
	held.HandOvers = fork.HandOvers()
	expect(t, run(t, source{l}, audit.Options{Receipts: []*ledger.Receipt{held}}), []string{"A44 -1"})

	held = l.Receipt(20)
	held.HandOvers = l.HandOvers()
	expect(t, run(t, source{l}, audit.Options{Receipts: []*ledger.Receipt{held}}), nil)

	old := l.Rewrite()
	old.SignedBy = ""
	expect(t, run(t, source{l}, audit.Options{Receipts: []*ledger.Receipt{old.Receipt(20)}}), []string{"A43 -1"})
}

// The fields of a hand-over's entry are held to something, but its key's name in
// the keyring.
func TestEveryFieldOfAHandOverIsHeld(t *testing.T) {
	l := logtest.New(t)
	l.Rotate("second")
	seq := int64(len(l.Lines) - 1)
	l.Checkpoint()
	e, err := ledger.Decode(l.Lines[seq].Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	fields(reflect.ValueOf(e).Elem(), "", func(path string, v reflect.Value) {
		if path != "actor" && forgeable(t, l, seq, e, v) {
			got = append(got, path)
		}
	})
	if want := []string{"time", "key.id"}; !slices.Equal(got, want) {
		t.Errorf("held to nothing are %v, expected %v", got, want)
	}
}
