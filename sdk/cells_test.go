package sdk_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// counts is an aggregate product over the licences: a hundred of each sector.
const counts = `kind: Product
id: counts
title: {en: Licences by sector}
type: aggregate
registration: P-8
resource: licences
scenario: business-verification
legalBasis:
  industry: {en: Contract}
aggregate:
  dimensions:
    - {name: sector, column: sector, codes: [retail, transport, health]}
  margins:
    - {by: []}
  measures:
    - {name: licences, is: count}
  disclosure: {minSubjects: 10}
  answers: [cells]
release:
  columns: [sector]
assessment:
  digest: sha256:0f4e8b6a2c9d7153e8a6b4c2d0f1e3957a8b6c4d2e0f19385746a5b4c3d2e1f0
  expires: 2035-12-31
---
kind: Ceiling
id: counts-ceiling
title: {en: Ceiling}
product: counts
basis: per-call
amount: "9"
from: 2026-01-01
document: sha256:9a8b7c6d5e4f30211203f4e5d6c7b8a90a1b2c3d4e5f60718293a4b5c6d7e8f9
---
kind: Tariff
id: counts-tariff
title: {en: Tariff}
product: counts
basis: per-call
price: "5"
trial: false
from: 2026-01-01
`

const countsGrant = `kind: Grant
id: counts-industry
title: {en: Industry}
enterprise: 91330100MA2AXK7T8P
products: [counts]
purposes: [industry]
from: 2026-01-01
until: 2035-12-31
quotas: [{unit: calls, per: day, limit: 100}]
contract: sha256:c0ffee5f6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f
`

func countsDomain(t *testing.T) (*enclavetest.Domain, *sdk.Identity) {
	t.Helper()
	d := domain(t, enclavetest.Manifests)
	d.MustApply(counts)
	d.MustReview("counts")
	d.MustPublish("counts", false)
	return d, northern(t, d, countsGrant)
}

var bySector = cells.Query{By: []string{"sector"}}

// Cells passes chunks on, the receipt first.
func (l *liar) Cells(r *pb.CellsRequest, out grpc.ServerStreamingServer[pb.CellsChunk]) error {
	in, err := l.client.Cells(out.Context(), r)
	if err != nil {
		return err
	}
	for {
		chunk, err := in.Recv()
		if err != nil {
			return nil // the end, or an error that the client sees as too few bytes
		}
		l.alter("Cells", chunk)
		if err := out.Send(chunk); err != nil {
			return err
		}
	}
}

// What a gateway may lie about and a client can detect, it detects. The job stays,
// and an honest gateway answers it without another charge.
func TestCellsTrustsNothingThatDoesNotVerify(t *testing.T) {
	d, id := countsDomain(t)
	address := d.Serve()
	data := func(change func(*pb.CellsChunk)) func(any) {
		return func(r any) {
			if c := r.(*pb.CellsChunk); len(c.Data) > 0 {
				change(c)
			}
		}
	}
	head := func(change func(*pb.CellsChunk)) func(any) {
		return func(r any) {
			if c := r.(*pb.CellsChunk); len(c.Data) == 0 {
				change(c)
			}
		}
	}
	for _, lie := range []struct {
		name, method string
		alter        func(resp any)
	}{
		{"a byte of the answer", "Cells", data(func(c *pb.CellsChunk) { c.Data[len(c.Data)/2] ^= 1 })},
		{"half the answer", "Cells", data(func(c *pb.CellsChunk) { c.Data = c.Data[:len(c.Data)/2] })},
		{"the answer twice", "Cells", data(func(c *pb.CellsChunk) { c.Data = append(c.Data, c.Data...) })},
		{"no answer", "Cells", data(func(c *pb.CellsChunk) { c.Data = nil })},
		{"no receipt", "Cells", head(func(c *pb.CellsChunk) { c.Receipt = nil })},
		{"the receipt's units", "Cells", head(func(c *pb.CellsChunk) {
			c.Receipt.Entry = []byte(strings.Replace(string(c.Receipt.Entry), `"units":3`, `"units":2`, 1))
		})},
		{"the receipt's salt", "Cells", head(func(c *pb.CellsChunk) { c.Receipt.Salt[0] ^= 1 })},
		{"the descriptor", "Checkpoint", func(r any) {
			if p := r.(*pb.CheckpointResponse).Published; p != nil {
				p.Entry = []byte(strings.Replace(string(p.Entry), `"retail"`, `"retain"`, 1))
			}
		}},
		{"no descriptor", "Checkpoint", func(r any) { r.(*pb.CheckpointResponse).Published = nil }},
	} {
		t.Run(lie.name, func(t *testing.T) {
			told := false
			alter := func(method string, resp any) {
				if method == lie.method {
					told = true
					lie.alter(resp)
				}
			}
			c := dial(t, d, proxy(t, d, id, address, alter), id)
			if r, err := c.Cells(t.Context(), sdk.Job{Product: "counts", Purpose: vocabulary.Industry}, bySector); r != nil || !errors.Is(err, sdk.ErrUntrusted) {
				t.Errorf("got %v, %v, want ErrUntrusted", r, err)
			}
			if !told {
				t.Error("the lie was not told")
			}
		})
	}
	c := dial(t, d, address, id)
	r, err := c.Cells(t.Context(), sdk.Job{Product: "counts", Purpose: vocabulary.Industry}, bySector)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.View.Columns[0].Values, []int64{100, 100, 100}) || r.Entry.TheCall().Price.Amount != "5.00" {
		t.Errorf("%v for %s", r.View.Columns[0].Values, r.Entry.TheCall().Price.Amount)
	}
	calls := 0
	for _, err := range d.Entries(t.Context(), state.Filter{Kinds: []ledger.Kind{ledger.KindCall}}) {
		if err != nil {
			t.Fatal(err)
		}
		calls++
	}
	if calls != 1 {
		t.Errorf("%d calls are logged, want the one that every try was of", calls)
	}
}

// An aggregate is told apart from a verify product, by either call.
func TestCellsOfAVerifyProduct(t *testing.T) {
	d, id := countsDomain(t)
	d.MustReview("sector")
	d.MustPublish("sector", false)
	c := dial(t, d, d.Serve(), id)
	if _, err := c.Cells(t.Context(), sdk.Job{Product: "sector", Purpose: vocabulary.Industry}, bySector); err == nil || errors.Is(err, sdk.ErrUntrusted) {
		t.Errorf("cells of a verify product: %v", err)
	}
	if err := c.CheckSubjects(t.Context(), "counts", accounts(1)); err == nil || errors.Is(err, sdk.ErrUntrusted) {
		t.Errorf("subjects of an aggregate: %v", err)
	}
	if _, err := c.Verify(t.Context(), "counts", vocabulary.Industry, accounts(1)); err == nil || !strings.Contains(err.Error(), "not verify") {
		t.Errorf("subjects of an aggregate: %v", err)
	}
	for _, m := range c.Traffic() {
		if m.Method == "Cells" || m.Method == "Evaluate" {
			t.Errorf("%s was called", m.Method)
		}
	}
}
