package state

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// signersOf are the signers of a process that has some of the test keys; the
// first one is the log's first key.
func signersOf(t testing.TB, names ...string) Signers {
	signers := make([]*ledger.LogSigner, len(names))
	for i, name := range names {
		signers[i] = namedSigner(t, name)
	}
	return func(_ context.Context, vkey string) (*ledger.LogSigner, error) {
		for i, s := range signers {
			if s.VKey() == vkey || vkey == "" && i == 0 {
				return s, nil
			}
		}
		return nil, errors.New("not in this keyring")
	}
}

func namedSigner(t testing.TB, name string) *ledger.LogSigner {
	t.Helper()
	s, err := ledger.NewLogSigner(testOrigin, testKey(name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rekey hands the log over, with an entry before and after it in the same
// transaction.
func rekey(t testing.TB, s *Store, to string) (int64, error) {
	t.Helper()
	var seq int64
	_, err := s.Update(t.Context(), func(tx *Tx) (err error) {
		if _, err := tx.Append(accessEntry(1)); err != nil {
			return err
		}
		seq, err = tx.Rekey(rotation(), namedSigner(t, to).VKey())
		if err != nil {
			return err
		}
		_, err = tx.Append(accessEntry(2))
		return err
	})
	return seq, err
}

func rotation() ledger.Entry {
	return ledger.Entry{Kind: ledger.KindKey, Actor: testActor, Key: &ledger.Key{Action: "rotate", Purpose: ledger.PurposeLedger, ID: "ledger/2"}}
}

// signedBy says how many checkpoints each key signed, and that each signed for
// trees of its own sizes alone.
func signedBy(t testing.TB, s *Store, names ...string) []int {
	t.Helper()
	var handOvers [][]byte
	err := s.Entries(t.Context(), 0, Filter{Kinds: []ledger.Kind{ledger.KindKey}}, func(_ int64, _ [ledger.SaltSize]byte, raw []byte) error {
		e, err := ledger.Decode(raw)
		if err == nil && len(e.Key.HandOver) > 0 {
			handOvers = append(handOvers, e.Key.HandOver)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ledger.NewLogKeys(testVerifier(t), handOvers...)
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, len(names))
	err = s.Checkpoints(t.Context(), 0, func(tree tlog.Tree, msg []byte) error {
		if got, err := keys.Checkpoint(msg); err != nil || got != tree {
			t.Errorf("the checkpoint of %d: %v", tree.N, err)
		}
		for i, name := range names {
			v, err := ledger.ParseVKey(namedSigner(t, name).VKey())
			if err != nil {
				return err
			}
			if _, err := ledger.OpenCheckpoint(msg, v); err == nil {
				counts[i]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// All processes go over to the new key at the entry of its hand-over; one that
// cannot have the key settles nothing, and reads on.
func TestRekey(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		b.c.Signers = signersOf(t, "log", "second", "third")
		one := b.store()
		mustSettle(t, one, jobID(1), 1)
		two := b.again()
		mustSettle(t, two, jobID(2), 1)
		b.c.Signers = signersOf(t, "log")
		left := b.again()
		mustSettle(t, left, jobID(3), 1)

		seq, err := rekey(t, one, "second")
		if err != nil || seq != 4 {
			t.Fatalf("the hand-over is entry %d: %v", seq, err)
		}
		mustSettle(t, two, jobID(4), 1)
		mustSettle(t, one, jobID(5), 1)
		if _, _, err := settleJob(t.Context(), left, jobID(6), 1, noLimit); !errors.Is(err, ErrNoSigner) {
			t.Errorf("a process without the key: %v, want ErrNoSigner", err)
		}
		if _, err := left.Job(t.Context(), jobID(5)); err != nil {
			t.Errorf("reading without the key: %v", err)
		}
		if got := signedBy(t, one, "log", "second"); !slices.Equal(got, []int{3, 3}) {
			t.Errorf("checkpoints by key: %v", got)
		}
		if _, err := rekey(t, two, "third"); err != nil {
			t.Fatal(err)
		}
		mustSettle(t, one, jobID(6), 1)
		if got := signedBy(t, one, "log", "second", "third"); !slices.Equal(got, []int{3, 3, 2}) {
			t.Errorf("checkpoints by key: %v", got)
		}
		if _, err := rekey(t, one, "stranger"); !errors.Is(err, ErrNoSigner) {
			t.Errorf("to a key that is not at hand: %v", err)
		}
		checkClean(t, one)
		b.c.Signers = signersOf(t, "log")
		if _, err := Open(t.Context(), b.c); !errors.Is(err, ErrNoSigner) {
			t.Errorf("opening without the key: %v, want ErrNoSigner", err)
		}
		b.c.Signers = signersOf(t, "log", "second", "third")
		checkClean(t, b.again())
	})
}

// A function that hands over and then fails hands nothing over, whatever else is
// in its batch.
func TestRekeyUndone(t *testing.T) {
	b := newBed(t, sqliteDSN(t))
	b.c.Signers = signersOf(t, "log", "second")
	s := b.store()
	mustSettle(t, s, jobID(1), 1)
	failed := errors.New("thought better of it")
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			if n%2 == 1 {
				mustSettle(t, s, jobID(10+n), 1)
				return
			}
			if _, err := s.Update(t.Context(), func(tx *Tx) error {
				if _, err := tx.Rekey(rotation(), namedSigner(t, "second").VKey()); err != nil {
					t.Error(err)
				}
				return failed
			}); !errors.Is(err, failed) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := signedBy(t, s, "log", "second"); got[0] == 0 || got[1] != 0 {
		t.Errorf("checkpoints by key: %v", got)
	}
	if r := checkClean(t, s); r.Tree.N != 5 {
		t.Errorf("%d entries, want 5", r.Tree.N)
	}
}

// A process that dies between the commit of a hand-over and its checkpoint
// leaves a log that the next process signs with the new key.
func TestRekeyUnsigned(t *testing.T) {
	for _, point := range []string{"written", "committed", "marked", "signed"} {
		t.Run(point, func(t *testing.T) {
			b := newBed(t, sqliteDSN(t))
			b.c.Signers = signersOf(t, "log", "second")
			armed := false
			s := b.storeWith(hooks{at: func(p string) {
				if armed && p == point {
					panic("dies here")
				}
			}})
			mustSettle(t, s, jobID(1), 1)
			next := b.again()
			armed = true
			died := make(chan any)
			go func() {
				// The batch, without the goroutine that settles: its death must not be the test's.
				defer func() { died <- recover() }()
				bt, err := s.begin(s.patience())
				if err != nil {
					t.Error(err)
					return
				}
				tx := bt.savepoint()
				if _, err := tx.Rekey(rotation(), namedSigner(t, "second").VKey()); err != nil {
					t.Error(err)
				}
				_ = bt.finish()
			}()
			if <-died == nil {
				t.Fatal("it did not die")
			}
			s.dropWriter()
			mustSettle(t, next, jobID(2), 1)
			want := []int{1, 1}
			if point == "written" {
				want = []int{2, 0}
			}
			if got := signedBy(t, next, "log", "second"); !slices.Equal(got, want) {
				t.Errorf("checkpoints by key: %v, want %v", got, want)
			}
			checkClean(t, next)
		})
	}
}
