package sdk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// small makes a domain whose jobs hold at most two identifiers.
func small(t *testing.T) (*enclavetest.Domain, *sdk.Identity, string) {
	t.Helper()
	d := domain(t, strings.Replace(enclavetest.Manifests, "  normalise: text-v1\n", "  normalise: text-v1\n  maxBatch: 2\n", 1), "sector")
	return d, northern(t, d, enclavetest.Grants(enclavetest.Northern)), d.Serve()
}

// calls counts the settled calls in the log.
func calls(t *testing.T, d *enclavetest.Domain) int {
	t.Helper()
	n := 0
	for _, err := range d.Entries(t.Context(), state.Filter{Kinds: []ledger.Kind{ledger.KindCall, ledger.KindExemption}}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func stateFiles(t *testing.T, id *sdk.Identity) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(id.Dir, "state", "jobs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Answers that could not be put anywhere are not lost, nor paid twice.
func TestVerifyForgetsJobsOnlyOnceDelivered(t *testing.T) {
	d, id, address := small(t)
	c := dial(t, d, address, id)
	full := errors.New("disk full")
	ask := func(deliver error) (*sdk.Result, error) {
		return c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2, 3), sdk.WithDelivery(func(r *sdk.Result) error {
			if len(r.Answers) != 3 || !r.Answers[2].Found {
				t.Errorf("delivered %v", r.Answers)
			}
			return deliver
		}))
	}
	if _, err := ask(full); !errors.Is(err, full) {
		t.Fatalf("got %v, want the delivery's error", err)
	}
	if _, err := ask(nil); err != nil {
		t.Fatal(err)
	}
	if n := calls(t, d); n != 2 {
		t.Errorf("%d calls were settled for 2 jobs", n)
	}
	if files := stateFiles(t, id); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

// The same work twice at once is refused, whoever does it: it would be paid
// twice.
func TestVerifyRefusesTheSameWorkUnderWay(t *testing.T) {
	d, id, address := small(t)
	first, second := dial(t, d, address, id), dial(t, d, address, id)
	_, err := first.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2, 3), sdk.WithDelivery(func(*sdk.Result) error {
		if _, err := second.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2, 3)); !errors.Is(err, sdk.ErrUnderWay) {
			t.Errorf("the same again: got %v, want ErrUnderWay", err)
		}
		_, err := second.Verify(t.Context(), "sector", vocabulary.Industry, accounts(4))
		return err // other subjects are other work
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2, 3)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if files := stateFiles(t, id); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

// Once a job has failed, no other is begun: nothing is blinded, kept or sent
// for it.
func TestVerifyBeginsNoJobAfterAFailure(t *testing.T) {
	d, id, address := small(t)
	rows := make([]int, 60) // the quota is 40 a day
	for i := range rows {
		rows[i] = i
	}
	c := dial(t, d, address, id, sdk.WithConcurrency(1))
	result, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(rows...))
	var refused *sdk.Error
	if !errors.As(err, &refused) || refused.Reason != ledger.ReasonQuotaExhausted {
		t.Fatalf("got %v, want the quota's refusal", err)
	}
	if !result.Answers[39].Done || result.Answers[40].Done || len(result.Receipts) != 20 {
		t.Errorf("%d receipts, answers 39 and 40: %v, %v", len(result.Receipts), result.Answers[39], result.Answers[40])
	}
	if files := stateFiles(t, id); len(files) != 20 {
		t.Errorf("%d files for 20 settled jobs: %v", len(files), files)
	}
}

// A renewal that is refused for now is not forgotten: what it renews was paid.
func TestARefusedRenewalIsKept(t *testing.T) {
	d, id, address := small(t)
	c := dial(t, d, address, id)
	ask := func() (*sdk.Result, error) {
		return c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2), sdk.WithDelivery(func(r *sdk.Result) error {
			if r.Entries[0].Exemption == nil {
				return errors.New("not yet")
			}
			return nil
		}))
	}
	if _, err := ask(); err == nil {
		t.Fatal("the first answers were taken")
	}
	d.MustPublish("sector", true)
	d.Clock.Advance(8 * 24 * time.Hour) // past the grace
	d.MustApply("kind: Enterprise\nid: " + enclavetest.Northern + "\ntitle: {en: Northern}\nsigningKey: " + ledger.FormatKey(id.Public()) +
		"\nstanding: suspended\njurisdiction: CN\n")
	var refused *sdk.Error
	if _, err := ask(); !errors.As(err, &refused) || refused.Reason != ledger.ReasonStanding {
		t.Fatalf("suspended: got %v", err)
	}
	d.MustApply("kind: Enterprise\nid: " + enclavetest.Northern + "\ntitle: {en: Northern}\nsigningKey: " + ledger.FormatKey(id.Public()) +
		"\nstanding: good\njurisdiction: CN\n")
	result, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	if e := result.Entries[0].Exemption; e == nil || e.Ground != "renewal" {
		t.Errorf("the renewal was settled as %+v", result.Entries[0])
	}
}

