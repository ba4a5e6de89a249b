package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/yingbi/yingbi/policy/ledger"
)

// 64 callers of two stores, as of two processes, on one database: the log stays
// dense and unforked, each job settles once, the quota holds to the unit.
func TestTwoStores(t *testing.T) {
	const callers, jobs, limit = 64, 400, 300
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx := t.Context()
		b := newBed(t, dsn(t))
		stores := []*Store{b.store(), b.again()}
		var settled, found, denied atomic.Int64
		var wg sync.WaitGroup
		var mu sync.Mutex
		commits := []*Commit{}
		for c := range callers {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(uint64(c), 7))
				for range 2 * jobs / callers {
					id := jobID(random.IntN(jobs))
					was, commit, err := settleJob(ctx, stores[random.IntN(2)], id, 1, limit)
					var quota *QuotaError
					switch {
					case errors.As(err, &quota):
						denied.Add(1)
					case err != nil:
						t.Errorf("settling %s: %v", id, err)
						return
					case was:
						found.Add(1)
					default:
						settled.Add(1)
						mu.Lock()
						commits = append(commits, commit)
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		t.Logf("%d settled, %d found, %d denied", settled.Load(), found.Load(), denied.Load())
		r := checkClean(t, stores[0])
		if r.Tree.N != settled.Load() || r.Jobs != settled.Load() {
			t.Errorf("%d entries, %d jobs; %d were settled", r.Tree.N, r.Jobs, settled.Load())
		}
		if used, err := stores[1].Used(ctx, testCounter, testWindow); err != nil || used != settled.Load() || used > limit {
			t.Errorf("%d units are charged, %v; %d jobs settled", used, err, settled.Load())
		}
		checkCommits(t, stores[1], commits)
	})
}

// checkCommits: every commit is a prefix of the log as it is now, and its
// entries are in it.
func checkCommits(t *testing.T, s *Store, commits []*Commit) {
	t.Helper()
	ctx, v := t.Context(), testVerifier(t)
	_, newest, err := s.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for _, c := range commits {
		tree, err := ledger.OpenCheckpoint(c.Checkpoint, v)
		if err != nil || tree != c.Tree {
			t.Fatalf("a commit's checkpoint: %v, %v", tree, err)
		}
		proof, err := s.Consistency(ctx, tree.N, newest.N)
		if err != nil {
			t.Fatal(err)
		}
		if err := ledger.CheckConsistency(tree, newest, proof); err != nil {
			t.Fatal(err)
		}
		for _, seq := range c.Seqs {
			if seq >= tree.N || seen[seq] {
				t.Errorf("entry %d is beyond its tree of %d, or given twice", seq, tree.N)
			}
			seen[seq] = true
		}
	}
}

// 64 callers with one id: one settles, and all get its tree.
func TestDuplicates(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := newBed(t, dsn(t)).store()
		var settled atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				found, c, err := settleJob(t.Context(), s, jobID(1), 1, noLimit)
				if err != nil || c.Tree.N != 1 {
					t.Errorf("%+v, %v", c, err)
				}
				if !found {
					settled.Add(1)
				}
			})
		}
		wg.Wait()
		if settled.Load() != 1 {
			t.Errorf("%d callers settled the job", settled.Load())
		}
		checkClean(t, s)
	})
}

// Two processes make and open one database at once: one makes it.
func TestCreateAtOnce(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		var made atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s, err := Create(t.Context(), b.c)
				switch {
				case err == nil:
					made.Add(1)
					defer s.Close()
				case !errors.Is(err, ErrExists):
					t.Errorf("making it at once: %v", err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 {
			t.Errorf("%d made it", made.Load())
		}
		mustSettle(t, b.again(), jobID(1), 1)
	})
}

// Readers run beside settlement and see only what is signed.
func TestReadersBesideWriters(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx := t.Context()
		s := newBed(t, dsn(t)).store()
		mustSettle(t, s, jobID(0), 1)
		var wg sync.WaitGroup
		var stop atomic.Bool
		for range 2 {
			wg.Go(func() {
				for !stop.Load() {
					_, tree, err := s.Checkpoint(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					r, err := s.Receipt(ctx, tree.N-1)
					if err != nil {
						t.Error(err)
						return
					}
					if _, _, err := r.Verify(testVerifier(t)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for n := range 16 {
			mustSettle(t, s, jobID(n+1), 1)
		}
		stop.Store(true)
		wg.Wait()
	})
}

func ExampleQuotaError() {
	fmt.Println(&QuotaError{Counter: "grant-1/subjects", Window: "2026-11", Used: 95, Units: 10, Limit: 100})
	// Output: state: quota grant-1/subjects in 2026-11: 95 of 100 used, 10 asked for
}
