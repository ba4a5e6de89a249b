package sdk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// Receipts returns the receipts that this identity keeps of the log it is enrolled
// in, each verified. Those of a log that it was enrolled in before stay where they
// are: whoever has that log's key can verify them.
func (c *Client) Receipts() ([]*ledger.Receipt, error) {
	files, err := os.ReadDir(c.receipts())
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	last, err := c.trust.last()
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	keys, err := c.trust.keys(last, nil)
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	var receipts []*ledger.Receipt
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		b, err := readBounded(filepath.Join(c.receipts(), f.Name()), ledger.MaxReceipt)
		if err != nil {
			return nil, fmt.Errorf("read receipts: %w", err)
		}
		r, err := ledger.DecodeReceipt(b)
		if err != nil {
			return nil, fmt.Errorf("read receipt %s: %w", f.Name(), err)
		}
		if c.trust.another(r) {
			continue
		}
		if _, _, err := r.VerifyBy(keys); err != nil {
			return nil, fmt.Errorf("read receipt %s: %w: %w", f.Name(), ErrUntrusted, err)
		}
		receipts = append(receipts, r)
	}
	return receipts, nil
}

// Receipt fetches a settled job's receipt again, against the newest
// checkpoint, and verifies it, as Checkpoint does the checkpoint that it is under.
func (c *Client) Receipt(ctx context.Context, job string) (*ledger.Receipt, *ledger.Entry, error) {
	last, err := c.trust.last()
	if err != nil {
		return nil, nil, fmt.Errorf("fetch receipt of %s: %w", job, err)
	}
	resp, err := c.rpc.Receipt(ctx, &pb.ReceiptRequest{Job: job, Since: last.tree.N})
	if err != nil {
		return nil, nil, wireError("fetch receipt", err)
	}
	o := offer{consistency: resp.GetConsistency(), handOvers: resp.GetHandOvers()}
	r, entry, err := c.accept(ctx, last, resp.GetReceipt(), o, func(e *ledger.Entry) error {
		if call := e.TheCall(); call == nil || call.Header.Job != job {
			return fmt.Errorf("%w: it is another job's", ErrUntrusted)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("fetch receipt of %s: %w", job, err)
	}
	return r, entry, nil
}
