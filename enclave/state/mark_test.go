package state

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// memoryMark is a mark that tests set as they like.
type memoryMark struct {
	mu      sync.Mutex
	mark    keyring.Mark
	advance func() error // asked before an advance
}

func (m *memoryMark) Mark(context.Context) (keyring.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mark, nil
}

func (m *memoryMark) AdvanceMark(_ context.Context, from, to keyring.Mark) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.advance != nil {
		if err := m.advance(); err != nil {
			return err
		}
	}
	if m.mark != from {
		return keyring.ErrMarkMoved
	}
	if to.Size <= from.Size {
		return keyring.ErrMarkBack
	}
	m.mark = to
	return nil
}

func (m *memoryMark) set(mark keyring.Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mark = mark
}

// "A database that was rolled back behind the mark is refused": an older copy of
// the file is put in place of the newer.
func TestOldCopyIsRefused(t *testing.T) {
	ctx := t.Context()
	b := newBed(t, sqliteDSN(t))
	path := strings.TrimPrefix(b.c.DSN, "sqlite:")
	s := b.store()
	mustSettle(t, s, jobID(1), 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s = b.again()
	mustSettle(t, s, jobID(2), 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	newer, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(old)
	if _, err := Open(ctx, b.c); !errors.Is(err, ErrBelowMark) {
		t.Errorf("opening an old copy: %v, want ErrBelowMark", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if s, err := Create(ctx, b.c); !errors.Is(err, ErrBelowMark) {
		t.Errorf("a new database under an old mark: %v, want ErrBelowMark", err)
		s.Close()
	}
	put(newer)
	s, err = Open(ctx, b.c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	checkClean(t, s)
}

// Two histories from one copy: the mark tells them apart, at its size and below
// the head.
func TestForkIsRefused(t *testing.T) {
	ctx := t.Context()
	b := newBed(t, sqliteDSN(t))
	marks := &memoryMark{}
	b.c.Marks = marks
	path := strings.TrimPrefix(b.c.DSN, "sqlite:")
	s := b.store()
	mustSettle(t, s, jobID(1), 1)
	s.Close()
	base, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := marks.mark
	grow := func(ids ...int) *Store {
		t.Helper()
		s, err := Open(ctx, b.c)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			mustSettle(t, s, jobID(id), 1)
		}
		return s
	}
	grow(2).Close() // the history that was marked: 2 entries
	ours := marks.mark
	if err := os.WriteFile(path, base, 0o600); err != nil {
		t.Fatal(err)
	}
	marks.set(before)
	other := grow(3)
	defer other.Close()
	for name, more := range map[string]int{"at the mark's size": 0, "above it": 1} {
		if more > 0 {
			marks.set(before)
			mustSettle(t, other, jobID(3+more), 1)
		}
		marks.set(ours)
		if _, err := Open(ctx, b.c); !errors.Is(err, ErrForked) {
			t.Errorf("opening another history %s: %v, want ErrForked", name, err)
		}
		ran := false
		if _, err := other.Update(ctx, func(*Tx) error { ran = true; return nil }); !errors.Is(err, ErrForked) || ran {
			t.Errorf("settling on another history %s: %v, ran %v; want ErrForked", name, err, ran)
		}
	}
}

// A running store finds itself below a mark, as after a failover to a replica
// that lags: it refuses before any function runs.
func TestRunningBelowTheMark(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		marks := &memoryMark{}
		b.c.Marks = marks
		s := b.store()
		mustSettle(t, s, jobID(1), 1)
		good := marks.mark
		marks.set(keyring.Mark{Size: 5, Root: [32]byte{1}})
		ran := false
		if _, err := s.Update(t.Context(), func(*Tx) error { ran = true; return nil }); !errors.Is(err, ErrBelowMark) || ran {
			t.Errorf("%v, ran %v; want ErrBelowMark and nothing run", err, ran)
		}
		if err := s.ClaimLookups(t.Context(), jobID(1), 0, [][32]byte{{1}}); !errors.Is(err, ErrBelowMark) {
			t.Errorf("lookups: %v, want ErrBelowMark", err)
		}
		marks.set(good)
		mustSettle(t, s, jobID(2), 1)
	})
}

// "If the answer can leave, the entry is durable and marked": while the mark
// cannot be advanced nobody sees what was committed; the next update, of this
// process or another, catches up.
func TestMarkThatCannotBeAdvanced(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx := t.Context()
		b := newBed(t, dsn(t))
		down := errors.New("the keyring is unreachable")
		marks := &memoryMark{}
		b.c.Marks = marks
		s := b.store()
		mustSettle(t, s, jobID(1), 1)
		marks.advance = func() error { return down }
		_, _, err := settleJob(ctx, s, jobID(2), 1, noLimit)
		if !errors.Is(err, ErrUnconfirmed) || !errors.Is(err, down) {
			t.Errorf("settling without a mark: %v, want ErrUnconfirmed", err)
		}
		// The same job again, which is in the database: still not released.
		if found, _, err := settleJob(ctx, s, jobID(2), 1, noLimit); !found || !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("the same job again: found %v, %v; want ErrUnconfirmed", found, err)
		}
		if _, err := s.Job(ctx, jobID(2)); !errors.Is(err, ErrNotFound) {
			t.Errorf("a job that is not marked is read: %v", err)
		}
		if _, err := s.Answer(ctx, jobID(2)); !errors.Is(err, ErrNotFound) {
			t.Errorf("an answer that is not marked is read: %v", err)
		}
		if _, err := s.Receipt(ctx, 1); !errors.Is(err, ErrNotFound) {
			t.Errorf("an entry that is not marked has a receipt: %v", err)
		}
		marks.advance = nil
		if found, c, err := settleJob(ctx, s, jobID(2), 1, noLimit); !found || err != nil || c.Tree.N != 2 {
			t.Errorf("once the mark can move: found %v, %+v, %v", found, c, err)
		}
		if _, err := s.Receipt(ctx, 1); err != nil {
			t.Error(err)
		}
		checkClean(t, s)
	})
}

// Another process moves the mark between a batch's commit and its advance.
func TestMarkMovedByAnother(t *testing.T) {
	ctx := t.Context()
	b := newBed(t, sqliteDSN(t))
	marks := &memoryMark{}
	b.c.Marks = marks
	var other *Store
	armed := false
	s := b.storeWith(hooks{at: func(point string) {
		if armed && point == "committed" {
			armed = false
			mustSettle(t, other, jobID(9), 1) // commits after and marks before
		}
	}})
	other, err := Open(ctx, b.c)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	mustSettle(t, s, jobID(1), 1)
	armed = true
	c := mustSettle(t, s, jobID(2), 1)
	if m := marks.mark; m.Size != 3 || c.Tree.N != 2 {
		t.Errorf("mark at %d, tree of %d; want 3, 2", m.Size, c.Tree.N)
	}
	if msg, tree, err := s.Checkpoint(ctx); err != nil || tree.N != 3 || len(msg) == 0 {
		t.Errorf("newest checkpoint of %d, %v; want 3", tree.N, err)
	}
	if r := checkClean(t, s); r.Checkpoints != 3 {
		t.Errorf("%d checkpoints, want 3", r.Checkpoints)
	}
	if marks.mark.Root != [32]byte(func() tlog.Hash { _, tree, _ := s.Checkpoint(ctx); return tree.Hash }()) {
		t.Error("the mark is not the newest checkpoint's tree")
	}
}
