package state

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/ledger"
)

// crashEnv makes the test binary the process that is killed:
// point,hit,dsn,keyring,machine key.
const crashEnv = "YINGBI_STATE_CRASH"

// crashChild settles jobs from several callers, says on standard output which
// are acknowledged, and kills itself when it passes the point for the hit-th time.
func crashChild() {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
	}
	args := strings.Split(os.Getenv(crashEnv), ",")
	point := args[0]
	hit, err := strconv.ParseInt(args[1], 10, 64)
	fail(err)
	kr, err := keyring.Open(args[3], keyring.MachineKey(args[4]), keyring.Options{})
	fail(err)
	signer, err := ledger.NewLogSigner(testOrigin, testKey("log"))
	fail(err)
	var armed atomic.Bool
	var hits atomic.Int64
	s, err := open(context.Background(), Config{DSN: args[2], Signers: OneSigner(signer), Marks: kr}, hooks{at: func(p string) {
		if armed.Load() && p == point && hits.Add(1) == hit {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	fail(err)
	armed.Store(true)
	var out sync.Mutex
	var next atomic.Int64
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for {
				id := jobID(int(next.Add(1)))
				_, _, err := settleJob(context.Background(), s, id, 3, noLimit)
				fail(err)
				fail(s.ClaimLookups(context.Background(), id, 0, [][32]byte{{1}, {2}}))
				out.Lock()
				_, err = fmt.Fprintln(os.Stdout, id)
				out.Unlock()
				fail(err)
			}
		})
	}
	callers.Wait()
}

// After a SIGKILL at any point of settlement: what was acknowledged is there
// once, what was not is there whole or not at all, and the database is sound.
func TestCrash(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		for i, point := range Points {
			t.Run(point, func(t *testing.T) {
				t.Parallel() // most of it is waiting for the disk
				b := newBed(t, dsn(t))
				if err := b.store().Close(); err != nil {
					t.Fatal(err)
				}
				acknowledged := runCrashChild(t, b, point, 4+i%3)
				s := b.again()
				checkClean(t, s)
				checkSurvivors(t, s, acknowledged)
			})
		}
	})
}

// A process dies beside another that goes on: the other's next update covers
// what the dead one committed, and waits for nothing.
func TestCrashBesideAnother(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		for _, point := range []string{"written", "committed", "marked"} {
			b := newBed(t, dsn(t))
			s := b.store()
			acknowledged := runCrashChild(t, b, point, 3)
			if _, err := s.Update(t.Context(), func(*Tx) error { return nil }); err != nil {
				t.Fatal(err)
			}
			r := checkClean(t, s)
			if size, err := s.Size(t.Context()); err != nil || size != r.Tree.N {
				t.Errorf("%s: readers see %d of %d entries, %v", point, size, r.Tree.N, err)
			}
			checkSurvivors(t, s, acknowledged)
		}
	})
}

// Four processes with sixteen callers each settle the same jobs in one database,
// are killed at some point and started again, five times each: one log, dense and
// unforked, every job that any of them acknowledged once.
func TestProcessesKilledAndRestarted(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		if err := b.store().Close(); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		acknowledged := map[string]bool{}
		var processes sync.WaitGroup
		for p := range 4 {
			processes.Go(func() {
				for life := range 5 {
					for id := range runCrashChild(t, b, Points[(3*p+4*life)%len(Points)], 5+3*life) {
						mu.Lock()
						acknowledged[id] = true
						mu.Unlock()
					}
				}
			})
		}
		processes.Wait()
		s := b.again()
		r := checkClean(t, s)
		checkSurvivors(t, s, acknowledged)
		t.Logf("20 processes killed: %d entries, %d jobs acknowledged", r.Tree.N, len(acknowledged))
	})
}

func runCrashChild(t *testing.T, b *bed, point string, hit int) map[string]bool {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s,%d,%s,%s,%s", crashEnv, point, hit, b.c.DSN, b.marks.path, b.marks.machineKey))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v, not by SIGKILL: %s", err, stderr.String())
	}
	acknowledged := map[string]bool{}
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		acknowledged[lines.Text()] = true
	}
	return acknowledged
}

func checkSurvivors(t *testing.T, s *Store, acknowledged map[string]bool) {
	t.Helper()
	ctx := t.Context()
	logged := map[string]int{}
	err := s.Entries(ctx, 0, Filter{}, func(_ int64, _ [32]byte, entry []byte) error {
		e, err := ledger.Decode(entry)
		if err == nil {
			logged[e.TheCall().Header.Job]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var units int64
	for n := 1; n <= len(logged)+16; n++ {
		id := jobID(n)
		_, jobErr := s.Job(ctx, id)
		_, answerErr := s.Answer(ctx, id)
		switch {
		case logged[id] > 1:
			t.Errorf("job %s is logged %d times", id, logged[id])
		case logged[id] == 1:
			units += 3
			if jobErr != nil || answerErr != nil {
				t.Errorf("job %s is logged, but: %v, %v", id, jobErr, answerErr)
			}
		case acknowledged[id]:
			t.Errorf("job %s was acknowledged and is gone", id)
		case !errors.Is(jobErr, ErrNotFound) || !errors.Is(answerErr, ErrNotFound):
			t.Errorf("job %s is not logged, but: %v, %v", id, jobErr, answerErr)
		}
		if acknowledged[id] {
			if err := s.ClaimLookups(ctx, id, 1, [][32]byte{{9}}); !errors.Is(err, ErrLookupReused) {
				t.Errorf("job %s lost a booked lookup: %v", id, err)
			}
		}
	}
	if used, err := s.Used(ctx, testCounter, testWindow); err != nil || used != units {
		t.Errorf("%d units are charged, %v; the jobs logged used %d", used, err, units)
	}
	// Every job tried again settles once.
	for n := 1; n <= len(logged)+16; n++ {
		found, _, err := settleJob(ctx, s, jobID(n), 3, noLimit)
		if err != nil || found != (logged[jobID(n)] == 1) {
			t.Errorf("job %d again: found %v, %v", n, found, err)
		}
	}
	checkClean(t, s)
}
