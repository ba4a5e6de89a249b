package state

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

func TestSettle(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx := t.Context()
		s := newBed(t, dsn(t)).store()
		if _, _, err := s.Checkpoint(ctx); !errors.Is(err, ErrNotFound) {
			t.Errorf("checkpoint of an empty log: %v, want ErrNotFound", err)
		}
		c := mustSettle(t, s, jobID(1), 10)
		if c.Tree.N != 1 || len(c.Seqs) != 1 || c.Seqs[0] != 0 {
			t.Errorf("commit %+v, want one entry, number 0", c)
		}
		tree, err := ledger.OpenCheckpoint(c.Checkpoint, testVerifier(t))
		if err != nil || tree != c.Tree {
			t.Errorf("checkpoint opens as %v, %v; want %v", tree, err, c.Tree)
		}
		receipt, err := c.Receipt(0)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := s.Receipt(ctx, 0)
		if err != nil || !reflect.DeepEqual(receipt, stored) {
			t.Errorf("the commit's receipt is another than the store's: %v", err)
		}
		if _, err := c.Receipt(1); !errors.Is(err, ErrInvalid) {
			t.Errorf("receipt of an entry that was not appended: %v", err)
		}
		j, err := s.Job(ctx, jobID(1))
		if err != nil || *j != testJob(jobID(1), 10, 0) {
			t.Errorf("job %+v, %v", j, err)
		}
		if answer, err := s.Answer(ctx, jobID(1)); err != nil || string(answer) != "answer "+jobID(1) {
			t.Errorf("answer %q, %v", answer, err)
		}
		if used, err := s.Used(ctx, testCounter, testWindow); err != nil || used != 10 {
			t.Errorf("used %d, %v, want 10", used, err)
		}
		found, c, err := settleJob(ctx, s, jobID(1), 10, noLimit)
		if err != nil || !found || len(c.Seqs) != 0 || c.Tree != tree || string(c.Checkpoint) == "" {
			t.Errorf("the same job again: found %v, %+v, %v", found, c, err)
		}
		checkClean(t, s)
	})
}

// "Nothing changes without an entry", and other things that are refused.
func TestRefused(t *testing.T) {
	cases := []struct {
		name string
		fn   func(tx *Tx) error
		want error
	}{
		{"charge without an entry", func(tx *Tx) error { return tx.Charge("c", "w", 1, 5) }, ErrUnlogged},
		{"job without an entry", func(tx *Tx) error { return tx.PutJob(testJob(jobID(9), 1, 1)) }, ErrUnlogged},
		{"call without a job", func(tx *Tx) error { _, err := tx.Append(jobEntry(jobID(9), 1)); return err }, ErrUnlogged},
		{"renewal without an entry", func(tx *Tx) error { return tx.Renew(jobID(1)) }, ErrUnlogged},
		{"a job's second call", func(tx *Tx) error { _, err := tx.Append(jobEntry(jobID(1), 1)); return err }, ErrJobExists},
		{"a job put twice", func(tx *Tx) error {
			return errors.Join(putCall(tx, jobID(9), 1, noLimit), tx.PutJob(testJob(jobID(9), 1, 1)))
		}, ErrJobExists},
		{"two calls of a job", func(tx *Tx) error {
			_, err1 := tx.Append(jobEntry(jobID(9), 1))
			_, err2 := tx.Append(jobEntry(jobID(9), 1))
			return errors.Join(err1, err2)
		}, ErrJobExists},
		{"a job of other units than its entry", func(tx *Tx) error {
			seq, err := tx.Append(jobEntry(jobID(9), 1))
			return errors.Join(err, tx.PutJob(testJob(jobID(9), 2, seq)))
		}, ErrInvalid},
		{"an entry that is not valid", func(tx *Tx) error { _, err := tx.Append(ledger.Entry{Kind: "call"}); return err }, ledger.ErrMalformed},
		{"a negative charge", func(tx *Tx) error { return tx.Charge("c", "w", -1, 5) }, ErrInvalid},
		{"a counter that is not text", func(tx *Tx) error { return tx.Charge("c\x00", "w", 1, 5) }, ErrInvalid},
		{"a job id that is not text", func(tx *Tx) error { _, err := tx.Job("\xff"); return err }, ErrInvalid},
		{"an answer of no job", func(tx *Tx) error { return tx.PutAnswer(jobID(9), []byte("a"), time.Time{}) }, ErrNotFound},
		{"too large an answer", func(tx *Tx) error { return tx.PutAnswer(jobID(1), make([]byte, MaxAnswer+1), time.Time{}) }, ErrInvalid},
		{"an unknown job", func(tx *Tx) error { _, err := tx.Job(jobID(9)); return err }, ErrNotFound},
		{"an unknown job's renewal", func(tx *Tx) error { return tx.Renew(jobID(9)) }, ErrNotFound},
		{"an entry that is not there", func(tx *Tx) error { _, err := tx.Entry(1); return err }, ErrNotFound},
	}
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := newBed(t, dsn(t)).store()
		mustSettle(t, s, jobID(1), 1)
		for _, c := range cases {
			if got, err := s.Update(t.Context(), c.fn); !errors.Is(err, c.want) || got != nil {
				t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
			}
		}
		if size, err := s.Size(t.Context()); err != nil || size != 1 {
			t.Errorf("size %d, %v after refusals, want 1", size, err)
		}
		if used, err := s.Used(t.Context(), "c", "w"); err != nil || used != 0 {
			t.Errorf("used %d, %v after refusals, want 0", used, err)
		}
		checkClean(t, s)
	})
}

