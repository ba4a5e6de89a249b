package faults

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/enclave/state/pgtest"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/ledger"
)

// planEnv names the file that tells a process what to do.
const planEnv = "YINGBI_FAULTS_PLAN"

func TestMain(m *testing.M) {
	if os.Getenv(trapEnv) == "1" {
		springTrap()
	}
	if path := os.Getenv(planEnv); path != "" {
		os.Exit(child(path))
	}
	code := m.Run()
	pgtest.Stop()
	os.Exit(code)
}

// child does one verb, in a process of its own.
func child(path string) int {
	var p plan
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	if p.Call > 0 {
		var calls atomic.Int64
		state.TestCalls = func() {
			if calls.Add(1) == p.Call {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	}
	if p.Again {
		first := true
		state.TestGiveUp = func() bool { was := first; first = !first; return was }
	}
	p.say = func(job string) { fmt.Println("acknowledged", job) }
	if err := verbNamed(p.Verb).do(context.Background(), &p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func verbNamed(name string) *verb {
	for i := range verbs {
		if verbs[i].name == name {
			return &verbs[i]
		}
	}
	panic("faults: no verb " + name)
}

// everywhere says that every point is to be tried, as make faults does.
var everywhere = os.Getenv("YINGBI_FAULTS") == "all"

// chosen are the verbs to break: all, or the one that YINGBI_FAULTS_VERB names.
func chosen() []*verb {
	var out []*verb
	for i := range verbs {
		if name := os.Getenv("YINGBI_FAULTS_VERB"); name == "" || name == verbs[i].name {
			out = append(out, &verbs[i])
		}
	}
	return out
}

// stride is how far apart a verb's points are tried, where a suite tries them
// so many times further apart.
func (v *verb) stride(times int) int {
	if everywhere {
		return 1
	}
	return v.every * times
}

// slow skips what only make check and make faults do.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("YINGBI_SLOW") == "" && !everywhere {
		t.Skip("slow: run by make check")
	}
}

// outcome is how a verb's process ended.
type outcome struct {
	killed bool
	failed string // what it said when it failed
}

// run does a verb in a process of its own, by start.
func (b *bed) run(p *plan, start func(*exec.Cmd) error) outcome {
	b.t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(cmp.Or(b.plans, b.t.TempDir()), "plan.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, cmp.Or(b.binary, os.Args[0]))
	cmd.Env = append(os.Environ(), planEnv+"="+path, "YINGBI_UNSAFE_DATABASE=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = start(cmd)
	for line := range strings.Lines(stdout.String()) {
		if job, ok := strings.CutPrefix(strings.TrimSpace(line), "acknowledged "); ok {
			b.acked[job] = true
		}
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return outcome{}
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL && ctx.Err() == nil:
		return outcome{killed: true}
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return outcome{failed: strings.TrimSpace(stderr.String())}
	}
	b.t.Fatalf("%s: its process ended with %v: %s", p.Verb, err, stderr.String())
	return outcome{}
}

// hold holds what a fault left to what was promised, and does the verb again.
func (b *bed) hold(p *plan, v *verb) error {
	ctx := context.Background()
	if _, err := os.Stat(filepath.Join(p.Dir, enclave.ConfigFile)); err == nil {
		// The audit, of all that the log then holds, comes last.
		if err := check(ctx, p.Dir); err != nil {
			return err
		}
	}
	p.say = func(job string) { b.acked[job] = true }
	err := v.do(ctx, p)
	if v.name == "init" && errors.Is(err, state.ErrExists) && strings.Contains(err.Error(), "give an empty database") {
		p.Database = b.database() // a server's database is nobody's to empty but the operator's
		err = v.do(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("done again: %w", err)
	}
	return b.sound(ctx, p)
}

// sound opens a domain, checks its database, audits its log, looks for every
// acknowledged call, and opens its tables.
func (b *bed) sound(ctx context.Context, p *plan) (err error) {
	d, err := p.open(ctx)
	if err != nil {
		return fmt.Errorf("opening it: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	v, err := ledger.ParseVKey(d.VKey())
	if err != nil {
		return err
	}
	if err := check(ctx, p.Dir); err != nil {
		return err
	}
	log, err := d.Log(ctx)
	if err != nil {
		return err
	}
	report, err := audit.Audit(ctx, log, audit.Keys{Log: v, Authoriser: p.Keys[0], Authority: p.Keys[1]}, audit.Options{})
	if err != nil {
		return fmt.Errorf("auditing: %w", err)
	}
	for _, f := range report.Findings {
		err = errors.Join(err, fmt.Errorf("the audit found %s", f))
	}
	if err != nil || p.Dir != b.d.Dir {
		return err
	}
	return errors.Join(b.once(ctx, d), tables(ctx, d))
}

// check runs the check of a domain's database, opened by nobody before.
func check(ctx context.Context, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, enclave.ConfigFile))
	if err != nil {
		return err
	}
	config, err := enclave.DecodeConfig(text)
	if err != nil {
		return err
	}
	dsn := config.Database
	if file, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		dsn = "sqlite:" + filepath.Join(dir, file)
	}
	s, err := state.Open(ctx, state.Config{DSN: dsn})
	if err != nil {
		return err
	}
	r, err := s.Check(ctx, nil)
	if err == nil {
		err = r.Err()
	}
	return errors.Join(err, s.Close())
}

// once: every acknowledged call is in the log, and none is twice.
func (b *bed) once(ctx context.Context, d *enclave.Domain) error {
	logged := map[string]int{}
	for e, err := range d.Entries(ctx, state.Filter{Kinds: []ledger.Kind{ledger.KindCall}}) {
		if err != nil {
			return err
		}
		logged[e.Call.Header.Job]++
	}
	for job, n := range logged {
		if n != 1 {
			return fmt.Errorf("job %s is in the log %d times", job, n)
		}
	}
	for job := range b.acked {
		if logged[job] != 1 {
			return fmt.Errorf("job %s was acknowledged and is in the log %d times", job, logged[job])
		}
	}
	return nil
}

// tables: what is published can be served.
func tables(ctx context.Context, d *enclave.Domain) error {
	g, err := d.Gateway(ctx)
	if err != nil {
		return fmt.Errorf("serving it: %w", err)
	}
	return g.Close()
}

// tally counts points.
type tally struct{ tried, passed int }

func (c *tally) point(t *testing.T, at string, err error) {
	t.Helper()
	c.tried++
	if err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	c.passed++
}

// A transaction that the server gave up runs again, and a verb does then what it
// does otherwise: every one of its transactions is given up once, after all that
// it wrote.
func TestEveryTransactionRunsTwice(t *testing.T) {
	slow(t)
	b := newBed(t, func() string { return "" })
	for i, v := range chosen() {
		p := b.plan(v, i)
		p.Again = true
		if end := b.run(p, (*exec.Cmd).Run); end.failed != "" {
			t.Errorf("%s: %s", v.name, end.failed)
			continue
		}
		if err := b.hold(p, v); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
	}
}

// "A crash at any instruction leaves nothing or everything": a process is killed
// at the beginning and at the end of its database calls.
func TestKilledAtDatabaseCalls(t *testing.T) {
	slow(t)
	for name, on := range map[string]struct {
		database func(testing.TB) string
		apart    int // strides in one: a verb's files are the same on both
	}{
		"sqlite":   {func(testing.TB) string { return "" }, 1},
		"postgres": {pgtest.DSN, 5},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, func() string { return on.database(t) })
			round := 0
			for _, v := range chosen() {
				var c tally
				for n := 1; ; n += v.stride(on.apart) {
					round++
					p := b.plan(v, round)
					p.Call = int64(n)
					end := b.run(p, (*exec.Cmd).Run)
					if !end.killed {
						if end.failed != "" {
							t.Errorf("%s at call %d failed by itself: %s", v.name, n, end.failed)
						}
						break
					}
					c.point(t, fmt.Sprintf("%s, killed at point %d", v.name, n), b.hold(p, v))
				}
				t.Logf("%s on %s: killed at %d points of database calls, %d passed", v.name, name, c.tried, c.passed)
				if c.tried == 0 {
					t.Errorf("%s: no point was reached", v.name)
				}
			}
		})
	}
}
