package ledger

import (
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// SaltSize is the length of a record's salt.
const SaltSize = 32

// recordLabel keeps a record's hash apart from any other use of SHA-256.
const recordLabel = "yingbi record v1\x00"

// Record is what a leaf is made of: SHA-256(label ‖ salt ‖ entry). Label and salt
// have fixed lengths, so no two pairs give the same input.
func Record(salt [SaltSize]byte, entry []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(recordLabel))
	h.Write(salt[:])
	h.Write(entry)
	return [sha256.Size]byte(h.Sum(nil))
}

// Leaf is the RFC 6962 leaf hash of a record.
func Leaf(record [sha256.Size]byte) tlog.Hash { return tlog.RecordHash(record[:]) }

// CheckConsistency checks that newer is older with entries added behind. The
// empty tree is consistent with every tree, without a proof.
func CheckConsistency(older, newer tlog.Tree, proof []tlog.Hash) error {
	if err := consistent(older, newer, proof); err != nil {
		return fmt.Errorf("tree of %d entries after one of %d: %w", newer.N, older.N, err)
	}
	return nil
}

func consistent(older, newer tlog.Tree, proof []tlog.Hash) error {
	// tlog loops for ever on sizes near 2^63, so sizes are bounded first.
	if !validTree(older) || !validTree(newer) || older.N > newer.N {
		return ErrInconsistent
	}
	if older.N == 0 || older.N == newer.N {
		if len(proof) != 0 || older.N != 0 && older.Hash != newer.Hash {
			return ErrInconsistent
		}
		return nil
	}
	if tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash) != nil {
		return ErrInconsistent
	}
	return nil
}

// validTree bounds a tree's size and holds an empty tree to its one hash.
func validTree(t tlog.Tree) bool {
	return t.N >= 0 && t.N <= maxInteger && (t.N > 0 || t.Hash == emptyTree)
}

// emptyTree is the root of the tree without leaves (RFC 6962 §2.1).
var emptyTree = tlog.Hash(sha256.Sum256(nil))
