package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func logSignerOf(t testing.TB, origin, name string) *LogSigner {
	t.Helper()
	s, err := NewLogSigner(origin, testKey(name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verifierOf(t testing.TB, name string) note.Verifier {
	t.Helper()
	v, err := ParseVKey(logSignerOf(t, testOrigin, name).VKey())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// handOver is from one test key to another at a tree of so many entries.
func handOver(t testing.TB, from, to string, size int64) []byte {
	t.Helper()
	msg, err := SignHandOver(logSignerOf(t, testOrigin, from), logSignerOf(t, testOrigin, to), treeOf(size))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func treeOf(size int64) tlog.Tree {
	if size == 0 {
		return tlog.Tree{Hash: emptyTree}
	}
	return tlog.Tree{N: size, Hash: tlog.Hash{byte(size)}}
}

func checkpointBy(t testing.TB, name string, size int64) []byte {
	t.Helper()
	msg, err := SignCheckpoint(logSignerOf(t, testOrigin, name), testOrigin, treeOf(size))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// A log of three keys: log up to 5 entries, second up to 9, third from then on.
func threeKeys(t testing.TB) [][]byte {
	return [][]byte{handOver(t, "log", "second", 5), handOver(t, "second", "third", 9)}
}

// Whichever of its keys is trusted, each key signs trees of its own sizes and of
// no others.
func TestKeysSignTheirOwnSizes(t *testing.T) {
	names := []string{"log", "second", "third"}
	in := func(name string, size int64) bool {
		switch name {
		case "log":
			return size <= 5
		case "second":
			return 5 < size && size <= 9
		}
		return 9 < size
	}
	for _, pinned := range names {
		k, err := NewLogKeys(verifierOf(t, pinned), threeKeys(t)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.HandOvers(); len(got) != 2 || !bytes.Equal(got[0], threeKeys(t)[0]) || k.First().KeyHash() != verifierOf(t, "log").KeyHash() {
			t.Fatalf("pinned %s: the keys are not in the log's order", pinned)
		}
		for _, name := range names {
			for size := range int64(12) {
				tree, err := k.Checkpoint(checkpointBy(t, name, size))
				if in(name, size) != (err == nil) || err == nil && tree != treeOf(size) || err != nil && !errors.Is(err, ErrRetired) {
					t.Errorf("pinned %s: a tree of %d signed by %s: %v", pinned, size, name, err)
				}
			}
		}
		if _, err := k.Checkpoint(checkpointBy(t, "stranger", 3)); !errors.Is(err, ErrSignature) || errors.Is(err, ErrRetired) {
			t.Errorf("pinned %s: a stranger's: %v", pinned, err)
		}
	}
}

func TestHandOversThatDoNotJoin(t *testing.T) {
	unsigned := func(msg []byte, drop int) []byte {
		lines := strings.SplitAfter(string(msg), "\n")
		return []byte(strings.Join(append(append([]string{}, lines[:7+drop]...), lines[8+drop:]...), ""))
	}
	swapped := func(msg []byte) []byte { // the second signature in the first's place too
		lines := strings.SplitAfter(string(msg), "\n")
		lines[7] = lines[8]
		return []byte(strings.Join(lines, ""))
	}
	forged := func(from, to string) []byte { // the old key's signature is another's
		msg := string(handOver(t, from, to, 5))
		other := strings.SplitAfter(string(handOver(t, from, "other", 5)), "\n")
		lines := strings.SplitAfter(msg, "\n")
		lines[7] = other[7]
		return []byte(strings.Join(lines, ""))
	}
	foreign, err := SignHandOver(logSignerOf(t, "other.example/log", "log"), logSignerOf(t, "other.example/log", "second"), treeOf(5))
	if err != nil {
		t.Fatal(err)
	}
	first, second := handOver(t, "log", "second", 5), handOver(t, "second", "third", 9)
	for _, c := range []struct {
		name      string
		handOvers [][]byte
		want      error
	}{
		{"without the old key's signature", [][]byte{unsigned(first, 0)}, ErrMalformed},
		{"without the new key's signature", [][]byte{unsigned(first, 1)}, ErrMalformed},
		{"one signature twice", [][]byte{swapped(first)}, ErrMalformed},
		{"the old key signed something else", [][]byte{forged("log", "second")}, ErrSignature},
		{"by a stranger", [][]byte{handOver(t, "stranger", "second", 5)}, ErrSignature},
		{"of another log", [][]byte{foreign}, ErrSignature},
		{"a link is missing", [][]byte{second}, ErrSignature},
		{"a key hands over twice", [][]byte{first, handOver(t, "log", "third", 5)}, ErrInconsistent},
		{"the same key elsewhere", [][]byte{first, handOver(t, "log", "second", 6)}, ErrInconsistent},
		{"back to an old key", [][]byte{first, handOver(t, "second", "log", 9)}, ErrInconsistent},
		{"before its key began", [][]byte{first, handOver(t, "second", "third", 5)}, ErrInconsistent},
		{"a checkpoint", [][]byte{checkpointBy(t, "log", 5)}, ErrMalformed},
	} {
		if _, err := NewLogKeys(verifierOf(t, "log"), c.handOvers...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, expected %v", c.name, err, c.want)
		}
	}
	// Backwards, from a later key, the same holds.
	for _, handOvers := range [][][]byte{
		{handOver(t, "third", "second", 5), second}, {handOver(t, "log", "second", 9), second}, {unsigned(first, 0), second},
	} {
		if _, err := NewLogKeys(verifierOf(t, "third"), handOvers...); err == nil {
			t.Error("a chain that does not lead to the trusted key was taken")
		}
	}
	k, err := NewLogKeys(verifierOf(t, "log"), first)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Follow(first); err != nil || len(k.HandOvers()) != 1 {
		t.Errorf("taken again: %v", err)
	}
}

func TestSignHandOverRefuses(t *testing.T) {
	log := logSignerOf(t, testOrigin, "log")
	for _, c := range []struct {
		name string
		next *LogSigner
		tree tlog.Tree
	}{
		{"to itself", log, treeOf(5)},
		{"to another log's key", logSignerOf(t, "other.example/log", "second"), treeOf(5)},
		{"at no tree", logSignerOf(t, testOrigin, "second"), tlog.Tree{N: -1}},
	} {
		if _, err := SignHandOver(log, c.next, c.tree); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// No note is both a hand-over and a checkpoint, whatever a log is called.
func TestHandOverIsNoCheckpoint(t *testing.T) {
	if _, err := OpenCheckpoint(handOver(t, "log", "second", 5), verifierOf(t, "log")); !errors.Is(err, ErrMalformed) {
		t.Errorf("a hand-over opened as a checkpoint: %v", err)
	}
	if isOrigin(handOverHeader) {
		t.Error("a log may be called as hand-overs begin")
	}
}

func FuzzOpenHandOver(f *testing.F) {
	for _, msg := range threeKeys(f) {
		f.Add(msg)
	}
	f.Add(checkpointBy(f, "log", 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHandOver(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("an error that is not ErrMalformed: %v", err)
			}
			return
		}
		if !bytes.HasPrefix(b, []byte(h.text()+"\n— ")) || len(h.NewKey()) == 0 || !validTree(h.Tree) {
			t.Fatalf("read %q as %+v", b, h)
		}
		if _, err := OpenHandOver(b); err != nil && !errors.Is(err, ErrSignature) {
			t.Fatalf("parsed, but: %v", err)
		}
	})
}

func TestLastSigns(t *testing.T) {
	keys, errs := NewLogKeys(verifierOf(t, "log"), [][]byte{handOver(t, "log", "second", 5)}...)
	if errs != nil {
		t.Fatal(errs)
	}
	for name, want := range map[string]bool{"log": false, "second": true, "third": false} {
		if got := keys.LastSigns(checkpointBy(t, name, 9)); got != want {
			t.Errorf("a checkpoint of %s: %v", name, got)
		}
	}
	if keys.LastSigns([]byte("second")) {
		t.Error("no note at all")
	}
}
