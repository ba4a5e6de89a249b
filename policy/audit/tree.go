package audit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// frontier is a Merkle tree that only grows (RFC 6962 §2.1), as the roots of its
// complete subtrees, the largest first: one hash per bit of its size.
type frontier struct {
	size  int64
	nodes []tlog.Hash
}

func (f *frontier) add(leaf tlog.Hash) {
	f.nodes = append(f.nodes, leaf)
	f.size++
	for n := f.size; n&1 == 0; n >>= 1 {
		last := len(f.nodes) - 1
		f.nodes[last-1] = tlog.NodeHash(f.nodes[last-1], f.nodes[last])
		f.nodes = f.nodes[:last]
	}
}

func (f *frontier) root() tlog.Hash {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	root := f.nodes[len(f.nodes)-1]
	for i := len(f.nodes) - 2; i >= 0; i-- {
		root = tlog.NodeHash(f.nodes[i], root)
	}
	return root
}

// heads are the tree heads to meet while the tree grows, by size.
type heads struct {
	trees   []tlog.Tree
	matches []bool
	next    int
	astray  bool // the last head that was met did not match
}

// openCheckpoints verifies the checkpoints at hand. Those that do not verify are
// findings; repeated ones count once.
func openCheckpoints(f *findings, src Source, keys *ledger.LogKeys) heads {
	var h heads
	for i, msg := range src.Checkpoints() {
		tree, err := keys.Checkpoint(msg)
		switch what := fmt.Sprintf("checkpoint %d of those given", i+1); {
		case errors.Is(err, ledger.ErrRetired):
			f.add("A43", -1, what, "one signed by the key that was in force at its size", err.Error())
		case err != nil:
			f.add("A04", -1, what, "a checkpoint signed by "+keys.Origin(), err.Error())
		default:
			h.trees = append(h.trees, tree)
		}
	}
	// A hand-over is a signed tree head too: two keys vouch for the tree before it.
	for _, msg := range keys.HandOvers() {
		if over, err := ledger.ParseHandOver(msg); err == nil {
			h.trees = append(h.trees, over.Tree)
		}
	}
	slices.SortFunc(h.trees, func(a, b tlog.Tree) int {
		return cmp.Or(cmp.Compare(a.N, b.N), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	h.trees = slices.Compact(h.trees)
	h.matches = make([]bool, len(h.trees))
	return h
}

// meet compares all heads of the tree's size with its root.
func (h *heads) meet(tree *frontier) {
	for h.next < len(h.trees) && h.trees[h.next].N <= tree.size {
		if h.trees[h.next].N == tree.size {
			h.matches[h.next] = h.trees[h.next].Hash == tree.root()
			h.astray = !h.matches[h.next]
		}
		h.next++
	}
}

// judge says what the heads say about the entries. lost is how many entries
// were found missing already.
func (h *heads) judge(f *findings, read, lost int64) (newest tlog.Tree, matching int) {
	lastMatch := -1
	for i := range h.trees[:h.next] {
		if h.matches[i] {
			lastMatch = i
			newest = h.trees[i]
			matching++
		}
	}
	agreed := int64(0) // size up to which the entries are what was signed
	reported := false
	for i, tree := range h.trees[:h.next] {
		switch {
		case h.matches[i]:
			agreed = tree.N
		case i < lastMatch || agreed == tree.N || i > 0 && h.trees[i-1].N == tree.N:
			f.add("A06", tree.N-1, fmt.Sprintf("a signed checkpoint of size %d", tree.N),
				"the root of the history that the entries and other signed checkpoints are of", tree.Hash.String())
		case !reported: // later ones follow from it
			reported = true
			f.addRange("A05", agreed, tree.N-1, fmt.Sprintf("the tree of size %d", tree.N),
				"the signed root "+tree.Hash.String(), "another: at least one of these entries is not what was signed, or was not there")
		}
	}
	covered := len(h.trees)
	if covered > h.next && h.trees[covered-1].N > read+lost {
		f.addRange("A07", read+lost, h.trees[covered-1].N-1, "the end of the log",
			fmt.Sprintf("%d entries, as a checkpoint signs", h.trees[covered-1].N), strconv.FormatInt(read, 10))
		covered = h.next // the others cover what is not there
	}
	h.uncovered(f, read, h.trees[:covered])
	return newest, matching
}

// uncovered finds entries past the last checkpoint.
func (h *heads) uncovered(f *findings, read int64, covering []tlog.Tree) {
	switch last := len(covering) - 1; {
	case read == 0:
	case last < 0:
		f.addRange("A08", 0, read-1, "the log", "a signed checkpoint of these entries", "none that verifies")
	case covering[last].N < read:
		f.addRange("A08", covering[last].N, read-1, "the end of the log",
			fmt.Sprintf("a checkpoint of size %d", read), fmt.Sprintf("the newest of size %d", covering[last].N))
	}
}
