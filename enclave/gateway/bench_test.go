package gateway_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// crowd is a domain large enough that neither quotas nor the release rule's
// share of the population end a benchmark: 8 enterprises of 10,000 calls.
type crowd struct {
	*caller
	members []*caller
}

const crowdRecords = 20_000

func newCrowd(b *testing.B) *crowd {
	d := enclavetest.New(b)
	d.MustApply(enclavetest.Manifests)
	d.MustImport("licences", enclavetest.Licences(0, crowdRecords))
	d.MustReview("sector")
	d.MustPublish("sector", false)
	_, blinded, err := oprf.Blind([][]byte{[]byte("x")}, nil)
	if err != nil {
		b.Fatal(err)
	}
	c := &crowd{}
	g := d.OpenGateway()
	for i := range 8 {
		e := d.Enterprise(enclavetest.Code(i))
		d.MustApply(strings.ReplaceAll(strings.ReplaceAll(enclavetest.Grants(e.Code), "limit: 40}", "limit: 1000000}"), "limit: 1000}", "limit: 1000000}"))
		c.members = append(c.members, &caller{d: d, g: g, e: e, who: vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: e.Code}, blinded: blinded})
	}
	c.caller = c.members[0]
	return c
}

// benchmarkSubmit measures metered calls of one subject: verify the signature,
// admit, price, settle durably, prove. Signing is done beforehand.
func benchmarkSubmit(b *testing.B, callers int, kernel bool) {
	c := newCrowd(b)
	if !kernel {
		c.g.SkipKernel()
	}
	requests := make([]*pb.EvaluateRequest, b.N)
	for i := range requests {
		requests[i] = c.members[i%len(c.members)].request("industry", 1)
	}
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				start := time.Now()
				if _, err := c.members[int(i)%len(c.members)].submit(requests[i]); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

func BenchmarkSubmit(b *testing.B) {
	b.Run("one caller, without kernel", func(b *testing.B) { benchmarkSubmit(b, 1, false) })
	b.Run("one caller, one element", func(b *testing.B) { benchmarkSubmit(b, 1, true) })
	b.Run("64 callers, without kernel", func(b *testing.B) { benchmarkSubmit(b, 64, false) })
}
