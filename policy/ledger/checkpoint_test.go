package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func testSigner(t testing.TB) note.Signer {
	t.Helper()
	s, err := NewLogSigner(testOrigin, testKey("log"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testVerifier(t testing.TB) note.Verifier {
	t.Helper()
	v, err := LogVerifier(testOrigin, testKey("log").Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// testPolicy is torchwood's way to say: this log, by this key.
func testPolicy(t testing.TB) torchwood.Policy {
	return torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(testOrigin), torchwood.SingleVerifierPolicy(testVerifier(t)))
}

// memory is a tree in memory.
type memory struct {
	hashes []tlog.Hash
	n      int64
}

func (m *memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		out[i] = m.hashes[at]
	}
	return out, nil
}

func (m *memory) add(t testing.TB, leaf tlog.Hash) {
	t.Helper()
	hashes, err := tlog.StoredHashesForRecordHash(m.n, leaf, m)
	if err != nil {
		t.Fatal(err)
	}
	m.hashes = append(m.hashes, hashes...)
	m.n++
}

func (m *memory) tree(t testing.TB, n int64) tlog.Tree {
	t.Helper()
	root, err := tlog.TreeHash(n, m)
	if err != nil {
		t.Fatal(err)
	}
	return tlog.Tree{N: n, Hash: root}
}

func testSalt(i int64) (salt [SaltSize]byte) {
	copy(salt[:], fmt.Sprintf("salt of entry %d", i))
	return salt
}

// testLog is the tree over the samples.
func testLog(t testing.TB) (*memory, [][]byte) {
	t.Helper()
	m := &memory{}
	var entries [][]byte
	for _, e := range samples() {
		b := mustEncode(t, e)
		m.add(t, Leaf(Record(testSalt(e.Seq), b)))
		entries = append(entries, b)
	}
	return m, entries
}

func TestCheckpointsCrossTorchwood(t *testing.T) {
	m, _ := testLog(t)
	for _, n := range []int64{0, 1, 2, m.n} {
		tree := m.tree(t, n)
		ours, err := SignCheckpoint(testSigner(t), testOrigin, tree)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := torchwood.VerifyCheckpoint(ours, testPolicy(t))
		if err != nil || c.Tree != tree || c.Origin != testOrigin || c.Extension != "" {
			t.Errorf("size %d: torchwood reads %+v (%v), want %+v", n, c, err, tree)
		}
		theirs, err := note.Sign(&note.Note{Text: torchwood.Checkpoint{Origin: testOrigin, Tree: tree}.String()}, testSigner(t))
		if err != nil {
			t.Fatal(err)
		}
		if string(theirs) != string(ours) {
			t.Errorf("size %d: torchwood writes\n%s\nwe write\n%s", n, theirs, ours)
		}
		if got, err := OpenCheckpoint(theirs, testVerifier(t)); err != nil || got != tree {
			t.Errorf("size %d: we read %v (%v), want %v", n, got, err, tree)
		}
	}
}

// The signer is x/mod's own, for the same key: same name, hash and signatures.
func TestSignerIsTheNotePackages(t *testing.T) {
	key := testKey("log")
	vkey := VKey(testOrigin, key.Public().(ed25519.PublicKey))
	hash := strings.Split(vkey, "+")[1]
	skey := "PRIVATE+KEY+" + testOrigin + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...))
	theirs, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	ours := testSigner(t)
	a, err1 := ours.Sign([]byte("text\n"))
	b, err2 := theirs.Sign([]byte("text\n"))
	if err1 != nil || err2 != nil || string(a) != string(b) || ours.Name() != theirs.Name() || ours.KeyHash() != theirs.KeyHash() {
		t.Error("our signer differs from that of x/mod/sumdb/note")
	}
	v, err := ParseVKey(vkey)
	if err != nil || v.Name() != testOrigin || v.KeyHash() != ours.KeyHash() {
		t.Errorf("ParseVKey(VKey): %v", err)
	}
}

func TestVKeyRefuses(t *testing.T) {
	public := testKey("log").Public().(ed25519.PublicKey)
	for name, vkey := range map[string]string{
		"origin with a plus":  VKey("a+b", public),
		"origin with a space": VKey("a b", public),
		"no origin":           VKey("", public),
		"long origin":         VKey(strings.Repeat("a", 256), public),
		"key of 31 bytes":     VKey(testOrigin, public[:31]),
	} {
		if vkey != "" {
			t.Errorf("%s: VKey gives %s", name, vkey)
		}
	}
	good := VKey(testOrigin, public)
	for name, s := range map[string]string{
		"nothing":      "",
		"only a name":  testOrigin,
		"another name": strings.Replace(good, "yingbi", "yinbgi", 1),
		"cut off":      good[:len(good)-4],
		"too long":     good + strings.Repeat("A", 512),
	} {
		if _, err := ParseVKey(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if _, err := NewLogSigner(testOrigin, testKey("log")[:32]); !errors.Is(err, ErrMalformed) {
		t.Errorf("signer with a short key: %v", err)
	}
	if _, err := NewLogSigner("a b", testKey("log")); !errors.Is(err, ErrMalformed) {
		t.Errorf("signer with a bad origin: %v", err)
	}
}

func TestOpenCheckpointRefuses(t *testing.T) {
	m, _ := testLog(t)
	tree := m.tree(t, m.n)
	good, err := SignCheckpoint(testSigner(t), testOrigin, tree)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(text string) string {
		b, err := note.Sign(&note.Note{Text: text}, testSigner(t))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	other, err := NewLogSigner(testOrigin, testKey("other log"))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := SignCheckpoint(other, testOrigin, tree)
	if err != nil {
		t.Fatal(err)
	}
	root := tree.Hash.String()
	size := fmt.Sprint(tree.N)
	tests := []struct {
		name string
		msg  string
		want error
	}{
		{"nothing", "", ErrMalformed},
		{"no signature", checkpointText(testOrigin, tree) + "\n", ErrMalformed},
		{"another key", string(forged), ErrSignature},
		{"another size under the signature", strings.Replace(string(good), "\n"+size+"\n", "\n1\n", 1), ErrSignature},
		{"another origin", signed("other.example/log\n" + size + "\n" + root + "\n"), ErrMalformed},
		{"two lines", signed(testOrigin + "\n" + size + "\n"), ErrMalformed},
		{"a size with a zero in front", signed(testOrigin + "\n0" + size + "\n" + root + "\n"), ErrMalformed},
		{"a size with a sign", signed(testOrigin + "\n+" + size + "\n" + root + "\n"), ErrMalformed},
		{"a negative size", signed(testOrigin + "\n-1\n" + root + "\n"), ErrMalformed},
		{"a size of 2^53", signed(testOrigin + "\n9007199254740992\n" + root + "\n"), ErrMalformed},
		{"a size of 2^64", signed(testOrigin + "\n18446744073709551616\n" + root + "\n"), ErrMalformed},
		{"a short root", signed(testOrigin + "\n" + size + "\n" + root[:40] + "\n"), ErrMalformed},
		{"a root without padding", signed(testOrigin + "\n" + size + "\n" + root[:43] + "\n"), ErrMalformed},
		{"an empty tree with a root", signed(testOrigin + "\n0\n" + root + "\n"), ErrMalformed},
		{"an empty extension line", signed(testOrigin + "\n" + size + "\n" + root + "\n\nx\n"), ErrMalformed},
		{"too large", signed(testOrigin + "\n" + size + "\n" + root + "\n" + strings.Repeat("x\n", MaxCheckpoint/2)), ErrTooLarge},
	}
	for _, test := range tests {
		if got, err := OpenCheckpoint([]byte(test.msg), testVerifier(t)); !errors.Is(err, test.want) || got != (tlog.Tree{}) {
			t.Errorf("%s: %v (%v), want %v", test.name, got, err, test.want)
		}
	}
	extended := signed(testOrigin + "\n" + size + "\n" + root + "\nsomething else\n")
	if got, err := OpenCheckpoint([]byte(extended), testVerifier(t)); err != nil || got != tree {
		t.Errorf("extension lines are part of the standard: %v (%v)", got, err)
	}
}

// A cosignature by a witness is neither needed nor in the way.
func TestOpenCheckpointWithCosignature(t *testing.T) {
	m, _ := testLog(t)
	tree := m.tree(t, m.n)
	witness, err := torchwood.NewCosignatureSigner("witness.example", testKey("witness"))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := note.Sign(&note.Note{Text: checkpointText(testOrigin, tree)}, testSigner(t), witness)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenCheckpoint(msg, testVerifier(t)); err != nil || got != tree {
		t.Errorf("a cosigned checkpoint: %v (%v)", got, err)
	}
	alone, err := note.Sign(&note.Note{Text: checkpointText(testOrigin, tree)}, witness)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(alone, testVerifier(t)); !errors.Is(err, ErrSignature) {
		t.Errorf("a checkpoint that only a witness signed: %v, want ErrSignature", err)
	}
}

func TestSignCheckpointRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		origin string
		tree   tlog.Tree
	}{
		"another origin":  {"other.example/log", tlog.Tree{N: 1}},
		"negative size":   {testOrigin, tlog.Tree{N: -1}},
		"a size of 2^53":  {testOrigin, tlog.Tree{N: 1 << 53}},
		"an empty root":   {testOrigin, tlog.Tree{}},
		"no empty origin": {"", tlog.Tree{N: 1}},
	} {
		if _, err := SignCheckpoint(testSigner(t), c.origin, c.tree); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

// All pairs of sizes of a small tree: honest proofs hold, and no proof holds for
// another tree, another size or with a hash more or less.
func TestCheckConsistency(t *testing.T) {
	m, _ := testLog(t)
	for newer := int64(0); newer <= m.n; newer++ {
		for older := int64(0); older <= newer; older++ {
			o, n := m.tree(t, older), m.tree(t, newer)
			var proof []tlog.Hash
			if older > 0 && older < newer {
				p, err := tlog.ProveTree(newer, older, m)
				if err != nil {
					t.Fatal(err)
				}
				proof = p
			}
			if err := CheckConsistency(o, n, proof); err != nil {
				t.Fatalf("%d to %d: %v", older, newer, err)
			}
			bad := func(what string, o, n tlog.Tree, proof []tlog.Hash) {
				t.Helper()
				if err := CheckConsistency(o, n, proof); !errors.Is(err, ErrInconsistent) {
					t.Errorf("%d to %d, %s: %v, want ErrInconsistent", older, newer, what, err)
				}
			}
			bad("a hash more", o, n, append(proof[:len(proof):len(proof)], tlog.Hash{}))
			if older > 0 {
				bad("another old root", tlog.Tree{N: older, Hash: flip(o.Hash)}, n, proof)
				bad("another new root", o, tlog.Tree{N: newer, Hash: flip(n.Hash)}, proof)
			}
			if len(proof) > 0 {
				bad("a hash less", o, n, proof[1:])
			}
			if older < newer {
				bad("a tree that shrank", n, o, proof)
			}
		}
	}
	// tlog would loop for ever here.
	huge := tlog.Tree{N: 1<<63 - 1}
	if err := CheckConsistency(tlog.Tree{N: 1}, huge, make([]tlog.Hash, 3)); !errors.Is(err, ErrInconsistent) {
		t.Errorf("a tree of 2^63-1: %v", err)
	}
	if err := CheckConsistency(tlog.Tree{N: 0, Hash: tlog.Hash{1}}, m.tree(t, 2), nil); !errors.Is(err, ErrInconsistent) {
		t.Errorf("an empty tree with a root: %v", err)
	}
}

func flip(h tlog.Hash) tlog.Hash {
	h[0] ^= 1
	return h
}

// The two hashes of a leaf, written out, and pinned: they may never change.
func TestRecordAndLeaf(t *testing.T) {
	entry, salt := []byte(`{"v":1}`), testSalt(0)
	record := Record(salt, entry)
	if got, want := fmt.Sprintf("sha256:%x", record), Digest(append(append([]byte("yingbi record v1\x00"), salt[:]...), entry...)); got != want {
		t.Errorf("Record = %s, want %s", got, want)
	}
	leaf := [tlog.HashSize]byte(Leaf(record))
	if got, want := fmt.Sprintf("sha256:%x", leaf), Digest(append([]byte{0}, record[:]...)); got != want {
		t.Errorf("Leaf = %s, want %s", got, want)
	}
	const pinned = "fd0cea4edb4deec136fbea63e1e9aeccca7d4d7738bed49e566f98d61fad38b2"
	if got := fmt.Sprintf("%x", leaf); got != pinned {
		t.Errorf("Leaf = %s, pinned %s", got, pinned)
	}
}