// "One that fails is rolled back alone": functions of one batch, some of which
// fail after they changed everything there is to change.
func TestBatchIsolation(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx := t.Context()
		s := newBed(t, dsn(t)).store()
		mustSettle(t, s, jobID(0), 1)
		bad := errors.New("changed my mind")
		ops := []struct {
			fn   func(tx *Tx) error
			want error
		}{
			{func(tx *Tx) error { return putCall(tx, jobID(1), 10, 100) }, nil},
			{func(tx *Tx) error {
				return errors.Join(putCall(tx, jobID(2), 20, 100), tx.Renew(jobID(0)), tx.Renew(jobID(1)), bad)
			}, bad},
			{func(tx *Tx) error {
				_, err := tx.Append(accessEntry(1))
				return errors.Join(err, putCall(tx, jobID(2), 20, 100), tx.Renew(jobID(1)))
			}, nil},
			{func(tx *Tx) error { panic("no") }, &PanicError{}},
			{func(tx *Tx) error {
				used, err := tx.Used(testCounter, testWindow)
				if used != 31 || tx.Size() != 4 || tx.ControlSeq() != 2 {
					t.Errorf("in the batch: used %d, size %d, control %d; want 31, 4, 2", used, tx.Size(), tx.ControlSeq())
				}
				j, err2 := tx.Job(jobID(1))
				if err2 == nil && !j.Renewed {
					t.Error("a renewal of this batch is not seen")
				}
				e, err3 := tx.Entry(3)
				if err3 == nil && e.TheCall().Header.Job != jobID(2) {
					t.Errorf("entry 3 is of job %s", e.TheCall().Header.Job)
				}
				_, err4 := tx.Entry(0)
				return errors.Join(err, err2, err3, err4)
			}, nil},
			{func(tx *Tx) error { return putCall(tx, jobID(3), 100, 100) }, &QuotaError{}},
		}
		b, err := s.begin(s.patience()) // the settling goroutine is idle
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range ops {
			op := &op{ctx: ctx, fn: o.fn, done: make(chan struct{})}
			b.run(op)
			switch o.want.(type) {
			case *PanicError:
				if p := (*PanicError)(nil); !errors.As(op.err, &p) {
					t.Errorf("function %d: %v, want a panic", i, op.err)
				}
			case *QuotaError:
				q := (*QuotaError)(nil)
				if !errors.As(op.err, &q) || *q != (QuotaError{testCounter, testWindow, 31, 100, 100}) {
					t.Errorf("function %d: %v, want a quota error", i, op.err)
				}
			default:
				if !errors.Is(op.err, o.want) {
					t.Errorf("function %d: %v, want %v", i, op.err, o.want)
				}
			}
		}
		if err := b.finish(); err != nil {
			t.Fatal(err)
		}
		if used, err := s.Used(ctx, testCounter, testWindow); err != nil || used != 31 {
			t.Errorf("used %d, %v, want 31", used, err)
		}
		for id, renewed := range map[string]bool{jobID(0): false, jobID(1): true, jobID(2): false} {
			if j, err := s.Job(ctx, id); err != nil || j.Renewed != renewed {
				t.Errorf("job %s: %+v, %v; want renewed %v", id, j, err, renewed)
			}
		}
		if _, err := s.Job(ctx, jobID(3)); !errors.Is(err, ErrNotFound) {
			t.Errorf("the job over quota: %v, want ErrNotFound", err)
		}
		if r := checkClean(t, s); r.Tree.N != 4 || r.Jobs != 3 {
			t.Errorf("checked %d entries, %d jobs; want 4, 3", r.Tree.N, r.Jobs)
		}
	})
}

