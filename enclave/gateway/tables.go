package gateway

import (
	"context"
	"errors"
	"fmt"
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

	mu         sync.Mutex
	closed     bool
	open       map[int64]*held // by publish entry
	evaluators map[evaluatorKey]*release.Evaluator
}

type evaluatorKey struct {
	product, answer string
	epoch           int
}

// held is one open table, or one that is being opened.
type held struct {
	version world.Version
	ready   chan struct{}
	table   *release.MaskedTable
	err     error
	readers int
	dropped bool // to be closed by the last reader
}

var errClosed = errors.New("gateway: closed")

func newTables(dir string, secrets keyring.Secrets) *tables {
	return &tables{dir: dir, secrets: secrets, open: map[int64]*held{}, evaluators: map[evaluatorKey]*release.Evaluator{}}
}

// table returns a version's table. The caller calls done when it has read.
func (t *tables) table(ctx context.Context, v world.Version) (_ *release.MaskedTable, done func(), err error) {
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
	return h.table, done, nil
}

// load opens a table, apart from any caller's context: the next caller wants it
// too. One that does not open is forgotten, so that a repaired file is found.
func (t *tables) load(h *held) {
	v := h.version
	table, err := release.OpenTable(context.Background(), t.secrets, release.TablePath(t.dir, v.Product, v.Epoch, v.Version), v.Descriptor)
	t.mu.Lock()
	defer t.mu.Unlock()
	h.table, h.err = table, err
	close(h.ready)
	if err != nil && t.open[v.Seq] == h { // else it was dropped, and another may be on its way
		delete(t.open, v.Seq)
	}
	t.closeIdle(h)
}

func (t *tables) leave(h *held) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.readers--
	t.closeIdle(h)
}

// closeIdle closes a dropped table that nobody reads. The caller holds mu.
func (t *tables) closeIdle(h *held) {
	if h.dropped && h.readers == 0 && h.table != nil {
		_ = h.table.Close() // read only: nothing is lost
	}
}

// retain drops the tables that are not served any more.
func (t *tables) retain(s *world.Snapshot, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for seq, h := range t.open {
		if _, ok := s.Served(h.version.Product, h.version.Epoch, h.version.Version, now); !ok {
			t.drop(seq, h)
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

// evaluator returns the key of an epoch, whether its tables are served or not:
// a settled job is answered again for as long as its key is kept.
func (t *tables) evaluator(ctx context.Context, v world.Version) (*release.Evaluator, error) {
	key := evaluatorKey{v.Product, v.Descriptor.Answer, v.Epoch}
	t.mu.Lock()
	e, closed := t.evaluators[key], t.closed
	t.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case e != nil:
		return e, nil
	}
	// Without the lock: a keyring may be on another machine, and slow.
	opened, err := release.OpenEvaluator(ctx, t.secrets, v.Descriptor)
	if err != nil {
		return nil, fmt.Errorf("opening the key of %s epoch %d: %w", v.Product, v.Epoch, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e = t.evaluators[key]
	switch {
	case t.closed:
		opened.Zero()
		return nil, errClosed
	case e != nil: // another call was faster
		opened.Zero()
		return e, nil
	}
	t.evaluators[key] = opened
	return opened, nil
}

// close closes all tables and clears all keys. No call may be under way.
func (t *tables) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for seq, h := range t.open {
		t.drop(seq, h)
	}
	for _, e := range t.evaluators {
		e.Zero()
	}
}
