package state

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/yingbi/yingbi/enclave/state/pgtest"
)

// "Lost connections are retried inside": the server ends the settling connection
// at every point of settlement, and the caller sees nothing of it.
func TestConnectionLost(t *testing.T) {
	for _, point := range Points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			var s *Store
			armed := false
			b := newBed(t, postgresDSN(t))
			s = b.storeWith(hooks{at: func(p string) {
				if armed && p == point && s.writer != nil {
					armed = false
					endWriter(t, s)
				}
			}})
			mustSettle(t, s, jobID(1), 1)
			armed = true
			if found, c, err := settleJob(t.Context(), s, jobID(2), 1, noLimit); found || err != nil || c.Tree.N != 2 {
				t.Errorf("settling on a connection that dies: found %v, %+v, %v; want it settled", found, c, err)
			}
			if armed {
				t.Error("the connection was not ended: nothing was tested")
			}
			mustSettle(t, s, jobID(3), 1)
			if r := checkClean(t, s); r.Tree.N != 3 {
				t.Errorf("%d entries, want 3", r.Tree.N)
			}
		})
	}
}

// endWriter has the server end the settling connection.
func endWriter(t *testing.T, s *Store) {
	t.Helper()
	var pid int64
	conn := s.writer.conn
	err := conn.QueryRowContext(context.Background(), "SELECT pg_backend_pid()").Scan(&pid)
	if err != nil {
		t.Error(err)
		return
	}
	var done bool
	rows, err := s.reads.query(context.Background(), "SELECT pg_terminate_backend($1, 5000)", pid)
	if err := scanOne(rows, err, &done); err != nil || !done {
		t.Errorf("ending the backend: %v, %v", done, err)
	}
}

// A deadlock with somebody else's transaction: the server ends ours, and it is
// done again.
func TestDeadlock(t *testing.T) {
	ctx := t.Context()
	b := newBed(t, postgresDSN(t))
	var s *Store
	var other *pgx.Conn
	armed := false
	got := make(chan error, 1)
	s = b.storeWith(hooks{at: func(point string) {
		if !armed || point != "applied" {
			return
		}
		armed = false
		if _, err := other.Exec(ctx, "BEGIN; LOCK TABLE entries IN ACCESS EXCLUSIVE MODE"); err != nil {
			t.Error(err)
		}
		go func() {
			for waiting := false; !waiting; { // ours has to wait first, to be the one that notices
				rows, err := s.reads.query(ctx, "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
				if err := scanOne(rows, err, &waiting); err != nil {
					got <- err
					return
				}
			}
			_, err := other.Exec(ctx, "SELECT size FROM head FOR UPDATE; COMMIT")
			got <- err
		}()
	}})
	mustSettle(t, s, jobID(1), 1)
	var err error
	if other, err = pgx.Connect(ctx, b.c.DSN); err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	armed = true
	runs := 0
	_, err = s.Update(ctx, func(tx *Tx) error { runs++; return putCall(tx, jobID(2), 1, noLimit) })
	if err != nil || runs != 2 {
		t.Errorf("settling in a deadlock: %v after %d runs, want it settled in the second", err, runs)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	checkClean(t, s)
}

// The server crashes and comes back, twice, under the load of 64 callers of two
// stores: nothing is lost, nothing is there twice.
func TestServerRestarts(t *testing.T) {
	const callers, jobs = 64, 600
	ctx := t.Context()
	server := pgtest.New(t)
	b := newBed(t, server.URL(""))
	stores := []*Store{b.store(), b.again()}
	var next, refused atomic.Int64
	var acknowledged sync.Map
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for {
				n := int(next.Add(1))
				if n > jobs {
					return
				}
				for try := 0; ; try++ {
					_, _, err := settleJob(ctx, stores[(c+try)%2], jobID(n), 1, noLimit)
					if err == nil {
						acknowledged.Store(jobID(n), true)
						break
					}
					if !errors.Is(err, ErrUnconfirmed) || try > 20 {
						t.Errorf("job %d: %v", n, err)
						return
					}
					refused.Add(1)
				}
			}
		})
	}
	for _, at := range []int64{jobs / 4, jobs / 2} {
		for next.Load() < at {
			time.Sleep(5 * time.Millisecond)
		}
		if err := server.Restart("immediate"); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	t.Logf("%d jobs settled over two crashes of the server; %d times a caller had to ask again", jobs, refused.Load())
	r := checkClean(t, stores[0])
	if r.Tree.N != jobs || r.Jobs != jobs {
		t.Errorf("%d entries, %d jobs, want %d", r.Tree.N, r.Jobs, jobs)
	}
	survivors := map[string]bool{}
	acknowledged.Range(func(id, _ any) bool { survivors[id.(string)] = true; return true })
	if len(survivors) != jobs {
		t.Errorf("%d jobs were acknowledged, want %d", len(survivors), jobs)
	}
	if used, err := stores[1].Used(ctx, testCounter, testWindow); err != nil || used != jobs {
		t.Errorf("%d units are charged, %v, want %d", used, err, jobs)
	}
}

// A server that stays away is an error within the time that callers wait.
func TestServerGone(t *testing.T) {
	server := pgtest.New(t, "fsync=off")
	b := newBed(t, server.URL(""))
	s := b.store()
	mustSettle(t, s, jobID(1), 1)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Second, func() { s.Close() }) // as serve does when it is told to end
	start := time.Now()
	_, _, err := settleJob(t.Context(), s, jobID(2), 1, noLimit)
	if err == nil || time.Since(start) > settleWait {
		t.Errorf("settling without a server: %v after %v", err, time.Since(start))
	}
}