func TestRenewOnce(t *testing.T) {
	s := newBed(t, sqliteDSN(t)).store()
	mustSettle(t, s, jobID(1), 1)
	renew := func() error {
		_, err := s.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.Append(accessEntry(1))
			return errors.Join(err, tx.Renew(jobID(1)))
		})
		return err
	}
	if err := renew(); err != nil {
		t.Fatal(err)
	}
	if err := renew(); !errors.Is(err, ErrRenewed) {
		t.Errorf("a second renewal: %v, want ErrRenewed", err)
	}
}

// A panic, and even the end of its goroutine, is its function's own error.
func TestPanicIsContained(t *testing.T) {
	s := newBed(t, sqliteDSN(t)).store()
	for name, fn := range map[string]func(*Tx) error{
		"panic":   func(*Tx) error { panic("secret value") },
		"runtime": func(tx *Tx) error { return []error{nil}[len(tx.seqs)+1] },
		"goexit":  func(*Tx) error { runtime.Goexit(); return nil },
	} {
		_, err := s.Update(t.Context(), fn)
		p := (*PanicError)(nil)
		if !errors.As(err, &p) || len(p.Stack) == 0 {
			t.Errorf("%s: %v, want a PanicError", name, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error prints the value: %v", name, err)
		}
	}
	mustSettle(t, s, jobID(1), 1)
}

func TestTxAfterItsFunction(t *testing.T) {
	s := newBed(t, sqliteDSN(t)).store()
	var kept *Tx
	if _, err := s.Update(t.Context(), func(tx *Tx) error { kept = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Append(accessEntry(1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("append after the function returned: %v, want ErrInvalid", err)
	}
}

// "Entry times never go back", whatever the clock does.
func TestTimesNeverGoBack(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		s := b.store()
		times := []time.Duration{0, time.Hour, -24 * time.Hour, 30 * time.Minute, 2*time.Hour + 1500*time.Microsecond}
		want := []time.Duration{0, time.Hour, time.Hour, time.Hour, 2*time.Hour + time.Millisecond}
		for i, d := range times {
			b.clock.set(testNow.Add(d))
			var now time.Time
			c, err := s.Update(t.Context(), func(tx *Tx) error {
				now = tx.Now()
				_, err := tx.Append(accessEntry(int64(i)))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			raw, _, err := s.Record(t.Context(), c.Seqs[0])
			if err != nil {
				t.Fatal(err)
			}
			e, err := ledger.Decode(raw)
			if err != nil || !e.Time.Equal(testNow.Add(want[i])) || !e.Time.Equal(now) {
				t.Errorf("entry %d at %v is of %v (Now %v), %v; want +%v", i, d, e.Time, now, err, want[i])
			}
		}
		checkClean(t, s)
	})
}

func TestAnswersExpire(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx := t.Context()
		b := newBed(t, dsn(t))
		s := b.store()
		mustSettle(t, s, jobID(1), 1) // kept for AnswerKeep
		_, err := s.Update(ctx, func(tx *Tx) error {
			return errors.Join(putCall(tx, jobID(2), 1, noLimit), tx.PutAnswer(jobID(2), []byte("short"), testNow.Add(time.Hour)))
		})
		if err != nil {
			t.Fatal(err)
		}
		if a, err := s.Answer(ctx, jobID(2)); err != nil || string(a) != "short" {
			t.Errorf("answer %q, %v: want the one put last", a, err)
		}
		b.clock.set(testNow.Add(AnswerKeep - time.Second))
		if _, err := s.Answer(ctx, jobID(2)); !errors.Is(err, ErrNotFound) {
			t.Errorf("answer after its time: %v, want ErrNotFound", err)
		}
		if _, err := s.Answer(ctx, jobID(1)); err != nil {
			t.Errorf("answer within its time: %v", err)
		}
		// Answers alone need no entry; putting one drops those whose time is over.
		b.clock.set(testNow.Add(AnswerKeep))
		if _, err := s.Update(ctx, func(tx *Tx) error { return tx.PutAnswer(jobID(2), []byte("again"), time.Time{}) }); err != nil {
			t.Fatal(err)
		}
		var left int64
		rows, err := s.reads.query(ctx, "SELECT COUNT(*) FROM answers")
		if err := scanOne(rows, err, &left); err != nil || left != 1 {
			t.Errorf("%d answers are left, %v; want 1", left, err)
		}
		checkClean(t, s)
	})
}

func TestLookups(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx := t.Context()
		s := newBed(t, dsn(t)).store()
		mustSettle(t, s, jobID(1), 6) // and so 10 lookups
		d := func(tags string) (digests [][32]byte) {
			for _, c := range tags {
				digests = append(digests, [32]byte{byte(c)})
			}
			return digests
		}
		steps := []struct {
			name    string
			job     string
			first   uint32
			digests [][32]byte
			want    error
		}{
			{"first three", jobID(1), 0, d("abc"), nil},
			{"the same again", jobID(1), 0, d("abc"), nil},
			{"some again and some new", jobID(1), 2, d("cde"), nil},
			{"another under a used index", jobID(1), 1, d("x"), ErrLookupReused},
			{"new ones and another: none is booked", jobID(1), 4, d("efx"), nil},
			{"so they are as they were first", jobID(1), 3, d("dxfx"), ErrLookupReused},
			{"the last", jobID(1), 9, d("j"), nil},
			{"beyond", jobID(1), 10, d("k"), ErrLookupsExhausted},
			{"partly beyond", jobID(1), 8, d("ijk"), ErrLookupsExhausted},
			{"far beyond", jobID(1), 1<<32 - 1, d("zz"), ErrLookupsExhausted},
			{"still free", jobID(1), 8, d("y"), nil},
			{"no job", jobID(2), 0, d("a"), ErrNotFound},
			{"nothing", jobID(1), 0, nil, ErrInvalid},
		}
		for _, step := range steps {
			if err := s.ClaimLookups(ctx, step.job, step.first, step.digests); !errors.Is(err, step.want) {
				t.Errorf("%s: %v, want %v", step.name, err, step.want)
			}
		}
		if size, err := s.Size(ctx); err != nil || size != 1 {
			t.Errorf("size %d, %v: lookups make no entries", size, err)
		}
		checkClean(t, s)
	})
}