// A job whose answer was lost may have settled: no later refusal makes the client
// forget it and pay for the same again.
func TestARefusedJobThatMayHaveSettledIsKept(t *testing.T) {
	for name, info := range map[string]*errdetails.ErrorInfo{
		"suspended":         {Domain: "yingbi", Reason: string(ledger.ReasonStanding)},
		"a log set back":    {Domain: "yingbi", Reason: string(ledger.ReasonBadRequest), Metadata: map[string]string{"rule": "since"}},
		"not served so far": {Domain: "yingbi", Reason: string(ledger.ReasonNotPublished)},
	} {
		t.Run(name, func(t *testing.T) {
			d, id, address := small(t)
			garbled := proxy(t, d, id, address, func(_ string, resp any) {
				if r, ok := resp.(*pb.EvaluateResponse); ok {
					r.Receipt = nil
				}
			})
			if err := ask(t, dial(t, d, garbled, id), 1); !errors.Is(err, sdk.ErrUntrusted) {
				t.Fatalf("without a receipt: %v, want ErrUntrusted", err)
			}
			no, err := status.New(codes.FailedPrecondition, "no").WithDetails(info)
			if err != nil {
				t.Fatal(err)
			}
			refusing := proxy(t, d, id, address, nothing, func(method string) error {
				if method == "Evaluate" {
					return no.Err()
				}
				return nil
			})
			if err := ask(t, dial(t, d, refusing, id), 1); !isRefused(err) {
				t.Fatalf("refused: %v", err)
			}
			if err := ask(t, dial(t, d, address, id), 1); err != nil {
				t.Fatal(err)
			}
			if n := calls(t, d); n != 1 {
				t.Errorf("%d calls were settled for one job", n)
			}
		})
	}
}

// A job that was paid and not answered is not forgotten, kept or not.
func TestForgetKeepsWhatWasNotAnswered(t *testing.T) {
	d, id, address := small(t)
	through := proxy(t, d, id, address, nothing, func(method string) error {
		if method == "Lookup" {
			return status.Error(codes.Internal, "down")
		}
		return nil
	})
	c := dial(t, d, address, id)
	verify := func(c *sdk.Client) (*sdk.Result, error) {
		return c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1), sdk.WithKeep())
	}
	result, err := verify(dial(t, d, through, id))
	if err == nil || len(result.Entries) != 1 {
		t.Fatalf("%d entries, %v", len(result.Entries), err)
	}
	job := result.Entries[0].TheCall().Header.Job
	if err := c.Forget(job); !errors.Is(err, sdk.ErrUnanswered) {
		t.Errorf("forgetting what was not answered: %v, want ErrUnanswered", err)
	}
	if _, err := verify(c); err != nil {
		t.Fatal(err)
	}
	if err := c.Forget(job); err != nil {
		t.Errorf("forgetting what was answered: %v", err)
	}
}

// What the gateway puts off is sent again after the pause it names.
func TestVerifyWaitsForABusyGateway(t *testing.T) {
	d, id, address := small(t)
	busy, err := status.New(codes.ResourceExhausted, "busy").WithDetails(
		&errdetails.ErrorInfo{Domain: "yingbi", Reason: string(ledger.ReasonRateLimited)},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	var refusals atomic.Int32
	through := proxy(t, d, id, address, nothing, func(method string) error {
		if method == "Evaluate" || method == "Lookup" {
			if refusals.Add(1)%3 != 0 {
				return busy.Err()
			}
		}
		return nil
	})
	if _, err := dial(t, d, through, id, sdk.WithConcurrency(1)).Verify(t.Context(), "sector", vocabulary.Industry, accounts(1)); err != nil {
		t.Fatal(err)
	}
	if n := refusals.Load(); n != 6 {
		t.Errorf("%d tries for two calls that were put off twice", n)
	}
}

// An operator may allow fewer queries at once than the client sends.
func TestVerifyKeepsToTheOperatorsQueriesPerCall(t *testing.T) {
	d, id, address := small(t)
	few, err := status.New(codes.InvalidArgument, "too many").WithDetails(&errdetails.ErrorInfo{
		Domain: "yingbi", Reason: string(ledger.ReasonBadRequest), Metadata: map[string]string{"rule": "limits.queriesPerCall", "limit": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	var once atomic.Bool
	through := proxy(t, d, id, address, nothing, func(method string) error {
		if method == "Lookup" && !once.Swap(true) {
			return few.Err()
		}
		return nil
	})
	c := dial(t, d, through, id)
	result, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	if !result.Answers[0].Found || !result.Answers[1].Found {
		t.Errorf("answers %v", result.Answers)
	}
	for _, m := range c.Traffic() {
		if m.Method == "Lookup" && m.Calls != 3 {
			t.Errorf("%d lookups, want the refused one and two of one query", m.Calls)
		}
	}
}

// A gateway that is not there is said within seconds, with its address.
func TestNoGatewayIsAnError(t *testing.T) {
	d := domain(t, enclavetest.Manifests)
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	_, err := dial(t, d, "127.0.0.1:1", id).Products(t.Context(), false)
	var refused *sdk.Error
	if !errors.As(err, &refused) || refused.Reason != ledger.ReasonUnavailable || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
}

// Two processes of one identity that are shown two logs: the second to come
// notices.
func TestCheckpointsOfTwoProcessesMeet(t *testing.T) {
	d := domain(t, enclavetest.Manifests, "sector")
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	address, dir := d.Serve(), t.TempDir()
	path := filepath.Join(dir, "checkpoint")
	newer := dial(t, d, address, id, sdk.WithStateDir(dir))
	var once atomic.Bool
	slow := dial(t, d, proxy(t, d, id, address, func(method string, _ any) {
		if method == "Checkpoint" && !once.Swap(true) {
			d.MustApply(strings.Replace(enclavetest.Grants(enclavetest.Northern), "limit: 40", "limit: 41", 1))
			if _, err := newer.Checkpoint(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}), id, sdk.WithStateDir(dir))
	tree, err := slow.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := id.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	log, err := ledger.ParseVKey(e.Log)
	if err != nil {
		t.Fatal(err)
	}
	last, err := ledger.OpenCheckpoint(kept, log)
	if err != nil {
		t.Fatal(err)
	}
	if last != tree {
		t.Errorf("the slower process left size %d, was given %d", last.N, tree.N)
	}
	if again, err := newer.Checkpoint(t.Context()); err != nil || again.N < tree.N {
		t.Errorf("the newer process afterwards: %v, %v", again, err)
	}
}
