package faults

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
)

// logged is a log that a test reads while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// until waits for the log to say all of it.
func (l *logged) until(t *testing.T, says ...string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		all := l.String()
		missing := ""
		for _, s := range says {
			if !strings.Contains(all, s) {
				missing = s
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the log does not say %q: %s", missing, all)
		case <-tick.C:
		}
	}
}

// A table that is gone, cut short or altered is in the log before a caller meets
// it, with what to do; a caller is told to come back; and once the file is back
// it is served, by the same process, and what was evaluated meanwhile is looked
// up.
func TestDamagedTableOfARunningServer(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, string){
		"gone":    gone("tables/sector-1-1.tbl"),
		"cut":     at("tables/sector-1-1.tbl", half),
		"altered": at("tables/sector-1-1.tbl", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }),
	} {
		t.Run(name, func(t *testing.T) {
			d, e := enclavetest.Published(t)
			file := filepath.Join(d.Dir, "tables", "sector-1-1.tbl")
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			damage(t, d.Dir)
			var log logged
			d = reopened(t, d, slog.New(slog.NewTextHandler(&log, nil)))
			c := d.Dial(d.Serve(), e)
			log.until(t, "a published table is not served", "product=sector", "put the file back from a backup, or publish the product again")
			j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
			c.MustSend(j)
			if _, err = c.LookUp(j); status.Code(err) != codes.Unavailable {
				t.Errorf("looking up: %v, want it unavailable", err)
			}
			if n := strings.Count(log.String(), "a published table is not served"); n != 1 {
				t.Errorf("the log says it %d times within a minute: %s", n, log.String())
			}
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			answers, err := c.LookUp(j)
			if err != nil || !answers[0].Found {
				t.Errorf("after the file was put back: %v, %v", answers, err)
			}
			log.until(t, "a table is served again")
		})
	}
}

// reopened is the same domain opened by another process's options.
func reopened(t *testing.T, d *enclavetest.Domain, log *slog.Logger) *enclavetest.Domain {
	t.Helper()
	again := *d
	var err error
	again.Domain, err = enclave.Open(context.Background(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := again.Domain.Close(); err != nil {
			t.Error(err)
		}
	})
	return &again
}