// Two functions of one batch claim the same index.
func TestLookupsInOneBatch(t *testing.T) {
	s := newBed(t, sqliteDSN(t)).store()
	mustSettle(t, s, jobID(1), 6)
	b, err := s.begin(s.patience())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, nil, ErrLookupReused} {
		digest := [32]byte{byte(i / 2)}
		o := &op{ctx: t.Context(), claim: true, done: make(chan struct{}), fn: func(tx *Tx) error { return tx.claim(jobID(1), 0, [][32]byte{digest}) }}
		if b.run(o); !errors.Is(o.err, want) {
			t.Errorf("claim %d: %v, want %v", i, o.err, want)
		}
	}
	if err := b.finish(); err != nil {
		t.Fatal(err)
	}
	checkClean(t, s)
}

// A caller whose context ends before its function begins gets the context's
// error, and the function does not run; after that it gets the outcome.
func TestCancellation(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	armed := false
	s := newBed(t, sqliteDSN(t)).storeWith(hooks{at: func(point string) {
		if armed && point == "locked" {
			armed = false
			close(held)
			<-release
		}
	}})
	armed = true
	ctx, cancel := context.WithCancel(t.Context())
	ran := false
	result := make(chan error)
	go func() {
		_, err := s.Update(ctx, func(tx *Tx) error { ran = true; return nil })
		result <- err
	}()
	<-held // it waits, received but not begun
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: %v, want context.Canceled", err)
	}
	// Another one does not even get there.
	if _, err := s.Update(ctx, func(*Tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v, want context.Canceled", err)
	}
	close(release)

	ctx, cancel = context.WithCancel(t.Context())
	c, err := s.Update(ctx, func(tx *Tx) error { cancel(); return putCall(tx, jobID(1), 1, noLimit) })
	if err != nil || c.Tree.N != 1 {
		t.Errorf("cancelled while it ran: %+v, %v, want the outcome", c, err)
	}
	if ran {
		t.Error("a function ran after its caller was told that it did not")
	}
	checkClean(t, s)
}

// An outcome of COMMIT that does not arrive is read again.
func TestUnknownCommitOutcome(t *testing.T) {
	lost := errors.New("connection reset")
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		var commit func(do func() error) error
		s := newBed(t, dsn(t)).storeWith(hooks{commit: func(do func() error) error {
			if commit != nil {
				return commit(do)
			}
			return do()
		}})
		mustSettle(t, s, jobID(1), 1)

		commit = func(do func() error) error { return errors.Join(do(), lost) }
		c, err := func() (*Commit, error) { _, c, err := settleJob(t.Context(), s, jobID(2), 1, noLimit); return c, err }()
		if err != nil || c.Tree.N != 2 {
			t.Errorf("committed, answer lost: %+v, %v; want it settled", c, err)
		}

		commit = func(func() error) error { return lost }
		_, _, err = settleJob(t.Context(), s, jobID(3), 1, noLimit)
		if !errors.Is(err, lost) || errors.Is(err, ErrUnconfirmed) {
			t.Errorf("not committed: %v, want a plain failure", err)
		}
		commit = nil
		if found, _, err := settleJob(t.Context(), s, jobID(3), 1, noLimit); err != nil || found {
			t.Errorf("again: found %v, %v; want it settled now", found, err)
		}
		if r := checkClean(t, s); r.Tree.N != 3 {
			t.Errorf("%d entries, want 3", r.Tree.N)
		}
	})
}
