package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
)

// logClock is the time that jobs are decided at: the clock's, but never before
// the log's newest entry, as far as that is known. Entries are dated so, and a
// job that was priced at another time than its entry has would not stand up to
// an audit. Where the clock was a year ahead for a moment, that is the time
// until it has caught up: no quota's window opens twice.
type logClock struct {
	clock func() time.Time
	floor atomic.Int64 // milliseconds
}

func (c *logClock) now() time.Time {
	now := c.clock()
	if floor := c.floor.Load(); floor > now.UnixMilli() {
		return time.UnixMilli(floor).UTC()
	}
	return now
}

// reach raises the floor.
func (c *logClock) reach(t time.Time) {
	for was := c.floor.Load(); t.UnixMilli() > was; was = c.floor.Load() {
		if c.floor.CompareAndSwap(was, t.UnixMilli()) {
			return
		}
	}
}

// behind is how far the clock is behind the log.
func (c *logClock) behind() time.Duration {
	return time.UnixMilli(c.floor.Load()).Sub(c.clock())
}

const (
	// longestDecision is how much older than its entry a decision may be. An
	// auditor takes a few minutes more.
	longestDecision = 10 * time.Minute
	// clockSlack is what the clocks of several machines may differ by without
	// being wrong.
	clockSlack = 2 * time.Second
)

// dated wants a job that was decided at a time that its entry may bear, else it
// is decided again (errMoved): the clock was set back, or another process is
// ahead.
func (g *Gateway) dated(at time.Time, tx *state.Tx) error {
	entry := tx.Now()
	if !at.After(entry) && entry.Sub(at) <= longestDecision {
		return nil
	}
	g.time.reach(entry)
	return errMoved
}

// readTime begins with the newest entry's time.
func (g *Gateway) readTime(ctx context.Context) error {
	size, err := g.Store.Size(ctx)
	if err != nil || size == 0 {
		return err
	}
	raw, _, err := g.Store.Record(ctx, size-1)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	newest, err := ledger.Decode(raw)
	if err == nil {
		g.time.reach(newest.Time.Time)
	}
	return err
}

// watchClock logs a clock that is behind the log, once a minute.
func (g *Gateway) watchClock(told *time.Time) {
	behind := g.time.behind()
	if behind <= clockSlack || time.Since(*told) < time.Minute {
		return
	}
	*told = time.Now()
	g.Log.Warn("the clock is behind the log's newest entry: calls are decided and dated at that entry's time until the clock has caught up: set it right, and see that nothing sets it back",
		"behind", behind.String())
}
