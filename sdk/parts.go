package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// publicPart returns the public answer part of a table version, from the
// cache or the gateway. lookup.NewClient holds it to its digest.
func (c *Client) publicPart(ctx context.Context, digest string, size int) ([]byte, error) {
	path := filepath.Join(c.parts(), strings.TrimPrefix(digest, "sha256:"))
	if b, err := readBounded(path, int64(size)); err == nil && ledger.Digest(b) == digest {
		now := c.clock()
		_ = os.Chtimes(path, now, now) // when it was last used: without it, it goes sooner
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
	if err := writeFile(path, part.Bytes()); err != nil {
		return nil, err
	}
	return part.Bytes(), c.pruneParts()
}

// What is kept of public answer parts: they can be fetched again.
const (
	partsKept = 32
	partsKeep = 90 * 24 * time.Hour // since they were last used
)

// pruneParts drops the parts that were not used for long, and the least recently
// used beyond a number.
func (c *Client) pruneParts() error {
	files, err := os.ReadDir(c.parts())
	if err != nil {
		return fmt.Errorf("drop old answer parts: %w", err)
	}
	type kept struct {
		path string
		used time.Time
	}
	var parts []kept
	for _, f := range files {
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) || f.IsDir() || strings.HasPrefix(f.Name(), ".") {
			continue // gone, or another process is writing it
		}
		if err != nil {
			return fmt.Errorf("drop old answer parts: %w", err)
		}
		parts = append(parts, kept{filepath.Join(c.parts(), f.Name()), info.ModTime()})
	}
	slices.SortFunc(parts, func(a, b kept) int { return b.used.Compare(a.used) })
	oldest := c.clock().Add(-partsKeep)
	for i, p := range parts {
		if i < partsKept && !p.used.Before(oldest) {
			continue
		}
		if err := removeIfThere(p.path); err != nil {
			return fmt.Errorf("drop old answer parts: %w", err)
		}
	}
	return nil
}
