package sdk_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// forked is a second domain with the first one's keys and log so far, as an
// operator can make one.
func forked(t *testing.T, d *enclavetest.Domain) *enclavetest.Domain {
	t.Helper()
	fork := *d
	fork.T, fork.Dir = t, filepath.Join(t.TempDir(), "fork")
	if err := os.CopyFS(fork.Dir, os.DirFS(d.Dir)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(fork.Dir, "keyring*")) // a copy is readable by all
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Chmod(f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if fork.Domain, err = enclave.Open(t.Context(), fork.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fork.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fork
}

func ask(t *testing.T, c *sdk.Client, rows ...int) error {
	t.Helper()
	_, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(rows...))
	return err
}

// An operator that keeps another log for one client is found out by the first
// receipt from it, whether that log is shorter or longer than what the client
// saw; what shows it is kept.
func TestAttackForkedReceipt(t *testing.T) {
	d, id, address := small(t)
	fork := forked(t, d)
	c := dial(t, d, address, id)
	if err := ask(t, c, 1); err != nil {
		t.Fatal(err)
	}
	// Only the receipts come from the other log: checkpoints are the true ones.
	lie := func(to *sdk.Client) func(string, any) {
		return func(method string, resp any) {
			if method != "Evaluate" {
				return
			}
			if err := ask(t, to, 90); err != nil {
				t.Error(err)
			}
			kept, err := to.Receipts()
			if err != nil || len(kept) == 0 {
				t.Fatal(err)
			}
			r := kept[len(kept)-1]
			resp.(*pb.EvaluateResponse).Receipt = &pb.Receipt{Entry: r.Entry, Salt: r.Salt, Proof: []byte(r.Proof)}
		}
	}
	there := dial(t, d, fork.Serve(), id, sdk.WithStateDir(t.TempDir()))
	if err := ask(t, dial(t, d, proxy(t, d, id, address, lie(there)), id), 3); !errors.Is(err, sdk.ErrFork) {
		t.Errorf("a receipt of another log: %v, want ErrFork", err)
	}
	evidence, err := os.ReadFile(filepath.Join(id.Dir, "state", "checkpoint.fork"))
	if err != nil || !bytes.HasPrefix(evidence, []byte(d.Origin()+"\n")) {
		t.Errorf("the evidence: %q, %v", evidence, err)
	}
	if err := ask(t, c, 3); err != nil {
		t.Errorf("the true log afterwards: %v", err)
	}
}

// A log that was set back is another log, too.
func TestAttackShorterLog(t *testing.T) {
	d, id, address := small(t)
	fork := forked(t, d)
	c := dial(t, d, address, id)
	for _, row := range []int{1, 2, 3, 4} {
		if err := ask(t, c, row); err != nil {
			t.Fatal(err)
		}
	}
	before := calls(t, fork)
	there := dial(t, d, fork.Serve(), id)
	if err := ask(t, there, 5); !errors.Is(err, sdk.ErrFork) {
		t.Errorf("asking a log that was set back: %v, want ErrFork", err)
	}
	if _, _, err := there.Receipt(t.Context(), receiptOf(t, c)); !errors.Is(err, sdk.ErrFork) && !isRefused(err) {
		t.Errorf("a receipt of a log that was set back: %v", err)
	}
	if n := calls(t, fork); n != before {
		t.Errorf("%d calls were paid there", n-before)
	}
}

func isRefused(err error) bool {
	var refused *sdk.Error
	return errors.As(err, &refused)
}

// receiptOf is a job that the client has a receipt of.
func receiptOf(t *testing.T, c *sdk.Client) string {
	t.Helper()
	kept, err := c.Receipts()
	if err != nil || len(kept) == 0 {
		t.Fatal(err)
	}
	e, err := ledger.Decode(kept[0].Entry)
	if err != nil {
		t.Fatal(err)
	}
	return e.TheCall().Header.Job
}

// A client follows the log to its new keys, on the way with a receipt or with a
// checkpoint, after a restart and from the beginning; receipts of all keys verify
// by the one that it was enrolled with.
func TestFollowsHandOvers(t *testing.T) {
	d, id, address := small(t)
	c := dial(t, d, address, id)
	rotate := func() {
		t.Helper()
		if _, err := d.RotateLedger(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for row, how := range []func(){func() {}, rotate, func() { rotate(); rotate() }} {
		how()
		if err := ask(t, c, 1+row); err != nil {
			t.Fatalf("asking under key %d: %v", row, err)
		}
		if _, err := c.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = dial(t, d, address, id)
	}
	kept, err := c.Receipts()
	if err != nil || len(kept) != 3 {
		t.Fatalf("%d receipts: %v", len(kept), err)
	}
	v, err := ledger.ParseVKey(d.VKey())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range kept {
		if _, _, err := r.Verify(v); err != nil {
			t.Errorf("receipt %d by the first key alone: %v", i, err)
		}
	}
	if _, _, err := c.Receipt(t.Context(), receiptOf(t, c)); err != nil {
		t.Error(err)
	}
	if err := ask(t, dial(t, d, address, id, sdk.WithStateDir(t.TempDir())), 7); err != nil {
		t.Errorf("from the beginning: %v", err)
	}
	// Enrolled again, with the key in force: what was seen stays seen.
	e, err := id.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	now, err := d.CurrentVKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(id.Dir, "enrolment.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(id.Dir, "enrolment.json"), bytes.Replace(text, []byte(e.Log), []byte(now), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err = sdk.LoadIdentity(id.Dir); err != nil {
		t.Fatal(err)
	}
	c = dial(t, d, address, id)
	if err := ask(t, c, 8); err != nil {
		t.Errorf("enrolled again: %v", err)
	}
	if kept, err = c.Receipts(); err != nil || len(kept) != 4 {
		t.Errorf("enrolled again, %d receipts: %v", len(kept), err)
	}
	if err := ask(t, dial(t, d, address, id, sdk.WithStateDir(t.TempDir())), 9); err != nil {
		t.Errorf("enrolled again, from the beginning: %v", err)
	}
}

// A gateway that lies about hand-overs is not believed.
func TestAttackHandOver(t *testing.T) {
	d, id, address := small(t)
	c := dial(t, d, address, id)
	if err := ask(t, c, 1); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(id.Dir, "state", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	fork := forked(t, d)
	for _, process := range []*enclavetest.Domain{d, fork} {
		if _, err := process.RotateLedger(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	each := func(alter func(handOvers [][]byte) [][]byte) func(string, any) {
		return func(_ string, resp any) {
			switch r := resp.(type) {
			case *pb.CheckpointResponse:
				r.HandOvers = alter(r.HandOvers)
			case *pb.EvaluateResponse:
				r.HandOvers = alter(r.HandOvers)
			}
		}
	}
	for _, lie := range []struct {
		name  string
		alter func([][]byte) [][]byte
	}{
		{"none", func([][]byte) [][]byte { return nil }},
		{"unsigned by the new key", func(h [][]byte) [][]byte {
			lines := strings.SplitAfter(string(h[0]), "\n")
			return [][]byte{[]byte(strings.Join(lines[:len(lines)-2], ""))}
		}},
		{"altered", func(h [][]byte) [][]byte { return [][]byte{bytes.Replace(h[0], []byte("\n"), []byte("\n1"), 2)} }},
		{"a checkpoint", func([][]byte) [][]byte { return [][]byte{old} }},
	} {
		through := proxy(t, d, id, address, each(lie.alter))
		if _, err := dial(t, d, through, id).Checkpoint(t.Context()); !errors.Is(err, sdk.ErrUntrusted) {
			t.Errorf("%s: %v, want ErrUntrusted", lie.name, err)
		}
	}
	if err := ask(t, c, 2); err != nil {
		t.Fatal(err)
	}
	// The other log went over to another key at the same tree.
	if err := ask(t, dial(t, d, fork.Serve(), id), 3); !errors.Is(err, sdk.ErrFork) && !errors.Is(err, sdk.ErrUntrusted) {
		t.Errorf("a log that was handed over to another key: %v", err)
	}
	var theirs [][]byte
	log, err := fork.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs = log.HandOvers()
	through := proxy(t, d, id, address, each(func([][]byte) [][]byte { return theirs }))
	if _, err := dial(t, d, through, id).Checkpoint(t.Context()); !errors.Is(err, sdk.ErrFork) {
		t.Errorf("two hand-overs by one key: %v, want ErrFork", err)
	}
}

// Many jobs of several processes of one identity at once, and the log's key
// changes under way: all of them are answered.
func TestProcessesOfOneIdentity(t *testing.T) {
	d, id, address := small(t)
	var failed atomic.Int32
	var wait sync.WaitGroup
	for p := range 3 {
		c := dial(t, d, address, id, sdk.WithConcurrency(3))
		wait.Go(func() {
			var rows []int
			for n := range 6 {
				rows = append(rows, 10*p+n)
			}
			if err := ask(t, c, rows...); err != nil {
				failed.Add(1)
				t.Error(err)
			}
		})
	}
	wait.Go(func() {
		if _, err := d.RotateLedger(t.Context()); err != nil {
			t.Error(err)
		}
	})
	wait.Wait()
	kept, err := dial(t, d, address, id).Receipts()
	if err != nil || len(kept) != 9 {
		t.Errorf("%d receipts of 9 jobs: %v", len(kept), err)
	}
}
