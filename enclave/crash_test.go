package enclave_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// crashEnv names the file that tells the child what to do.
const crashEnv = "YINGBI_ENCLAVE_CRASH"

// crashPlan is what a child is told.
type crashPlan struct {
	Dir        string
	Now        time.Time
	Enterprise string
	Point      string
	Rotate     bool // the log's key, after the requests; the kill comes then
	Requests   []crashRequest
}

type crashRequest struct {
	Job                        string
	Header, Signature, Blinded []byte
}

func (r crashRequest) wire() *pb.EvaluateRequest {
	return &pb.EvaluateRequest{Header: r.Header, Signature: r.Signature, Blinded: r.Blinded}
}

// TestCrashChild is the process that is killed: it submits jobs, says which
// are acknowledged, and kills itself when the last one passes the point.
func TestCrashChild(t *testing.T) {
	path := os.Getenv(crashEnv)
	if path == "" {
		t.Skip("not the child of TestKilledWhileSettlingAuditsClean")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var plan crashPlan
	if err := json.Unmarshal(b, &plan); err != nil {
		t.Fatal(err)
	}
	armed := false
	d, err := enclave.Open(t.Context(), plan.Dir, keyring.Passphrase([]byte("correct horse")), enclave.Options{
		Clock: func() time.Time { return plan.Now },
		TestAt: func(point string) {
			if armed && point == plan.Point {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := d.Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range plan.Requests {
		// Armed between settlements: the writer is idle then.
		armed = !plan.Rotate && i == len(plan.Requests)-1
		if _, err := g.Evaluate(t.Context(), vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: plan.Enterprise}, r.wire()); err != nil {
			t.Fatal(err)
		}
		fmt.Println("acknowledged", r.Job)
	}
	if plan.Rotate {
		armed = true
		_, err := d.RotateLedger(t.Context())
		t.Fatal("the rotation went through: ", err)
	}
}

// A process that is killed at any of the ten points of settlement leaves a log
// that audits clean, in which every acknowledged job is once, priced once; the
// one that was not acknowledged is wholly there or not at all, and sending it
// again answers it without a second price.
func TestKilledWhileSettlingAuditsClean(t *testing.T) {
	d, e := enclavetest.Standard(t)
	d.MustPublish("sector", false)
	_, blinded, err := oprf.Blind([][]byte{[]byte("x")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []crashRequest
	for _, point := range state.Points {
		t.Run(point, func(t *testing.T) {
			plan := crashPlan{Dir: d.Dir, Now: d.Clock.Now(), Enterprise: e.Code, Point: point}
			for range 3 {
				h := d.Header(e.Code, "sector", "industry", 1, 1)
				r := enclavetest.Sign(t, e.Signing, h, blinded)
				plan.Requests = append(plan.Requests, crashRequest{h.Job, r.Header, r.Signature, r.Blinded})
			}
			all = append(all, plan.Requests...)
			acknowledged := runChild(t, plan)
			if len(acknowledged) != 2 {
				t.Fatalf("%d jobs were acknowledged before the kill, want 2", len(acknowledged))
			}
			before := settled(t, d)
			for _, job := range acknowledged {
				if before[job] != 1 {
					t.Errorf("the acknowledged job %s is in the log %d times", job, before[job])
				}
			}
			auditClean(t, d)

			g, err := d.Gateway(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			for _, r := range plan.Requests {
				if _, err := g.Evaluate(t.Context(), vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: e.Code}, r.wire()); err != nil {
					t.Errorf("sending job %s again: %v", r.Job, err)
				}
			}
		})
	}
	after := settled(t, d)
	for _, r := range all {
		if after[r.Job] != 1 {
			t.Errorf("job %s is in the log %d times at the end", r.Job, after[r.Job])
		}
	}
	auditClean(t, d)
}

// runChild runs the plan in a process of its own, which kills itself, and
// returns the jobs it acknowledged.
func runChild(t *testing.T, plan crashPlan) (acknowledged []string) {
	t.Helper()
	b, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
	child.Env = append(os.Environ(), crashEnv+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		var job string
		if n, _ := fmt.Sscanf(lines.Text(), "acknowledged %s", &job); n == 1 {
			acknowledged = append(acknowledged, job)
		}
	}
	_, _ = io.Copy(io.Discard, out)
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v, not by SIGKILL; it said %q", err, said)
	}
	return acknowledged
}

// settled counts the calls of each job in the log.
func settled(t *testing.T, d *enclavetest.Domain) map[string]int {
	t.Helper()
	// Opening catches up with what a killed process left undone.
	reopened, err := enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer reopened.Close()
	jobs := map[string]int{}
	for e, err := range reopened.Entries(t.Context(), state.Filter{Kinds: []ledger.Kind{ledger.KindCall}}) {
		if err != nil {
			t.Fatal(err)
		}
		jobs[e.Call.Header.Job]++
	}
	return jobs
}

func auditClean(t *testing.T, d *enclavetest.Domain) {
	t.Helper()
	log, err := d.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.ParseVKey(d.VKey())
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Audit(t.Context(), log, audit.Keys{
		Log: v, Authoriser: d.Authoriser.Public().(ed25519.PublicKey), Authority: d.Authority.Public().(ed25519.PublicKey),
	}, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("the audit found %s", f)
	}
}
