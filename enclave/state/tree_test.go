package state

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/policy/ledger"
)

// scratch is a tree computed by tlog from its leaves alone.
type scratch []tlog.Hash

func (s scratch) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = s[index]
	}
	return hashes, nil
}

func fromScratch(t interface{ Fatal(...any) }, leaves []tlog.Hash) scratch {
	var s scratch
	for n, leaf := range leaves {
		hashes, err := tlog.StoredHashesForRecordHash(int64(n), leaf, s)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, hashes...)
	}
	return s
}

// The edge, grown in batches of any sizes, gives the rows and roots that tlog
// computes from scratch and that RFC 6962's definition gives.
func TestEdgeGrowsAsTlog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batches := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 12).Draw(t, "batches")
		var leaves []tlog.Hash
		var stored []byte
		var plain plainTree
		e, err := readEdge(0, scratch(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range batches {
			var added []tlog.Hash
			for range n {
				added = append(added, tlog.RecordHash([]byte{byte(len(leaves) + len(added)), byte((len(leaves) + len(added)) >> 8)}))
			}
			leaves = append(leaves, added...)
			next, grown, rows, err := e.add(added)
			if err != nil {
				t.Fatal(err)
			}
			for i, row := range rows {
				if string(row) != string(plain.add(added[i])) {
					t.Fatalf("row %d is not what RFC 6962 gives", plain.n-1)
				}
				stored = append(stored, row...)
			}
			e = next
			s := fromScratch(t, leaves)
			root, err := tlog.TreeHash(int64(len(leaves)), s)
			if err != nil {
				t.Fatal(err)
			}
			if e.tree != (tlog.Tree{N: int64(len(leaves)), Hash: root}) || plain.root() != root {
				t.Fatalf("root of %d entries differs", len(leaves))
			}
			for i, leaf := range added {
				at := int64(len(leaves) - len(added) + i)
				proof, err := tlog.ProveRecord(e.tree.N, at, grown)
				if err != nil || tlog.CheckRecord(proof, e.tree.N, root, at, leaf) != nil {
					t.Fatalf("record %d of %d is not proved by what was added: %v", at, e.tree.N, err)
				}
			}
			for i, h := range s {
				if tlog.Hash(stored[i*tlog.HashSize:]) != h {
					t.Fatalf("stored hash %d differs", i)
				}
			}
		}
	})
}

func TestNode(t *testing.T) {
	seen := map[[2]int64]bool{}
	for index := range tlog.StoredHashCount(1000) {
		seq, level := node(index)
		first := tlog.StoredHashIndex(0, seq)
		if first+int64(level) != index || seen[[2]int64{seq, int64(level)}] {
			t.Fatalf("hash %d is put in record %d, place %d", index, seq, level)
		}
		seen[[2]int64{seq, int64(level)}] = true
	}
}

// The stored tree, its proofs and receipts, against one from scratch.
func TestStoredTree(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx, v := t.Context(), testVerifier(t)
		s := newBed(t, dsn(t)).store()
		for n := range 24 {
			entries := make([]ledger.Entry, n%5+1)
			for i := range entries {
				entries[i] = accessEntry(int64(i))
			}
			mustAppend(t, s, entries...)
		}
		var leaves []tlog.Hash
		err := s.Entries(ctx, 0, Filter{}, func(seq int64, salt [32]byte, entry []byte) error {
			leaves = append(leaves, leafOf(salt, entry))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want, size := fromScratch(t, leaves), int64(len(leaves))
		indexes := make([]int64, len(want))
		for i := range indexes {
			indexes[i] = int64(i)
		}
		got, err := hashReader(ctx, s.reads).ReadHashes(indexes)
		if err != nil {
			t.Fatal(err)
		}
		trees := []tlog.Tree{{Hash: emptyRoot}}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("stored hash %d differs", i)
			}
		}
		for n := int64(1); n <= size; n++ {
			root, err := tlog.TreeHash(n, want)
			if err != nil {
				t.Fatal(err)
			}
			trees = append(trees, tlog.Tree{N: n, Hash: root})
		}
		_, newest, err := s.Checkpoint(ctx)
		if err != nil || newest != trees[size] {
			t.Fatalf("newest checkpoint %v, %v; want %v", newest, err, trees[size])
		}
		for seq := range size {
			r, err := s.Receipt(ctx, seq)
			if err != nil {
				t.Fatal(err)
			}
			if e, tree, err := r.Verify(v); err != nil || e.Seq != seq || tree != newest {
				t.Errorf("receipt of %d: %v", seq, err)
			}
		}
		for older := int64(0); older <= size; older += 7 {
			for newer := older; newer <= size; newer += 5 {
				proof, err := s.Consistency(ctx, older, newer)
				if err != nil {
					t.Fatal(err)
				}
				if err := ledger.CheckConsistency(trees[older], trees[newer], proof); err != nil {
					t.Errorf("from %d to %d: %v", older, newer, err)
				}
			}
		}
		checkClean(t, s)
	})
}
