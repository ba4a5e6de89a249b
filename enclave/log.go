package enclave

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
)

// Entries yields the chosen entries in order, as far as a signed checkpoint
// covers them.
func (d *Domain) Entries(ctx context.Context, f state.Filter) iter.Seq2[*ledger.Entry, error] {
	return func(yield func(*ledger.Entry, error) bool) {
		enough := errors.New("enough")
		err := d.store.Entries(ctx, 0, f, func(seq int64, _ [ledger.SaltSize]byte, raw []byte) error {
			e, err := ledger.Decode(raw)
			if err != nil {
				return fmt.Errorf("entry %d: %w", seq, err)
			}
			if !yield(e, nil) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			yield(nil, fmt.Errorf("reading the log: %w", err))
		}
	}
}

// ExportLog writes the whole log, with salts and checkpoints, as an auditor
// reads it, and logs that it was exported.
func (d *Domain) ExportLog(ctx context.Context, w io.Writer) (entries int64, err error) {
	size, err := d.store.Size(ctx)
	if err != nil {
		return 0, err
	}
	if err := d.access(ctx, "export", "log", size); err != nil {
		return 0, err
	}
	out, err := ledger.NewExportWriter(w, d.config.Origin)
	if err != nil {
		return 0, err
	}
	if err := d.Log(ctx).Entries(func(seq int64, salt [ledger.SaltSize]byte, entry []byte) error {
		entries++
		return out.Entry(seq, salt, entry)
	}); err != nil {
		return 0, err
	}
	err = d.store.Checkpoints(ctx, 0, func(tree tlog.Tree, msg []byte) error {
		if tree.N > entries {
			return nil // logged since
		}
		return out.Checkpoint(msg)
	})
	if err != nil {
		return 0, err
	}
	return entries, out.Flush()
}

// Log is the domain's log as policy/audit reads it.
type Log struct {
	ctx   context.Context
	store *state.Store
}

// Log gives the domain's log to an audit of the open domain.
func (d *Domain) Log(ctx context.Context) *Log { return &Log{ctx, d.store} }

// Origin is the log's name.
func (l *Log) Origin() string { return l.store.Origin() }

// Entries yields every entry that a signed checkpoint covers, in order.
func (l *Log) Entries(yield func(seq int64, salt [ledger.SaltSize]byte, entry []byte) error) error {
	return l.store.Entries(l.ctx, 0, state.Filter{}, yield)
}

// Checkpoints are all signed checkpoints, the oldest first.
func (l *Log) Checkpoints() ([][]byte, error) {
	var out [][]byte
	err := l.store.Checkpoints(l.ctx, 0, func(_ tlog.Tree, msg []byte) error {
		out = append(out, msg)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	return out, nil
}

// settleSlack is how much later than its admission a call may be logged.
const settleSlack = 25 * time.Hour

// Statement is an enterprise's month 账单, like 2026-11.
func (d *Domain) Statement(ctx context.Context, enterprise, month string) (*fees.Statement, error) {
	first, err := fees.ParseDay(month + "-01")
	if err != nil {
		return nil, fees.ErrMonth
	}
	calls := d.Entries(ctx, state.Filter{
		Enterprise: enterprise, Kinds: []ledger.Kind{ledger.KindCall, ledger.KindExemption},
		From: first, To: first.AddDate(0, 1, 0).Add(settleSlack),
	})
	// Corrections name no enterprise: whose they are, their original says.
	corrections := d.Entries(ctx, state.Filter{Month: month, Kinds: []ledger.Kind{ledger.KindCorrection}})
	return fees.BuildStatement(enterprise, month, func(yield func(*ledger.Entry, error) bool) {
		for _, part := range []iter.Seq2[*ledger.Entry, error]{calls, corrections} {
			for e, err := range part {
				if !yield(e, err) {
					return
				}
			}
		}
	})
}
