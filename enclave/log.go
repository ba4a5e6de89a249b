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

// errEnough ends a reading that its reader has ended.
var errEnough = errors.New("enough was read")

// Entries yields the chosen entries in order, as far as a signed checkpoint
// covers them.
func (d *Domain) Entries(ctx context.Context, f state.Filter) iter.Seq2[*ledger.Entry, error] {
	return chosen(ctx, d.store, f)
}

func chosen(ctx context.Context, store *state.Store, f state.Filter) iter.Seq2[*ledger.Entry, error] {
	return func(yield func(*ledger.Entry, error) bool) {
		err := store.Entries(ctx, 0, f, func(seq int64, _ [ledger.SaltSize]byte, raw []byte) error {
			e, err := ledger.Decode(raw)
			if err != nil {
				return fmt.Errorf("entry %d: %w", seq, err)
			}
			if !yield(e, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
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
	return d.export(ctx, w)
}

func (d *Domain) export(ctx context.Context, w io.Writer) (entries int64, err error) {
	out, err := ledger.NewExportWriter(w, d.config.Origin)
	if err != nil {
		return 0, err
	}
	log, err := d.Log(ctx)
	if err != nil {
		return 0, err
	}
	if err := log.Entries(func(seq int64, salt [ledger.SaltSize]byte, entry []byte) error {
		entries++
		return out.Entry(seq, salt, entry)
	}); err != nil {
		return 0, err
	}
	for _, msg := range log.Checkpoints() {
		if err := out.Checkpoint(msg); err != nil {
			return 0, err
		}
	}
	return entries, out.Flush()
}

// Log is a domain's log as policy/audit reads it: the entries that its newest
// checkpoint covers.
type Log struct {
	ctx         context.Context
	store       *state.Store
	owned       bool // by the Log: Close closes it
	checkpoints [][]byte
	handOvers   [][]byte
	size        int64 // of the newest
}

// Log gives the domain's log to an audit of the open domain, as of now.
func (d *Domain) Log(ctx context.Context) (*Log, error) { return newLog(ctx, d.store) }

// maxCheckpoints is about how many checkpoints of a log are shown. There is one
// for every settled batch, and each proves what those before it do.
const maxCheckpoints = 1024

func newLog(ctx context.Context, store *state.Store) (*Log, error) {
	_, newest, err := store.Checkpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the newest checkpoint: %w", err)
	}
	l := &Log{ctx: ctx, store: store, size: newest.N}
	step, next := newest.N/maxCheckpoints, int64(0)
	err = store.Checkpoints(ctx, 0, func(tree tlog.Tree, msg []byte) error {
		if tree.N == newest.N || tree.N >= next && tree.N < newest.N {
			l.checkpoints = append(l.checkpoints, msg)
			next = tree.N + step
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	err = store.Entries(ctx, 0, state.Filter{Kinds: []ledger.Kind{ledger.KindKey}}, func(_ int64, _ [ledger.SaltSize]byte, entry []byte) error {
		// What does not decode is the reader's to find.
		if e, err := ledger.Decode(entry); err == nil && e.Key != nil && len(e.Key.HandOver) > 0 {
			l.handOvers = append(l.handOvers, e.Key.HandOver)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the hand-overs of the log's key: %w", err)
	}
	return l, nil
}

// Origin is the log's name.
func (l *Log) Origin() string { return l.store.Origin() }

// Entries yields every entry that the newest checkpoint covers, in order.
func (l *Log) Entries(yield func(seq int64, salt [ledger.SaltSize]byte, entry []byte) error) error {
	err := l.store.Entries(l.ctx, 0, state.Filter{}, func(seq int64, salt [ledger.SaltSize]byte, entry []byte) error {
		if seq >= l.size {
			return errEnough // logged since
		}
		return yield(seq, salt, entry)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Checkpoints are signed checkpoints, the oldest first and the newest always.
func (l *Log) Checkpoints() [][]byte { return l.checkpoints }

// HandOvers are the hand-overs of the log's key, in order.
func (l *Log) HandOvers() [][]byte { return l.handOvers }

// settleSlack is how much later than its admission a call may be logged.
const settleSlack = 25 * time.Hour

// Select yields the chosen entries in order, as far as a signed checkpoint
// covers them.
func (l *Log) Select(ctx context.Context, f state.Filter) iter.Seq2[*ledger.Entry, error] {
	return chosen(ctx, l.store, f)
}

// Statement is an enterprise's month 账单, like 2026-11.
func (l *Log) Statement(ctx context.Context, enterprise, month string) (*fees.Statement, error) {
	first, err := fees.ParseDay(month + "-01")
	if err != nil {
		return nil, fees.ErrMonth
	}
	calls := l.Select(ctx, state.Filter{
		Enterprise: enterprise, Kinds: []ledger.Kind{ledger.KindCall, ledger.KindExemption},
		From: first, To: first.AddDate(0, 1, 0).Add(settleSlack),
	})
	// Corrections name no enterprise: whose they are, their original says.
	corrections := l.Select(ctx, state.Filter{Month: month, Kinds: []ledger.Kind{ledger.KindCorrection}})
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
