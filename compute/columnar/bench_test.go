package columnar

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
)

// BenchmarkRun is the cube of the design's numbers, at 1M rows in cache-sized batches: three
// sums in 1,024 cells of two integer keys. ×bare is the ratio to a loop over the
// same slices in the same run which looks nothing up, checks nothing and wraps. Times
// are the least of all iterations. The subjects' cases have as many pairs as rows.
func BenchmarkRun(b *testing.B) {
	const rows, keys = 1 << 20, 32
	record := numbers(rows, keys, 10_000)
	var v [6][]int64
	for i := range v {
		v[i] = record.Column(i).(*array.Int64).Int64Values()
	}
	bare := func() (sums [keys * keys][4]int64) {
		for i, k := range v[0] {
			s := &sums[k*keys+v[1][i]]
			s[0]++
			s[1] += v[3][i]
			s[2] += v[4][i]
			s[3] += v[5][i]
		}
		return sums
	}
	for _, c := range []struct {
		name    string
		change  func(*Spec)
		workers int
	}{
		{"sums", func(*Spec) {}, 1},
		{"filter", func(s *Spec) { s.Filter = []Comparison{{"m2", Less, []Value{Int(50)}}} }, 1},
		{"clamped", func(s *Spec) {
			for i := range s.Measures {
				s.Measures[i].Bounds = &[2]Value{Int(0), Int(1 << 31)}
			}
		}, 1},
		{"variance", func(s *Spec) { s.Measures[0].Want |= Squares }, 1},
		{"subjects", func(s *Spec) { s.Subject = "id" }, 1},
		{"subjects-largest", func(s *Spec) { s.Subject, s.Largest = "id", 3 }, 1},
		{"sums-2-workers", func(*Spec) {}, 2},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := thousand(keys)
			c.change(s)
			least, leastBare := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
			var sink int64
			for b.Loop() {
				start := time.Now()
				sum := bare()
				middle := time.Now()
				cube, err := Run(context.Background(), s, repeated(record, 1), c.workers)
				if err != nil {
					b.Fatal(err)
				}
				leastBare, least = min(leastBare, middle.Sub(start)), min(least, time.Since(middle))
				if have, _ := cube.Sum(2, 33).Int64(); s.Filter == nil && have != sum[33][3] {
					b.Fatal("the sums differ")
				}
				sink += sum[0][0]
			}
			b.ReportMetric(float64(least.Nanoseconds())/rows, "ns/row")
			b.ReportMetric(float64(leastBare.Nanoseconds())/rows, "bare-ns/row")
			b.ReportMetric(float64(least)/float64(leastBare), "×bare")
			if sink == 0 {
				b.Fatal("the first cell is empty")
			}
		})
	}
}
