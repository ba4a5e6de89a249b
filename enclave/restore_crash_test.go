package enclave_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
)

const restoreCrashEnv = "YINGBI_RESTORE_CRASH"

// restorePlan is what the child that restores is told.
type restorePlan struct {
	File, Dir, NewLog, Database, Key, Point string
	Now                                     time.Time
}

// TestRestoreChild is the process that is killed.
func TestRestoreChild(t *testing.T) {
	text := os.Getenv(restoreCrashEnv)
	if text == "" {
		t.Skip("not the child of TestRestoreDiesAnywhere")
	}
	var plan restorePlan
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatal(err)
	}
	key, err := age.ParseX25519Identity(plan.Key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = enclave.Restore(t.Context(), plan.File, plan.Dir, enclave.RestoreOptions{
		Unlock: unlockWith(keyring.Passphrase([]byte("correct horse"))), With: []age.Identity{key}, NewLog: plan.NewLog, Database: plan.Database,
		Clock: func() time.Time { return plan.Now },
		TestAt: func(point string) {
			if point == plan.Point {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A restore that is killed at any of its points leaves no domain, and the same
// words again make it whole; from its last point on it leaves a whole one.
func TestRestoreDiesAnywhere(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	d, _ := enclavetest.Standard(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	u := &used{Domain: d, key: key}
	file := u.backup(t, true)
	last := auditOf(t, u, d.Domain).Entries
	killed := 0
	for _, how := range []struct{ name, origin, database string }{
		{"in place", "", ""}, {"another file", "", "sqlite:elsewhere.db"}, {"new log", anew, ""},
	} {
		for _, point := range enclave.RestorePoints {
			t.Run(how.name+" "+point, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "restored")
				plan := restorePlan{file, dir, how.origin, how.database, key.String(), point, d.Clock.Now()}
				if !runRestore(t, plan) {
					t.Skip("it does not pass this point")
				}
				killed++
				if point != "configured" && point != "logged" {
					if _, err := enclave.Open(t.Context(), dir, u.Unlock, enclave.Options{Clock: u.Clock.Now}); !errors.Is(err, enclave.ErrIncomplete) {
						t.Fatalf("opening what is left: %v, want ErrIncomplete", err)
					}
					o := u.options()
					o.NewLog, o.Database = how.origin, how.database
					if _, err := enclave.Restore(t.Context(), file, dir, o); err != nil {
						t.Fatal(err)
					}
				}
				restored := u.open(t, dir)
				if report := auditOf(t, u, restored); how.origin == "" && report.Entries != last+1 {
					t.Errorf("%d entries, want one more than %d", report.Entries, last)
				}
				if _, err := restored.Newest(t.Context(), "sector"); err != nil {
					t.Error(err)
				}
				if names, _ := filepath.Glob(filepath.Join(dir, "restor*")); len(names) > 0 {
					t.Errorf("%v is left", names)
				}
			})
		}
	}
	t.Logf("killed at %d points", killed)
	if killed < 30 {
		t.Errorf("killed at %d points only", killed)
	}
}

// runRestore runs a restore in a process of its own and says whether it was
// killed.
func runRestore(t *testing.T, plan restorePlan) bool {
	t.Helper()
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestRestoreChild$")
	child.Env = append(os.Environ(), restoreCrashEnv+"="+string(text))
	out, err := child.CombinedOutput()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v: %s", err, out)
	}
	return true
}
