package state

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// What one settlement costs: job looked up, quota charged, call logged, job and
// the answer to 100 identifiers kept, durable, marked and signed. The mark is the embedded keyring's
// file; put TMPDIR on the disk to be measured.
//
//	go test -run=^$ -bench=. -benchtime=5s ./enclave/state
func benchmarkEngines(b *testing.B, bench func(b *testing.B, s *Store)) {
	for _, engine := range []struct {
		name string
		dsn  func(testing.TB) string
	}{{"sqlite", sqliteDSN}, {"postgres", postgresDSN}} {
		b.Run(engine.name, func(b *testing.B) {
			bed := newBed(b, engine.dsn(b))
			bed.c.Clock = nil
			s := bed.store()
			mustAppend(b, s, accessEntry(0)) // a call is never the first entry
			bench(b, s)
		})
	}
}

var benchCall = testCall(jobID(0), 100) // made once: it is the caller's work

func settleCall(b *testing.B, s *Store, n int) {
	id := jobID(n)
	call := *benchCall
	call.Header.Job = id
	_, err := s.Update(b.Context(), func(tx *Tx) error {
		if _, err := tx.Job(id); err == nil {
			return ErrJobExists
		}
		if err := tx.Charge(testCounter, testWindow, 100, noLimit); err != nil {
			return err
		}
		seq, err := tx.Append(ledger.Entry{Kind: ledger.KindCall, Actor: testActor, Call: &call})
		if err != nil {
			return err
		}
		if err := tx.PutJob(testJob(id, 100, seq)); err != nil {
			return err
		}
		return tx.PutAnswer(id, make([]byte, 3264), time.Time{})
	})
	if err != nil {
		b.Error(err)
	}
}

// One caller: the latency of a durable settlement.
func BenchmarkSettle(b *testing.B) {
	benchmarkEngines(b, func(b *testing.B, s *Store) {
		took := make([]time.Duration, 0, 1024)
		n := 0
		for b.Loop() {
			start := time.Now()
			settleCall(b, s, n)
			took = append(took, time.Since(start))
			n++
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	})
}

// 64 callers, each with one job after another: settlements per second.
func BenchmarkSettle64(b *testing.B) {
	benchmarkEngines(b, func(b *testing.B, s *Store) {
		var next atomic.Int64
		var wg sync.WaitGroup
		b.ResetTimer()
		for range 64 {
			wg.Go(func() {
				for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
					settleCall(b, s, int(n))
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
}

// The part of it that is the entry's own: validation and canonical JSON.
func BenchmarkEncodeCall(b *testing.B) {
	e := callEntry(jobID(1), 100)
	e.V, e.Seq, e.Time = ledger.Version, 1, ledger.NewTime(testNow)
	for b.Loop() {
		if _, err := e.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
