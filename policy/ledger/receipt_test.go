package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// testReceipt is the receipt of the sample at seq, in the tree of n entries.
func testReceipt(t testing.TB, seq, n int64) *Receipt {
	t.Helper()
	m, entries := testLog(t)
	proof, err := tlog.ProveRecord(n, seq, m)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := SignCheckpoint(testSigner(t), testOrigin, m.tree(t, n))
	if err != nil {
		t.Fatal(err)
	}
	return NewReceipt(entries[seq], testSalt(seq), seq, proof, checkpoint)
}

// Every entry in every tree that has it: the receipt verifies with our code, its
// proof with torchwood's, and torchwood's own proof is the same text.
func TestReceiptsCrossTorchwood(t *testing.T) {
	m, entries := testLog(t)
	for n := int64(1); n <= m.n; n++ {
		for seq := range n {
			r := testReceipt(t, seq, n)
			e, tree, err := r.Verify(testVerifier(t))
			if err != nil {
				t.Fatalf("entry %d of %d: %v", seq, n, err)
			}
			if e.Seq != seq || tree != m.tree(t, n) {
				t.Fatalf("entry %d of %d: verified entry %d of tree %v", seq, n, e.Seq, tree)
			}
			leaf := Leaf(Record(testSalt(seq), entries[seq]))
			if err := torchwood.VerifyProof(testPolicy(t), leaf, []byte(r.Proof)); err != nil {
				t.Fatalf("entry %d of %d: torchwood: %v", seq, n, err)
			}
			proof, err := tlog.ProveRecord(n, seq, m)
			if err != nil {
				t.Fatal(err)
			}
			_, checkpoint, _ := strings.Cut(r.Proof, "\n\n")
			if theirs := torchwood.FormatProof(seq, proof, []byte(checkpoint)); string(theirs) != r.Proof {
				t.Fatalf("entry %d of %d: torchwood writes\n%s\nwe write\n%s", seq, n, theirs, r.Proof)
			}
		}
	}
}

func TestReceiptRoundTrip(t *testing.T) {
	r := testReceipt(t, 7, 17)
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := Canonical(r); err != nil || !bytes.Equal(b, want) {
		t.Errorf("encoded\n%s\nencoding/json and jcs give\n%s (%v)", b, want, err)
	}
	back, err := DecodeReceipt(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Errorf("decoded receipt differs (-want +got):\n%s", diff)
	}
	if _, _, err := back.Verify(testVerifier(t)); err != nil {
		t.Errorf("the decoded receipt does not verify: %v", err)
	}
}