// A standby that lags is promoted when the primary is lost: it lacks entries
// that were acknowledged. The mark tells: nothing is served from it, neither by
// a process that starts nor by one that was running and follows the failover.
// The standby is a base backup, so that a restored one is the same.
func TestPromotedStandbyIsRefused(t *testing.T) {
	ctx := t.Context()
	primary := pgtest.New(t, "fsync=off")
	b := newBed(t, primary.URL(""))
	first := b.store()
	mustSettle(t, first, jobID(1), 1)
	standby := primary.Standby(t)
	b.c.DSN = "postgres:///postgres?" + url.Values{"host": {primary.Host() + "," + standby.Host()}, "user": {"yingbi"}, "target_session_attrs": {"read-write"}}.Encode()
	running, err := Open(ctx, b.c)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	if advice := inspect(t, b, standby.URL("")); !advice["postgres-standby"].Refuse {
		t.Errorf("a standby is not refused: %v", advice)
	}
	if err := standby.Kill(); err != nil { // from here on it lags
		t.Fatal(err)
	}
	mustSettle(t, running, jobID(2), 1)
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(standby.Restart("fast"), standby.Promote()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := settleJob(ctx, running, jobID(3), 1, noLimit); !errors.Is(err, ErrBelowMark) {
		t.Errorf("settling after the failover: %v, want ErrBelowMark", err)
	}
	if _, err := Open(ctx, b.c); !errors.Is(err, ErrBelowMark) {
		t.Errorf("opening after the failover: %v, want ErrBelowMark", err)
	}
	if err := primary.Restart("fast"); err != nil { // the one that has everything comes back
		t.Fatal(err)
	}
	b.c.DSN = primary.URL("")
	s := b.again()
	mustSettle(t, s, jobID(3), 1)
	checkClean(t, s)
}

// inspect is what a store of the database would say of it.
func inspect(t *testing.T, b *bed, dsn string) map[string]Advice {
	t.Helper()
	d, err := dialectOf(dsn, true)
	if err != nil {
		t.Fatal(err)
	}
	all, err := (&Store{d: d}).Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Advice{}
	for _, a := range all {
		out[a.ID] = a
	}
	return out
}

// What Inspect sees of real servers.
func TestInspect(t *testing.T) {
	b := newBed(t, sqliteDSN(t))
	if advice := inspect(t, b, b.c.DSN); len(advice) != 0 {
		t.Errorf("a file needs no advice: %v", advice)
	}
	server := pgtest.New(t)
	good := server.URL("")
	for name, c := range map[string]struct {
		dsn    string
		want   []string
		refuse bool
	}{
		"as installed":       {good, []string{"postgres-no-synchronous-standby"}, false},
		"asynchronous":       {good + "&synchronous_commit=off", []string{"postgres-no-synchronous-standby", "postgres-synchronous-commit"}, true},
		"serializable reads": {good + "&default_transaction_isolation=serializable", []string{"postgres-no-synchronous-standby", "postgres-isolation"}, false},
		"no syncing":         {postgresDSN(t), []string{"postgres-no-synchronous-standby", "postgres-fsync"}, true},
	} {
		advice := inspect(t, b, c.dsn)
		refuse := false
		for _, a := range advice {
			refuse = refuse || a.Refuse
		}
		if len(advice) != len(c.want) || refuse != c.refuse {
			t.Errorf("%s: %v, refused %v; want %v, %v", name, advice, refuse, c.want, c.refuse)
		}
		for _, id := range c.want {
			if _, ok := advice[id]; !ok {
				t.Errorf("%s: no advice %s", name, id)
			}
		}
	}
}

// Every advice, by what brings it about.
func TestAdvice(t *testing.T) {
	for id, change := range map[string]func(s *server){
		"":                                func(*server) {},
		"postgres-standby":                func(s *server) { s.recovering = true },
		"postgres-fsync":                  func(s *server) { s.settings["fsync"] = "off" },
		"postgres-synchronous-commit":     func(s *server) { s.settings["synchronous_commit"] = "off" },
		"postgres-full-page-writes":       func(s *server) { s.settings["full_page_writes"] = "off" },
		"postgres-no-synchronous-standby": func(s *server) { s.settings["synchronous_standby_names"] = "" },
		"postgres-standby-not-waited-for": func(s *server) { s.settings["synchronous_commit"] = "remote_write" },
		"postgres-standby-missing":        func(s *server) { s.synchronous = 0 },
		"postgres-version":                func(s *server) { s.settings["server_version_num"] = "120022" },
		"postgres-isolation":              func(s *server) { s.settings["default_transaction_isolation"] = "serializable" },
		"postgres-connections":            func(s *server) { s.free = connections - 1 },
	} {
		s := &server{free: 100, synchronous: 1, settings: map[string]string{
			"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "synchronous_standby_names": "ANY 1 (a, b)",
			"server_version_num": "150014", "server_version": "15.14", "default_transaction_isolation": "read committed",
		}}
		change(s)
		got := adviseServer(s)
		if id == "" && len(got) != 0 || id != "" && (len(got) != 1 || got[0].ID != id || got[0].Why == "" || got[0].Want == "") {
			t.Errorf("%s: %v", id, got)
		}
	}
	for dsn, want := range map[string]int{
		"postgres://u@db.example/x?sslmode=verify-full": 0,
		"postgres://u@db.example/x?sslmode=require":     1,
		"postgres://u@db.example/x":                     1, // prefer: falls back to plain
		"postgres://u@127.0.0.1/x?sslmode=disable":      0,
		"postgres:///x?host=/run/postgresql":            0,
	} {
		d, err := dialectOf(dsn, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.(*postgres).adviseConnection(); len(got) != want {
			t.Errorf("%s: %v, want %d", dsn, got, want)
		}
	}
}
