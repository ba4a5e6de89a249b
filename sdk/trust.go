package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// trust keeps the last checkpoint that this identity saw, and the hand-overs by
// which the log's key went from the one of its enrolment to the one that signs
// now. It moves forward only along consistency proofs and hand-overs.
type trust struct {
	path   string // of the checkpoint
	chain  string // of the hand-overs
	pinned note.Verifier
	mu     sync.Mutex // what was seen changes in one place of this process at a time
}

// seen is what an identity saw last.
type seen struct {
	tree       tlog.Tree // empty: nothing
	checkpoint []byte
	handOvers  [][]byte
}

// handOversFile is the file of the hand-overs.
type handOversFile struct {
	V         int      `json:"v"`
	HandOvers [][]byte `json:"handOvers"`
}

const (
	handOversVersion = 1
	maxHandOversFile = 2 * ledger.MaxHandOvers * ledger.MaxHandOver
)

// last returns what was seen last. The checkpoint was verified before it was
// kept; advance does so again, once it has the keys. The hand-overs are read
// after the checkpoint, before which they were written.
func (t *trust) last() (seen, error) {
	var s seen
	var err error
	if s.checkpoint, err = readBounded(t.path, maxSmallFile); err == nil {
		var origin string
		if origin, s.tree, err = ledger.ParseCheckpoint(s.checkpoint); err == nil && origin != t.pinned.Name() {
			err = fmt.Errorf("it is of the log %s", origin)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return seen{}, fmt.Errorf("read the last checkpoint seen, %s: %w", t.path, err)
	}
	b, err := readBounded(t.chain, maxHandOversFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	var file handOversFile
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	if err == nil && (file.V != handOversVersion || len(file.HandOvers) > ledger.MaxHandOvers) {
		err = errors.New("not a file of this version")
	}
	if err != nil {
		return seen{}, fmt.Errorf("read the hand-overs of the log's key, %s: %w", t.chain, err)
	}
	s.handOvers = file.HandOvers
	return s, nil
}

// keys are the log's keys as far as the hand-overs lead, those that were seen
// and those that came now.
func (t *trust) keys(s seen, came [][]byte) (*ledger.LogKeys, error) {
	if len(came) > ledger.MaxHandOvers {
		return nil, fmt.Errorf("%w: %d hand-overs of the log's key: %w: a log has at most %d", ErrUntrusted, len(came), ledger.ErrTooLarge, ledger.MaxHandOvers)
	}
	all := slices.Clone(s.handOvers)
	for _, msg := range came {
		if !slices.ContainsFunc(all, func(old []byte) bool { return bytes.Equal(old, msg) }) {
			all = append(all, msg)
		}
	}
	keys, err := ledger.NewLogKeys(t.pinned, all...)
	switch {
	case errors.Is(err, ledger.ErrInconsistent):
		return nil, fmt.Errorf("%w: its key was handed over to another than before: tell an auditor: %w", ErrFork, err)
	case err != nil:
		return nil, fmt.Errorf("%w: hand-over of the log's key: %w", ErrUntrusted, err)
	}
	return keys, nil
}

// offer is what a gateway shows of its log.
type offer struct {
	checkpoint  []byte
	consistency [][]byte // between the last tree seen and the checkpoint's
	handOvers   [][]byte
}

// errOvertaken: another process moved the last checkpoint forward meanwhile.
var errOvertaken = errors.New("another process fetched a checkpoint meanwhile")

// advance accepts a checkpoint that continues the last one seen, or that the
// last one seen continues, and returns the keys by which it was verified. If the
// last one seen is another by now, that is errOvertaken: two processes that were
// shown two logs must not both go on.
func (t *trust) advance(ctx context.Context, last seen, o offer) (tlog.Tree, *ledger.LogKeys, error) {
	fail := func(err error) (tlog.Tree, *ledger.LogKeys, error) { return tlog.Tree{}, nil, err }
	if err := t.sameLog(o.checkpoint); err != nil {
		return fail(err)
	}
	keys, err := t.keys(last, o.handOvers)
	if err != nil {
		return fail(t.evidence(err, o))
	}
	tree, err := keys.Checkpoint(o.checkpoint)
	if err != nil {
		return fail(fmt.Errorf("%w: checkpoint: %w", ErrUntrusted, err))
	}
	if last.tree.N > 0 {
		kept, err := keys.Checkpoint(last.checkpoint)
		if errors.Is(err, ledger.ErrRetired) { // it was in force by the hand-overs that led there
			return fail(t.evidence(fmt.Errorf("%w: the key that signed size %d is said to have been handed over at another: keep both and tell an auditor: %w", ErrFork, last.tree.N, err), o))
		}
		if err != nil || kept != last.tree {
			return fail(fmt.Errorf("the last checkpoint seen, %s, is not signed by the log's key: %w", t.path, err))
		}
		if err := joined(last.tree, tree, o.consistency); err != nil {
			return fail(t.evidence(err, o))
		}
	}
	if tree.N < last.tree.N {
		return tree, keys, nil
	}
	return tree, keys, locked(ctx, t.path, func() error {
		now, err := t.last()
		switch {
		case err != nil:
			return err
		case now.tree == tree:
			return nil
		case now.tree != last.tree:
			return errOvertaken
		}
		if handOvers := keys.HandOvers(); len(handOvers) > len(now.handOvers) {
			if err := writeState(t.chain, handOversFile{V: handOversVersion, HandOvers: handOvers}); err != nil {
				return err
			}
		}
		return writeFile(t.path, o.checkpoint)
	})
}

// joined checks that one of two trees continues the other.
func joined(last, tree tlog.Tree, proof [][]byte) error {
	hashes := make([]tlog.Hash, len(proof))
	for i, h := range proof {
		if len(h) != tlog.HashSize {
			return fmt.Errorf("%w: consistency proof: a hash of %d bytes", ErrUntrusted, len(h))
		}
		copy(hashes[i][:], h)
	}
	older, newer := last, tree
	if newer.N < older.N {
		older, newer = newer, older
	}
	if err := ledger.CheckConsistency(older, newer, hashes); err != nil {
		return fmt.Errorf("%w: size %d was seen, %d is offered: keep both checkpoints and tell an auditor: %w", ErrFork, last.N, tree.N, err)
	}
	return nil
}

// evidence keeps what shows a fork beside the last checkpoint seen: the first
// time, for a gateway may offer many.
func (t *trust) evidence(err error, o offer) error {
	path := t.path + ".fork"
	if _, missing := os.Stat(path); !errors.Is(err, ErrFork) || !errors.Is(missing, fs.ErrNotExist) {
		return err
	}
	return errors.Join(err, writeFile(path, append(bytes.Clone(o.checkpoint), bytes.Join(o.handOvers, nil)...)))
}

// Checkpoint fetches the newest checkpoint and accepts it only as a
// continuation of the last one that this identity saw (ErrFork otherwise).
func (c *Client) Checkpoint(ctx context.Context) (tlog.Tree, error) {
	tree, _, _, err := c.checkpoint(ctx, &pb.CheckpointRequest{})
	return tree, err
}

// overtakes is how often a checkpoint is fetched anew because another process
// was faster.
const overtakes = 8

func (c *Client) checkpoint(ctx context.Context, req *pb.CheckpointRequest) (tlog.Tree, *ledger.LogKeys, *pb.CheckpointResponse, error) {
	c.trust.mu.Lock()
	defer c.trust.mu.Unlock()
	for try := 1; ; try++ {
		last, err := c.trust.last()
		if err != nil {
			return tlog.Tree{}, nil, nil, err
		}
		req.Since = last.tree.N
		resp, err := c.rpc.Checkpoint(ctx, req)
		if err != nil {
			return tlog.Tree{}, nil, nil, wireError("fetch checkpoint", err)
		}
		tree, keys, err := c.trust.advance(ctx, last, offer{resp.GetCheckpoint(), resp.GetConsistency(), resp.GetHandOvers()})
		if errors.Is(err, errOvertaken) && try < overtakes {
			continue
		}
		if err == nil && tree.N < last.tree.N { // the newest: none that was seen is newer
			err = fmt.Errorf("%w: size %d was seen, %d is offered as the newest", ErrFork, last.tree.N, tree.N)
		}
		return tree, keys, resp, err
	}
}

// accept takes a job's receipt: it verifies, and its checkpoint is of the log
// that was seen before. If other processes were faster, a newer receipt of the
// same entry is fetched, which is free, and joined to what they saw. Jobs of this
// process take turns, so that they need not overtake each other.
func (c *Client) accept(ctx context.Context, last seen, r *pb.Receipt, o offer, check func(*ledger.Entry) error) (*ledger.Receipt, *ledger.Entry, error) {
	c.trust.mu.Lock()
	defer c.trust.mu.Unlock()
	for try := 1; ; try++ {
		receipt := fromWire(r)
		fail := func(what string, err error) (*ledger.Receipt, *ledger.Entry, error) {
			return nil, nil, fmt.Errorf("receipt: %w: %s: %w", ErrUntrusted, what, err)
		}
		var err error
		if o.checkpoint, err = receipt.Checkpoint(); err != nil {
			return fail("it does not verify", err)
		}
		_, keys, trusted := c.trust.advance(ctx, last, o)
		if trusted != nil && (!errors.Is(trusted, errOvertaken) || try == overtakes) {
			return nil, nil, fmt.Errorf("receipt: %w", trusted)
		}
		entry, _, err := receipt.VerifyBy(keys)
		if err != nil {
			return fail("it does not verify", err)
		}
		if err := check(entry); err != nil {
			return nil, nil, err
		}
		if trusted == nil {
			receipt.HandOvers = keys.HandOvers()
			return receipt, entry, nil
		}
		if last, err = c.trust.last(); err != nil {
			return nil, nil, err
		}
		resp, err := c.rpc.Receipt(ctx, &pb.ReceiptRequest{Job: entry.TheCall().Header.Job, Since: last.tree.N})
		if err != nil {
			return nil, nil, wireError("fetch receipt", err)
		}
		r, o = resp.GetReceipt(), offer{consistency: resp.GetConsistency(), handOvers: resp.GetHandOvers()}
	}
}

// published is a table version that was proved to be in the log.
type published struct {
	*lookup.Descriptor
	digest string
	client *lookup.Client
}

// descriptor fetches and proves the descriptor of a table version (0: the
// newest of the epoch; epoch 0: the live one), and readies a lookup client.
func (c *Client) descriptor(ctx context.Context, product string, epoch, version int) (*published, error) {
	fail := func(format string, args ...any) (*published, error) {
		return nil, fmt.Errorf("descriptor of %s: %w", product, fmt.Errorf(format, args...))
	}
	p, canonical, err := c.publication(ctx, product, epoch, version)
	if err != nil {
		return fail("%w", err)
	}
	if p.Regime != "" {
		return fail("it is an aggregate product, which is not asked about subjects")
	}
	d, err := lookup.DecodeDescriptor(canonical)
	if err != nil {
		return fail("%w: %w", ErrUntrusted, err)
	}
	if d.Product != product || d.Epoch != p.Epoch || d.Version != p.Version {
		return fail("%w: it names another product, epoch or version than its entry", ErrUntrusted)
	}
	part, err := c.publicPart(ctx, d.Lattice.Answer, d.Lattice.PublicBytes)
	if err != nil {
		return fail("%w", err)
	}
	client, err := lookup.NewClient(d.Lattice, part)
	if err != nil {
		return fail("%w: %w", ErrUntrusted, err)
	}
	return &published{Descriptor: d, digest: ledger.Digest(canonical), client: client}, nil
}

// publication fetches the publish entry of a version and proves that it is in the
// log. With it comes its descriptor's canonical form.
func (c *Client) publication(ctx context.Context, product string, epoch, version int) (*ledger.Publish, []byte, error) {
	tree, keys, resp, err := c.checkpoint(ctx, &pb.CheckpointRequest{Product: product, Epoch: int32(epoch), Version: int32(version)})
	if err != nil {
		return nil, nil, err
	}
	entry, at, err := fromWire(resp.GetPublished()).VerifyBy(keys)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if at != tree {
		return nil, nil, fmt.Errorf("%w: it is proved under another checkpoint than the one sent", ErrUntrusted)
	}
	p := entry.Publish
	if p == nil || p.Product != product || (epoch != 0 && p.Epoch != epoch) || (version != 0 && p.Version != version) {
		return nil, nil, fmt.Errorf("%w: the entry proved is another one", ErrUntrusted)
	}
	canonical, err := ledger.Canonical(p.Descriptor)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return p, canonical, nil
}

func fromWire(r *pb.Receipt) *ledger.Receipt {
	return &ledger.Receipt{Entry: r.GetEntry(), Salt: r.GetSalt(), Proof: string(r.GetProof())}
}
