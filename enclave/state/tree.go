package state

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// node is where a tree hash is kept: record seq completes the subtree, as the
// level-th of those that it completes.
func node(index int64) (seq int64, level int) {
	level, n := tlog.SplitStoredHashIndex(index)
	return (n+1)<<level - 1, level
}

// hashReader reads tree hashes from the database.
func hashReader(ctx context.Context, q querier) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		rows, err := readTree(ctx, q, indexes)
		if err != nil {
			return nil, err
		}
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			seq, level := node(index)
			stored := rows[seq]
			if len(stored) < (level+1)*tlog.HashSize {
				return nil, fmt.Errorf("%w: the tree lacks record %d's hash at level %d", ErrCorrupt, seq, level)
			}
			hashes[i] = tlog.Hash(stored[level*tlog.HashSize:])
		}
		return hashes, nil
	})
}

// readTree reads the rows of the tree that hold the hashes asked for.
func readTree(ctx context.Context, q querier, indexes []int64) (map[int64][]byte, error) {
	const chunk = 64
	found := make(map[int64][]byte, len(indexes))
	for len(indexes) > 0 {
		n := min(chunk, len(indexes))
		width := 1
		for width < n {
			width *= 2 // few statements: the rest repeats the last one
		}
		args := make([]any, width)
		for i := range args {
			seq, _ := node(indexes[min(i, n-1)])
			args[i] = seq
		}
		if err := collectTree(ctx, q, treeText(width), args, found); err != nil {
			return nil, err
		}
		indexes = indexes[n:]
	}
	return found, nil
}

func collectTree(ctx context.Context, q querier, text string, args []any, found map[int64][]byte) error {
	rows, err := q.query(ctx, text, args...)
	if err != nil {
		return fmt.Errorf("reading the tree: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var hashes []byte
		if err := rows.Scan(&seq, &hashes); err != nil {
			return fmt.Errorf("reading the tree: %w", err)
		}
		found[seq] = hashes
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the tree: %w", err)
	}
	return nil
}

func treeText(width int) string {
	var b strings.Builder
	b.WriteString("SELECT seq, hashes FROM tree WHERE seq IN (")
	writeParams(&b, 0, width)
	b.WriteByte(')')
	return b.String()
}

// edge is the right edge of a tree: the hashes of the complete subtrees that it
// consists of, by stored index. Its root commits to it, so an edge kept from
// the last transaction is used again only if size and root still are the head's.
type edge struct {
	tree  tlog.Tree
	nodes map[int64]tlog.Hash
}

// readEdge reads the edge of a tree of the given size and computes its root.
func readEdge(size int64, r tlog.HashReader) (*edge, error) {
	e := &edge{tree: tlog.Tree{N: size}, nodes: map[int64]tlog.Hash{}}
	root, err := tlog.TreeHash(size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes, err := r.ReadHashes(indexes)
		for i := range hashes {
			e.nodes[indexes[i]] = hashes[i]
		}
		return hashes, err
	}))
	if err != nil {
		return nil, err
	}
	e.tree.Hash = root
	return e, nil
}

// ReadHashes reads from the edge alone; it makes edge a tlog.HashReader.
func (e *edge) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		h, ok := e.nodes[index]
		if !ok {
			return nil, errors.New("state: a hash is not on the tree's edge")
		}
		hashes[i] = h
	}
	return hashes, nil
}

// add adds records behind the edge's tree. It gives the new edge, all hashes
// that prove the records in the new tree, and for each record its row of the
// table tree.
func (e *edge) add(leaves []tlog.Hash) (next, grown *edge, rows [][]byte, err error) {
	work := &edge{tree: e.tree, nodes: make(map[int64]tlog.Hash, len(e.nodes)+2*len(leaves))}
	for index, h := range e.nodes {
		work.nodes[index] = h
	}
	rows = make([][]byte, len(leaves))
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashesForRecordHash(work.tree.N, leaf, work)
		if err != nil {
			return nil, nil, nil, err
		}
		first := tlog.StoredHashIndex(0, work.tree.N)
		for j, h := range hashes {
			work.nodes[first+int64(j)] = h
			rows[i] = append(rows[i], h[:]...)
		}
		work.tree.N++
	}
	next, err = readEdge(work.tree.N, work)
	return next, work, rows, err
}

// leafOf is the leaf of an entry and its salt.
func leafOf(salt [ledger.SaltSize]byte, entry []byte) tlog.Hash {
	return ledger.Leaf(ledger.Record(salt, entry))
}

// emptyRoot is the root of the tree without leaves.
var emptyRoot = tlog.Hash(sha256.Sum256(nil))
