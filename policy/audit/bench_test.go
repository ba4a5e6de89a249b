package audit_test

import (
	"path/filepath"
	"testing"

	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// crowded is a log of n paid calls over a large population.
func crowded(t testing.TB, n int) *logtest.Log {
	l := logtest.New(t)
	l.Import("business-licences", 2, 100_000_000)
	l.Publish(logtest.Product, 1, 2)
	g := logtest.IndustryGrant()
	g.Quotas = []vocabulary.Quota{{Unit: "subjects", Per: "day", Limit: 1e9}, {Unit: "calls", Per: "term", Limit: 1e9}}
	l.Apply(g)
	for range n {
		l.Call(logtest.Product, vocabulary.Industry, 100)
	}
	l.Checkpoint()
	return l
}

// Design §9: 1M entries in 30 s for tree, admission and fees, 120 s with every
// request signature: 30 and 120 us an entry.
func BenchmarkAudit(b *testing.B) {
	const n = 5000
	l := crowded(b, n)
	path := filepath.Join(b.TempDir(), "log.jsonl")
	export(b, l, path)
	for _, c := range []struct {
		name string
		opts audit.Options
	}{{"signatures", audit.Options{}}, {"no-signatures", audit.Options{SkipSignatures: true}}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x, err := audit.OpenExport(path)
				if err != nil {
					b.Fatal(err)
				}
				if r := run(b, x, c.opts); !r.Clean() {
					b.Fatal(r.Findings[0])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "us/entry")
		})
	}
}