func TestForgedReceipts(t *testing.T) {
	another, err := LogVerifier(testOrigin, testKey("other log").Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := LogVerifier("other.example/log", testKey("log").Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		forge func(*Receipt)
		v     note.Verifier
		want  error
	}{
		{"an edited amount", func(r *Receipt) { r.Entry = mangle(t, r.Entry, `"amount":"15.37"`, `"amount":"15.36"`) }, nil, ErrInclusion},
		{"another salt", func(r *Receipt) { r.Salt = bytes.Repeat([]byte{1}, SaltSize) }, nil, ErrInclusion},
		{"a short salt", func(r *Receipt) { r.Salt = r.Salt[1:] }, nil, ErrMalformed},
		{"another index", func(r *Receipt) { r.Proof = strings.Replace(r.Proof, "index 7\n", "index 6\n", 1) }, nil, ErrInclusion},
		{"an index outside the tree", func(r *Receipt) { r.Proof = strings.Replace(r.Proof, "index 7\n", "index 17\n", 1) }, nil, ErrInclusion},
		{"the proof of another entry", func(r *Receipt) { r.Proof = testReceipt(t, 8, 17).Proof }, nil, ErrInclusion},
		{"another entry", func(r *Receipt) { r.Entry = testReceipt(t, 8, 17).Entry }, nil, ErrInclusion},
		{"another checkpoint", func(r *Receipt) {
			head, _, _ := strings.Cut(r.Proof, "\n\n")
			_, checkpoint, _ := strings.Cut(testReceipt(t, 7, 16).Proof, "\n\n")
			r.Proof = head + "\n\n" + checkpoint
		}, nil, ErrInclusion},
		{"an edited tree size", func(r *Receipt) { r.Proof = strings.Replace(r.Proof, "\n17\n", "\n18\n", 1) }, nil, ErrSignature},
		{"a hash more", func(r *Receipt) {
			r.Proof = strings.Replace(r.Proof, "\n\n", "\n"+tlog.Hash{}.String()+"\n\n", 1)
		}, nil, ErrInclusion},
		{"an entry that is not canonical", func(r *Receipt) { r.Entry = append(json.RawMessage{' '}, r.Entry...) }, nil, ErrMalformed},
		{"no entry", func(r *Receipt) { r.Entry = nil }, nil, ErrMalformed},
		{"no proof", func(r *Receipt) { r.Proof = "" }, nil, ErrMalformed},
		{"another log's key", func(*Receipt) {}, another, ErrSignature},
		{"another origin of the same key", func(*Receipt) {}, elsewhere, ErrSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := testReceipt(t, 7, 17)
			test.forge(r)
			v := test.v
			if v == nil {
				v = testVerifier(t)
			}
			if e, _, err := r.Verify(v); !errors.Is(err, test.want) || e != nil {
				t.Errorf("Verify: %v, want %v", err, test.want)
			}
		})
	}
}

func TestParseProofRefuses(t *testing.T) {
	good := testReceipt(t, 7, 17).Proof
	if strings.Count(good, "\n") < 8 {
		t.Fatalf("the sample proof is too short to test with:\n%s", good)
	}
	lines := strings.SplitN(good, "\n", 4)
	header, index, hash, rest := lines[0], lines[1], lines[2], lines[3]
	join := func(lines ...string) string { return strings.Join(lines, "\n") }
	for name, s := range map[string]string{
		"another header":        join("c2sp.org/tlog-proof@v2", index, hash, rest),
		"no header":             join(index, hash, rest),
		"extra data":            join(header, "extra AAAA", index, hash, rest),
		"no index":              join(header, hash, rest),
		"an index with a zero":  join(header, "index 07", hash, rest),
		"an index with a sign":  join(header, "index -7", hash, rest),
		"an index of 2^53":      join(header, "index 9007199254740992", hash, rest),
		"a short hash":          join(header, index, hash[4:], rest),
		"a hash without = sign": join(header, index, hash[:43], rest),
		"windows lines":         strings.ReplaceAll(good, "\n", "\r\n"),
		"too many hashes":       join(header, index, strings.TrimSuffix(strings.Repeat(hash+"\n", maxProof+1), "\n"), rest),
		"a large checkpoint":    good + strings.Repeat("x", MaxCheckpoint),
	} {
		if _, _, _, err := parseProof(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

func TestDecodeReceiptIsStrict(t *testing.T) {
	good, err := testReceipt(t, 7, 17).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing":          nil,
		"a newline behind": append(bytes.Clone(good), '\n'),
		"a field more":     mangle(t, good, `,"salt"`, `,"q":1,"salt"`),
		"a field less":     mangle(t, good, `,"salt":"`, `,"tlas":"`),
		"a null entry":     mangle(t, good, `"entry":{`, `"entry":null,"e":{`),
		"a short salt":     mangle(t, good, `"salt":"c2Fs`, `"salt":"`),
		"too large":        bytes.Repeat([]byte{' '}, MaxReceipt+1),
	} {
		if _, err := DecodeReceipt(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

func ExampleReceipt_Verify() {
	var t testing.T
	receipt := testReceipt(&t, 7, 17)
	entry, tree, err := receipt.Verify(testVerifier(&t))
	fmt.Println(entry.Kind, entry.Call.Price.Amount, tree.N, err)
	// Output: call 15.37 17 <nil>
}
