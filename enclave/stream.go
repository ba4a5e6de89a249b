package enclave

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// contextReader ends when its context does, and tells how far it has come.
type contextReader struct {
	ctx  context.Context
	in   io.Reader
	done int64
	told func(done int64)
}

func (r *contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.in.Read(b)
	if r.done += int64(n); r.told != nil {
		r.told(r.done)
	}
	return n, err
}

// counter counts and digests what is read through it.
type counter struct {
	in   io.Reader
	size int64
	sum  hash.Hash
}

func newCounter(in io.Reader) *counter { return &counter{in: in, sum: sha256.New()} }

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.size += int64(n)
	c.sum.Write(b[:n])
	return n, err
}

func (c *counter) digest() []byte { return c.sum.Sum(nil) }

// check holds what was read to what a manifest says of the part.
func (c *counter) check(item *backupItem) error {
	if item.Size >= 0 && c.size != item.Size {
		return fmt.Errorf("%w: it has %d bytes, the manifest says %d", ErrDamaged, c.size, item.Size)
	}
	if got := "sha256:" + hex.EncodeToString(c.digest()); item.Logged != "" && got != item.Logged {
		return fmt.Errorf("it is not the file that was logged: its digest is %s, the log says %s: put the right one back, or import again", got, item.Logged)
	}
	return nil
}
