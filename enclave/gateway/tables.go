package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
)

// tables opens operands when they are first asked for, checks each against its
// descriptor once, and keeps it while it is served. One that is no longer
// served is closed when its last reader has left.
type tables struct {
	dir     string
	secrets keyring.Secrets
	log     *slog.Logger

	mu         sync.Mutex
	closed     bool
	open       map[int64]*held // by publish entry
	evaluators map[evaluatorKey]*heldKey
	failing    map[int64]time.Time // when the log was told of a table that does not open
}

// tableRetry is how often the log is told of a table that does not open, and how
// long after a failure it is tried again where nobody asks for it.
const tableRetry = time.Minute

type evaluatorKey struct {
	product, answer string
	epoch           int
}

// held is one open table, or one that is being opened.
type held struct {
	version world.Version
	ready   chan struct{}
	table   *release.MaskedTable // of a verify product
	cells   *release.Cells       // of an aggregate
	err     error
	readers int
	dropped bool // to be closed by the last reader
}

var errClosed = errors.New("gateway: closed")

func newTables(dir string, secrets keyring.Secrets, log *slog.Logger) *tables {
	return &tables{dir: dir, secrets: secrets, log: log, open: map[int64]*held{}, evaluators: map[evaluatorKey]*heldKey{}, failing: map[int64]time.Time{}}
}

// table returns a version's table. The caller calls done when it has read.
func (t *tables) table(ctx context.Context, v world.Version) (_ *release.MaskedTable, done func(), err error) {
	h, done, err := t.hold(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	return h.table, done, nil
}

// releasedCells returns a version's cells. The caller calls done when it has read.
func (t *tables) releasedCells(ctx context.Context, v world.Version) (_ *release.Cells, done func(), err error) {
	h, done, err := t.hold(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	return h.cells, done, nil
}

// hold opens a version's operand, if it is not open, and counts a reader in.
func (t *tables) hold(ctx context.Context, v world.Version) (_ *held, done func(), err error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, nil, errClosed
	}
	h := t.open[v.Seq]
	if h == nil {
		h = &held{version: v, ready: make(chan struct{})}
		t.open[v.Seq] = h
		go t.load(h)
	}
	h.readers++
	t.mu.Unlock()
	done = func() { t.leave(h) }
	select {
	case <-h.ready:
	case <-ctx.Done():
		done()
		return nil, nil, ctx.Err()
	}
	if h.err != nil {
		done()
		return nil, nil, h.err
	}
	return h, done, nil
}

// load opens a table, apart from any caller's context: the next caller wants it
// too. One that does not open is forgotten, so that a repaired file is found.
func (t *tables) load(h *held) {
	v := h.version
	var table *release.MaskedTable
	var cells *release.Cells
	var err error
	if v.Cells != nil {
		cells, err = release.OpenCells(context.Background(), t.secrets, release.CellsPath(t.dir, v.Product, v.Epoch, v.Version), v.Cells)
	} else {
		table, err = release.OpenTable(context.Background(), t.secrets, release.TablePath(t.dir, v.Product, v.Epoch, v.Version), v.Lookup)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h.table, h.cells, h.err = table, cells, err
	close(h.ready)
	if err != nil && t.open[v.Seq] == h { // else it was dropped, and another may be on its way
		delete(t.open, v.Seq)
	}
	t.tell(v, err)
	t.closeIdle(h)
}

// tell logs that a table does not open, once in tableRetry however many ask for
// it, and that it opens again. The caller holds mu.
func (t *tables) tell(v world.Version, err error) {
	last, failing := t.failing[v.Seq]
	about := []any{"product", v.Product, "epoch", v.Epoch, "version", v.Version}
	switch {
	case err == nil && failing:
		delete(t.failing, v.Seq)
		t.log.Info("a table is served again", about...)
	case err != nil && (!failing || time.Since(last) >= tableRetry):
		t.failing[v.Seq] = time.Now()
		t.log.Error("a published table is not served", append(about, "error", err)...)
	}
}

func (t *tables) leave(h *held) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.readers--
	t.closeIdle(h)
}

// closeIdle closes a dropped table that nobody reads. The caller holds mu.
func (t *tables) closeIdle(h *held) {
	if !h.dropped || h.readers > 0 {
		return
	}
	if h.table != nil {
		_ = h.table.Close() // read only: nothing is lost
	}
	if h.cells != nil {
		h.cells.Zero()
	}
}

// retain drops the tables that are not served any more, and the keys that were
// shredded or retired.
func (t *tables) retain(s *world.Snapshot, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for seq, h := range t.open {
		if _, ok := s.Served(h.version.Product, h.version.Epoch, h.version.Version, now); !ok {
			t.drop(seq, h)
		}
	}
	maps.DeleteFunc(t.failing, func(_ int64, told time.Time) bool { return time.Since(told) > 2*tableRetry }) // nobody asks any more
	for key, h := range t.evaluators {
		if _, gone := s.World.KeyGone(key.product, key.epoch); gone {
			t.dropKey(key, h)
		}
	}
}

func (t *tables) drop(seq int64, h *held) {
	delete(t.open, seq)
	h.dropped = true
	select {
	case <-h.ready:
		t.closeIdle(h)
	default: // load closes it
	}
}

// heldKey is an epoch's key that is open.
type heldKey struct {
	evaluator *release.Evaluator
	users     int
	dropped   bool // to be cleared by the last user
}

// evaluator returns the key of an epoch, whether its tables are served or not:
// a settled job is answered again for as long as its key is kept. The caller
// calls done when it has evaluated.
func (t *tables) evaluator(ctx context.Context, v world.Version) (_ *release.Evaluator, done func(), err error) {
	key := evaluatorKey{v.Product, v.Lookup.Answer, v.Epoch}
	if e, done, err := t.use(key, nil); e != nil || err != nil {
		return e, done, err
	}
	// Without the lock: a keyring may be on another machine, and slow.
	opened, err := release.OpenEvaluator(ctx, t.secrets, v.Lookup)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the key of %s epoch %d: %w", v.Product, v.Epoch, err)
	}
	return t.use(key, opened)
}

// use takes the key that is open, or the one that was opened now; nil: there is
// neither.
func (t *tables) use(key evaluatorKey, opened *release.Evaluator) (_ *release.Evaluator, done func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.evaluators[key]
	if opened != nil && (t.closed || h != nil) {
		opened.Zero() // another call was faster
	}
	switch {
	case t.closed:
		return nil, nil, errClosed
	case h == nil && opened == nil:
		return nil, nil, nil
	case h == nil:
		h = &heldKey{evaluator: opened}
		t.evaluators[key] = h
	}
	h.users++
	return h.evaluator, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		h.users--
		h.clearIdle()
	}, nil
}

func (t *tables) dropKey(key evaluatorKey, h *heldKey) {
	delete(t.evaluators, key)
	h.dropped = true
	h.clearIdle()
}

// clearIdle clears a dropped key that nobody uses. The caller holds mu.
func (h *heldKey) clearIdle() {
	if h.dropped && h.users == 0 {
		h.evaluator.Zero()
	}
}

// close closes all tables and clears all keys. No call may be under way.
func (t *tables) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for seq, h := range t.open {
		t.drop(seq, h)
	}
	for key, h := range t.evaluators {
		t.dropKey(key, h)
	}
}
