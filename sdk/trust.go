package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// trust keeps the last checkpoint that this identity saw and moves it forward
// only along consistency proofs.
type trust struct {
	path string
	log  note.Verifier
	mu   sync.Mutex // one fetch at a time in this process
}

// last returns the last checkpoint seen; an empty tree if there is none.
func (t *trust) last() (tlog.Tree, error) {
	b, err := readBounded(t.path, maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return tlog.Tree{}, nil
	} else if err != nil {
		return tlog.Tree{}, fmt.Errorf("read the last checkpoint seen: %w", err)
	}
	tree, err := ledger.OpenCheckpoint(b, t.log)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("read the last checkpoint seen, %s: %w", t.path, err)
	}
	return tree, nil
}

// errOvertaken: another process moved the last checkpoint forward meanwhile.
var errOvertaken = errors.New("another process fetched a checkpoint meanwhile")

// advance accepts a checkpoint that continues the last one seen, if that still
// is the last one: two processes that were shown two logs must not both go on.
func (t *trust) advance(ctx context.Context, last tlog.Tree, checkpoint []byte, proof [][]byte) (tlog.Tree, error) {
	tree, err := ledger.OpenCheckpoint(checkpoint, t.log)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("%w: checkpoint: %w", ErrUntrusted, err)
	}
	if last.N > 0 {
		hashes := make([]tlog.Hash, len(proof))
		for i, h := range proof {
			if len(h) != tlog.HashSize {
				return tlog.Tree{}, fmt.Errorf("%w: consistency proof: a hash of %d bytes", ErrUntrusted, len(h))
			}
			copy(hashes[i][:], h)
		}
		if err := ledger.CheckConsistency(last, tree, hashes); err != nil {
			return tlog.Tree{}, fmt.Errorf("%w: size %d was seen, %d is offered: keep both checkpoints and tell an auditor: %w", ErrFork, last.N, tree.N, err)
		}
	}
	return tree, locked(ctx, t.path, func() error {
		now, err := t.last()
		switch {
		case err != nil:
			return err
		case now != last:
			return errOvertaken
		case tree == last:
			return nil
		}
		return writeFile(t.path, checkpoint)
	})
}

// Checkpoint fetches the newest checkpoint and accepts it only as a
// continuation of the last one that this identity saw (ErrFork otherwise).
func (c *Client) Checkpoint(ctx context.Context) (tlog.Tree, error) {
	tree, _, err := c.checkpoint(ctx, &pb.CheckpointRequest{})
	return tree, err
}

// overtakes is how often a checkpoint is fetched anew because another process
// was faster.
const overtakes = 8

func (c *Client) checkpoint(ctx context.Context, req *pb.CheckpointRequest) (tlog.Tree, *pb.CheckpointResponse, error) {
	c.trust.mu.Lock()
	defer c.trust.mu.Unlock()
	for try := 1; ; try++ {
		last, err := c.trust.last()
		if err != nil {
			return tlog.Tree{}, nil, err
		}
		req.Since = last.N
		resp, err := c.rpc.Checkpoint(ctx, req)
		if err != nil {
			return tlog.Tree{}, nil, wireError("fetch checkpoint", err)
		}
		tree, err := c.trust.advance(ctx, last, resp.GetCheckpoint(), resp.GetConsistency())
		if errors.Is(err, errOvertaken) && try < overtakes {
			continue
		}
		return tree, resp, err
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
	tree, resp, err := c.checkpoint(ctx, &pb.CheckpointRequest{Product: product, Epoch: int32(epoch), Version: int32(version)})
	if err != nil {
		return fail("%w", err)
	}
	entry, at, err := fromWire(resp.GetPublished()).Verify(c.log)
	if err != nil {
		return fail("%w: %w", ErrUntrusted, err)
	}
	if at != tree {
		return fail("%w: it is proved under another checkpoint than the one sent", ErrUntrusted)
	}
	p := entry.Publish
	if p == nil || p.Product != product || (epoch != 0 && p.Epoch != epoch) || (version != 0 && p.Version != version) {
		return fail("%w: the entry proved is another one", ErrUntrusted)
	}
	canonical, err := ledger.Canonical(p.Descriptor)
	if err != nil {
		return fail("%w: %w", ErrUntrusted, err)
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

// publicPart returns the public answer part of a table version, from the
// cache or the gateway. lookup.NewClient holds it to its digest.
func (c *Client) publicPart(ctx context.Context, digest string, size int) ([]byte, error) {
	path := filepath.Join(c.parts(), strings.TrimPrefix(digest, "sha256:"))
	if b, err := readBounded(path, int64(size)); err == nil && ledger.Digest(b) == digest {
		return b, nil
	}
	stream, err := c.rpc.PublicPart(ctx, &pb.PublicPartRequest{Digest: digest})
	if err != nil {
		return nil, wireError("fetch public answer part", err)
	}
	var part bytes.Buffer
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, wireError("fetch public answer part", err)
		}
		if part.Len()+len(chunk.GetData()) > size {
			return nil, fmt.Errorf("fetch public answer part: %w: longer than the descriptor says", ErrUntrusted)
		}
		part.Write(chunk.GetData())
	}
	if ledger.Digest(part.Bytes()) != digest {
		return nil, fmt.Errorf("fetch public answer part: %w: its digest is not the descriptor's", ErrUntrusted)
	}
	return part.Bytes(), writeFile(path, part.Bytes())
}

func fromWire(r *pb.Receipt) *ledger.Receipt {
	return &ledger.Receipt{Entry: r.GetEntry(), Salt: r.GetSalt(), Proof: string(r.GetProof())}
}
