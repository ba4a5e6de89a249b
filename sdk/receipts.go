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

// Receipts returns the receipts this identity keeps, each verified.
func (c *Client) Receipts() ([]*ledger.Receipt, error) {
	files, err := os.ReadDir(c.receipts())
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
		if _, _, err := r.Verify(c.log); err != nil {
			return nil, fmt.Errorf("read receipt %s: %w: %w", f.Name(), ErrUntrusted, err)
		}
		receipts = append(receipts, r)
	}
	return receipts, nil
}

// Receipt fetches a settled job's receipt again, against the newest
// checkpoint, and verifies it.
func (c *Client) Receipt(ctx context.Context, job string) (*ledger.Receipt, *ledger.Entry, error) {
	resp, err := c.rpc.Receipt(ctx, &pb.ReceiptRequest{Job: job})
	if err != nil {
		return nil, nil, wireError("fetch receipt", err)
	}
	r := fromWire(resp.GetReceipt())
	entry, _, err := r.Verify(c.log)
	if err != nil {
		return nil, nil, fmt.Errorf("fetch receipt of %s: %w: %w", job, ErrUntrusted, err)
	}
	if call := entry.TheCall(); call == nil || call.Header.Job != job {
		return nil, nil, fmt.Errorf("fetch receipt of %s: %w: it is another job's", job, ErrUntrusted)
	}
	return r, entry, nil
}
