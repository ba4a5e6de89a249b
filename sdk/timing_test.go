package sdk_test

import (
	"crypto/rand"
	"math"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// TestFoundAndNotFoundTakeOneTime is dudect's test (Reparaz, Balasch, Verbauwhede
// 2017): two classes of inputs in random order, the slowest tenth cropped, and
// Welch's t. It prints t, and fails on a gross leak only: |t| above 50 with
// medians 5 % apart. On a shared machine a smaller t is noise as often as not; a
// person reads it, and the code is branchless to begin with.
func TestFoundAndNotFoundTakeOneTime(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	t.Run("a client's Find", func(t *testing.T) {
		find := finder(t)
		dudect(t, 20_000, func(found bool) time.Duration {
			began := time.Now()
			for range 8 {
				if find(found) != found {
					t.Fatal("a wrong answer")
				}
			}
			return time.Since(began)
		})
	})
	t.Run("a gateway's evaluation", func(t *testing.T) {
		evaluate := evaluator(t)
		dudect(t, 400, func(found bool) time.Duration { return evaluate(found) })
	})
}

// dudect measures n of each class.
func dudect(t *testing.T, n int, measure func(found bool) time.Duration) {
	t.Helper()
	classes := make([]bool, 2*n)
	for i := range n {
		classes[i] = true
	}
	mathrand.Shuffle(len(classes), func(i, j int) { classes[i], classes[j] = classes[j], classes[i] })
	for range n / 10 {
		measure(true)
		measure(false)
	}
	var times [2][]float64
	for _, found := range classes {
		i := 0
		if found {
			i = 1
		}
		times[i] = append(times[i], float64(measure(found)))
	}
	all := slices.Sorted(slices.Values(slices.Concat(times[0], times[1])))
	bound := all[len(all)*9/10]
	var mean, variance, count, median [2]float64
	for i := range times {
		kept := slices.DeleteFunc(times[i], func(x float64) bool { return x > bound })
		slices.Sort(kept)
		count[i], median[i] = float64(len(kept)), kept[len(kept)/2]
		for _, x := range kept {
			mean[i] += x / count[i]
		}
		for _, x := range kept {
			variance[i] += (x - mean[i]) * (x - mean[i]) / (count[i] - 1)
		}
	}
	welch := (mean[1] - mean[0]) / math.Sqrt(variance[0]/count[0]+variance[1]/count[1])
	apart := math.Abs(median[1]-median[0]) / median[0]
	t.Logf("t = %.2f over 2 × %d calls; medians %.0f ns not found, %.0f ns found (%.2f %%)", welch, n, median[0], median[1], 100*apart)
	if math.Abs(welch) > 50 && apart > 0.05 {
		t.Errorf("found and not found take different times: t = %.1f, medians %.1f %% apart", welch, 100*apart)
	}
}

// finder is a full column of a table, the outputs that are in it, at places that
// Fill drew, and as many that are not. Both classes touch memory alike.
func finder(t *testing.T) func(found bool) bool {
	t.Helper()
	layout := oprf.Layout{ColumnBytes: 2048, LabelBytes: 32}
	id := oprf.NewTableID("p", "label", 1)
	n := layout.Slots()
	outputs := make([]oprf.Output, 2*n) // the first half absent, the second present
	var members []oprf.Member
	for i := range outputs {
		_, _ = rand.Read(outputs[i][:]) // never fails
		if i >= n {
			members = append(members, oprf.Member{Output: &outputs[i], Label: make([]byte, layout.LabelBytes)})
		}
	}
	column := make([]byte, layout.ColumnBytes)
	if err := layout.Fill(column, id, members, nil); err != nil {
		t.Fatal(err)
	}
	return func(found bool) bool {
		i := mathrand.IntN(n)
		if found {
			i += n
		}
		_, hit := layout.Find(column, id, &outputs[i])
		return hit
	}
}

// evaluator submits jobs of one subject, which has a licence or has none.
func evaluator(t *testing.T) func(found bool) time.Duration {
	t.Helper()
	d, _ := enclavetest.Published(t)
	g := d.OpenGateway()
	e := d.Enterprise(enclavetest.Southern)
	d.MustApply(strings.NewReplacer("limit: 40}", "limit: 100000}", "limit: 1000}", "limit: 100000}").Replace(enclavetest.Grants(e.Code)))
	versions, err := d.Versions(t.Context(), "sector")
	if err != nil {
		t.Fatal(err)
	}
	who, encoding := vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: e.Code}, versions[0].Encoding
	asked := 0
	return func(found bool) time.Duration {
		account := enclavetest.Account(mathrand.IntN(enclavetest.Records))
		if !found {
			account = enclavetest.Account(enclavetest.Records + mathrand.IntN(enclavetest.Records))
		}
		input, err := oprf.Encode(encoding.Rule, encoding.Domain, account)
		if err != nil {
			t.Fatal(err)
		}
		_, blinded, err := oprf.Blind([][]byte{input}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if asked++; asked%100 == 0 {
			d.Clock.Advance(32 * 24 * time.Hour) // another period of the share
		}
		req := enclavetest.Sign(t, e.Signing, d.Header(e.Code, "sector", "industry", 1, 1), blinded)
		began := time.Now()
		if _, err := g.Evaluate(t.Context(), who, req); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
}
