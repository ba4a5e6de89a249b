package enclave_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// shops are the manifests of an aggregate product that Northern may use: all of
// it for public welfare, three districts' names at ten cells a day for industry.
const shops = `kind: Resource
id: shops
title: {en: Shops}
registration: R-7
provider: Test department
sourceOfTruth: Licence register
category: market-regulation
grade: general
personalInformation: false
subject: account
updateCycle: monthly
legalBasis: {en: Test ordinance}
columns:
  - {name: account, type: string, role: key, required: true, title: {en: Account}}
  - {name: district, type: string, role: dimension, required: true, title: {en: District}}
  - {name: trade, type: string, role: dimension, required: true, title: {en: Trade}}
  - {name: turnover, type: integer, role: measure, required: true, title: {en: Turnover}}
---
kind: Product
id: shop-table
title: {en: Shops by district and trade}
type: aggregate
registration: P-7
resource: shops
scenario: business-verification
legalBasis:
  industry: {en: Contract}
  public-welfare: {en: Relief}
aggregate:
  dimensions:
    - {name: district, column: district, learn: 5}
    - {name: trade, column: trade, codes: [food, fuel]}
  margins:
    - {by: [district]}
    - {by: []}
  measures:
    - {name: shops, is: count}
    - {name: turnover, is: sum, column: turnover, low: "0", high: "100000", decimals: 1}
  disclosure: {minSubjects: 3}
  answers: [cells]
  maxCells: 6
release:
  columns: [district, trade, turnover]
assessment:
  digest: sha256:0f4e8b6a2c9d7153e8a6b4c2d0f1e3957a8b6c4d2e0f19385746a5b4c3d2e1f0
  expires: 2035-12-31
---
kind: Ceiling
id: shop-ceiling
title: {en: Ceiling}
product: shop-table
basis: per-volume
amount: "0.0500"
from: 2026-01-01
document: sha256:9a8b7c6d5e4f30211203f4e5d6c7b8a90a1b2c3d4e5f60718293a4b5c6d7e8f9
---
kind: Tariff
id: shop-tariff
title: {en: Tariff}
product: shop-table
basis: per-volume
price: "0.0300"
trial: false
from: 2026-01-01
`

const shopGrants = `kind: Grant
id: shops-industry
title: {en: Industry}
enterprise: 91330100MA2AXK7T8P
products: [shop-table]
purposes: [industry]
from: 2026-01-01
until: 2035-12-31
quotas: [{unit: cells, per: day, limit: 10}]
contract: sha256:c0ffee5f6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f
cells:
  - {product: shop-table, dimension: district, codes: [North, West, Atlantis]}
---
kind: Grant
id: shops-welfare
title: {en: Relief}
enterprise: 91330100MA2AXK7T8P
products: [shop-table]
purposes: [public-welfare]
basis: {en: Relief programme}
conditions: {en: Applicants only}
evidence: sha256:1e0d3c2b5a49687786958473625140f3e2d1c0bfaeadacabaaa9a8a7a6a5a4a3
from: 2026-01-01
until: 2035-12-31
quotas: [{unit: cells, per: month, limit: 500}]
contract: sha256:c0ffee5f6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f
`

// shopCells is a publication: South sells too little fuel to say.
func shopCells(epoch int) (*cells.Descriptor, *cells.Table) {
	d := &cells.Descriptor{
		V: cells.DescriptorVersion, Product: "shop-table", Epoch: epoch, Version: 1, Regime: cells.RegimeDisclosure, Cells: 10,
		Axes: []cells.Axis{
			{Name: "district", Column: "district", Codes: []string{"North", "South", "West"}},
			{Name: "trade", Column: "trade", Codes: []string{"food", "fuel"}},
		},
		Groups: []cells.Group{
			{By: []string{"district", "trade"}, Measures: []int{0, 1}}, {By: []string{"district"}, Measures: []int{0, 1}}, {By: []string{}, Measures: []int{0, 1}},
		},
		Measures: []cells.Measure{{Name: "shops", Is: cells.IsCount, Round: 1}, {Name: "turnover", Is: cells.IsSum, Column: "turnover", Decimals: 1, Round: 1}},
	}
	r, s := cells.Released, cells.Suppressed
	return d, &cells.Table{Groups: []cells.Cells{
		{Status: []cells.Status{r, s, r, s, r, r}, Values: [][]int64{{12, 0, 7, 0, 4, 5}, {340, 0, 215, 0, 99, int64(100 + epoch)}}},
		{Status: []cells.Status{s, s, r}, Values: [][]int64{{0, 0, 9}, {0, 0, int64(199 + epoch)}}},
		{Status: []cells.Status{r}, Values: [][]int64{{33}, {1234}}},
	}}
}

// shopping is a served domain with a publication, and an enterprise's client.
type shopping struct {
	*enclavetest.Domain
	address string
	c       *sdk.Client
}

func newShopping(t *testing.T) *shopping { return shoppingOf(t, shops) }

func shoppingOf(t *testing.T, manifests string) *shopping {
	t.Helper()
	d := enclavetest.New(t)
	d.MustApply(enclavetest.Manifests)
	d.MustApply(manifests)
	d.MustImport("shops", "account,district,trade,turnover\nA1,North,food,17\n")
	d.MustReview("shop-table")
	s := &shopping{Domain: d}
	s.publish(t, 1)
	id := d.Identity(shopGrants)
	s.address = d.Serve()
	var err error
	if s.c, err = sdk.Dial(s.address, id, sdk.WithClock(d.Clock.Now)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.c.Close() })
	return s
}

func (s *shopping) publish(t *testing.T, epoch int) {
	t.Helper()
	d, table := shopCells(epoch)
	if err := s.PublishTable(t.Context(), d, table); err != nil {
		t.Fatal(err)
	}
}

func (s *shopping) entries(t *testing.T, kinds ...ledger.Kind) (out []*ledger.Entry) {
	t.Helper()
	for e, err := range s.Entries(t.Context(), state.Filter{Kinds: kinds}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

var (
	northAndWest = cells.Query{By: []string{"district", "trade"}, Where: map[string][]string{"district": {"West", "North"}}}
	industry     = sdk.Job{Product: "shop-table", Purpose: vocabulary.Industry, CostCentre: "books-1"}
	welfare      = sdk.Job{Product: "shop-table", Purpose: vocabulary.PublicWelfare}
)

// wantRefused checks that the gateway refused.
func wantRefused(t *testing.T, err error, reason ledger.Reason, rule string) {
	t.Helper()
	var e *sdk.Error
	if !errors.As(err, &e) || e.Reason != reason || e.Rule != rule {
		t.Errorf("got %v, want %s by %s", err, reason, rule)
	}
}

// TestCells: what is entitled to is delivered, priced by the cell, and held to
// receipt, log and query.
func TestCells(t *testing.T) {
	s := newShopping(t)
	r, err := s.c.Cells(t.Context(), industry, northAndWest)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.View; got.Rows() != 4 || !slices.Equal(got.Columns[0].Values, []int64{12, 0, 4, 5}) || !slices.Equal(got.Columns[1].Values, []int64{340, 0, 99, 101}) ||
		!slices.Equal(got.Status, []cells.Status{cells.Released, cells.Suppressed, cells.Released, cells.Released}) {
		t.Errorf("view %+v", got)
	}
	call := r.Entry.Call
	if call == nil || call.Price.Amount != "0.12" || call.Usage.Units != 4 || call.Header.CostCentre != "books-1" || call.Usage.CPUNs <= 0 {
		t.Errorf("price %+v and usage %+v, want 4 × 0.03 = 0.12", call.Price, call.Usage)
	}
	published, err := s.c.Publication(t.Context(), "shop-table")
	if err != nil {
		t.Fatal(err)
	}
	if canonical, err := published.Encode(); err != nil || call.Descriptor != ledger.Digest(canonical) {
		t.Errorf("the receipt names another publication, %v", err)
	}
	// For welfare everything, for free: margins, the total, pages.
	for _, test := range []struct {
		q    cells.Query
		want []int64
	}{
		{cells.Query{By: []string{"district"}, Measures: []string{"shops"}}, []int64{0, 0, 9}},
		{cells.Query{}, []int64{33}},
		{cells.Query{By: []string{"trade", "district"}, First: 4, Count: 2}, []int64{4, 5}},
	} {
		r, err := s.c.Cells(t.Context(), welfare, test.q)
		if err != nil {
			t.Fatalf("%+v: %v", test.q, err)
		}
		if !slices.Equal(r.View.Columns[0].Values, test.want) || r.Entry.Exemption == nil {
			t.Errorf("%+v: %v, want %v as an exemption", test.q, r.View.Columns[0].Values, test.want)
		}
	}
	if kept, err := s.c.Receipts(); err != nil || len(kept) != 4 {
		t.Errorf("%d receipts are kept, %v", len(kept), err)
	}
	auditClean(t, s.Domain)
}

// TestCellsAreRefused: what is not published costs nothing and is not sent; what a
// grant is not for is a denied entry, and so is what its quota does not hold.
func TestCellsAreRefused(t *testing.T) {
	s := newShopping(t)
	var query *cells.QueryError
	if _, err := s.c.Cells(t.Context(), industry, cells.Query{By: []string{"trade"}}); !errors.As(err, &query) || query.Problem != cells.NotPublished {
		t.Errorf("an unpublished grouping: %v", err)
	}
	all := cells.Query{By: []string{"district", "trade"}}
	_, err := s.c.Cells(t.Context(), industry, all)
	wantRefused(t, err, ledger.ReasonNotEntitled, "yingbi/entitlement")
	_, err = s.c.Cells(t.Context(), industry, cells.Query{}) // the total has South in it
	wantRefused(t, err, ledger.ReasonNotEntitled, "yingbi/entitlement")
	if denied := s.entries(t, ledger.KindDenied); len(denied) != 2 || denied[0].Denied.Reason != ledger.ReasonNotEntitled || denied[0].Denied.Header == nil {
		t.Errorf("denied entries %v", denied)
	}
	for range 2 {
		if _, err := s.c.Cells(t.Context(), industry, northAndWest); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.c.Cells(t.Context(), industry, northAndWest)
	var e *sdk.Error
	if !errors.As(err, &e) || e.Reason != ledger.ReasonQuotaExhausted || e.Metadata["used"] != "8" {
		t.Errorf("a third of four of ten a day: %v", err)
	}
	// The quote says the same, without an entry.
	if q, err := s.c.Quote(t.Context(), "shop-table", vocabulary.Industry, "", 4); err != nil || q.GetAdmitted() || q.GetReason() != string(ledger.ReasonQuotaExhausted) {
		t.Errorf("quote %v, %v", q, err)
	}
	if n := len(s.entries(t, ledger.KindDenied)); n != 3 {
		t.Errorf("%d denied entries, want 3", n)
	}
	auditClean(t, s.Domain)
}

// TestCellsAgain: a job that was not delivered is answered again for free, with
// the same bytes, kept or not; once delivered, asking is a new job. A publication
// that is served no more is asked anew.
func TestCellsAgain(t *testing.T) {
	s := newShopping(t)
	lost := errors.New("the disk was full")
	job := industry
	job.Deliver = func(*sdk.CellsResult) error { return lost }
	first, err := s.c.Cells(t.Context(), job, northAndWest)
	if !errors.Is(err, lost) || first == nil {
		t.Fatalf("got %v", err)
	}
	for _, later := range []time.Duration{0, 8 * 24 * time.Hour} { // the second time the answer is not kept
		s.Clock.Advance(later)
		again, err := s.c.Cells(t.Context(), job, northAndWest)
		if !errors.Is(err, lost) || again.Entry.Seq != first.Entry.Seq || !slices.Equal(again.View.Columns[1].Values, first.View.Columns[1].Values) {
			t.Errorf("after %v: %v, entry %v", later, err, again)
		}
	}
	if n := len(s.entries(t, ledger.KindCall)); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	// In its grace the old publication is what was paid for; after it a new job is made.
	s.publish(t, 2)
	if again, err := s.c.Cells(t.Context(), job, northAndWest); !errors.Is(err, lost) || again.Descriptor.Epoch != 1 {
		t.Errorf("in the grace: %v", err)
	}
	s.Clock.Advance(8 * 24 * time.Hour)
	anew, err := s.c.Cells(t.Context(), industry, northAndWest)
	if err != nil || anew.Descriptor.Epoch != 2 || anew.View.Columns[1].Values[3] != 102 || anew.Entry.TheCall().Price.Amount != "0.12" {
		t.Errorf("after the grace: %+v, %v", anew, err)
	}
	if next, err := s.c.Cells(t.Context(), industry, northAndWest); err != nil || next.Entry.Seq == anew.Entry.Seq {
		t.Errorf("the same again, after it was delivered: %v", err)
	}
	auditClean(t, s.Domain)
}

// TestCellsStop: a product that is stopped answers nobody, those who paid neither,
// until it is resumed.
// A product that was reviewed for weights alone hands out no cell.
func TestCellsAreAnsweredAsReviewed(t *testing.T) {
	weighed := strings.NewReplacer("answers: [cells]", "answers: [weights]", "{name: shops, is: count}", "{name: shops, is: count, scale: 1}").Replace(shops)
	s := shoppingOf(t, weighed)
	_, err := s.c.Cells(t.Context(), industry, northAndWest)
	wantRefused(t, err, ledger.ReasonBadRequest, "request")
	if n := len(s.entries(t, ledger.KindCall, ledger.KindExemption)); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestCellsStop(t *testing.T) {
	s := newShopping(t)
	job := industry
	job.Deliver = func(*sdk.CellsResult) error { return io.ErrShortWrite }
	if _, err := s.c.Cells(t.Context(), job, northAndWest); !errors.Is(err, io.ErrShortWrite) {
		t.Fatal(err)
	}
	if _, err := s.Suspend(t.Context(), "shop-table", ledger.ReasonRiskFound); err != nil {
		t.Fatal(err)
	}
	for _, q := range []cells.Query{northAndWest, {By: []string{"district"}, Where: map[string][]string{"district": {"West"}}}} {
		if _, err := s.c.Cells(t.Context(), industry, q); err == nil {
			t.Errorf("%v is answered", q)
		}
	}
	if _, err := s.Resume(t.Context(), "shop-table", ledger.ReasonRemedied); err != nil {
		t.Fatal(err)
	}
	if r, err := s.c.Cells(t.Context(), industry, northAndWest); err != nil || len(s.entries(t, ledger.KindCall)) != 1 {
		t.Errorf("after resume: %v, %v", r, err)
	}
}

// TestMalformedCells: what is no job makes no entry; what is another's work does
// not meet it.
func TestMalformedCells(t *testing.T) {
	s := newShopping(t)
	e := s.Enterprise(enclavetest.Southern)
	s.MustApply(strings.ReplaceAll(strings.ReplaceAll(shopGrants, enclavetest.Northern, e.Code), "id: shops-", "id: southern-"))
	c := s.Dial(s.address, e)
	query := func(text string) []byte { return []byte(text) }
	request := func(q []byte, change func(*ledger.Header)) *pb.CellsRequest {
		h := s.Header(e.Code, "shop-table", "public-welfare", 1, 1)
		h.Kind, h.Payloads = "aggregate", []string{ledger.Digest(q)}
		if change != nil {
			change(&h)
		}
		signed, err := h.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return &pb.CellsRequest{Header: signed, Signature: ledger.Sign(e.Signing, ledger.ContextRequest, signed), Query: q}
	}
	total := query(`{"by":[]}`)
	for name, test := range map[string]struct {
		req    *pb.CellsRequest
		reason ledger.Reason
	}{
		"no query":                      {request(nil, nil), ledger.ReasonBadRequest},
		"a query that is not canonical": {request(query(`{"by": []}`), nil), ledger.ReasonBadRequest},
		"an unknown field":              {request(query(`{"by":[],"limit":1}`), nil), ledger.ReasonBadRequest},
		"an unpublished grouping":       {request(query(`{"by":["trade"]}`), nil), ledger.ReasonBadRequest},
		"a page beyond the end":         {request(query(`{"by":[],"first":1}`), nil), ledger.ReasonBadRequest},
		"fewer units than cells":        {request(query(`{"by":["district"]}`), nil), ledger.ReasonBadRequest},
		"more units than cells":         {request(total, func(h *ledger.Header) { h.Units = 2 }), ledger.ReasonBadRequest},
		"another query's digest":        {request(total, func(h *ledger.Header) { h.Payloads[0] = ledger.Digest(nil) }), ledger.ReasonBadRequest},
		"two payloads":                  {request(total, func(h *ledger.Header) { h.Payloads = append(h.Payloads, h.Payloads[0]) }), ledger.ReasonBadRequest},
		"a renewal":                     {request(total, func(h *ledger.Header) { h.Renews = "0b7b3b3e-5f0e-4d0e-9d3c-2b1f4a5c6d7e" }), ledger.ReasonBadRequest},
		"a verify job":                  {request(total, func(h *ledger.Header) { h.Kind = "verify" }), ledger.ReasonBadRequest},
	} {
		_, _, err := receiveCells(t.Context(), c, test.req)
		if got := reasonOf(err); got != test.reason {
			t.Errorf("%s: %s (%v), want %s", name, got, err, test.reason)
		}
	}
	if denied := s.entries(t, ledger.KindDenied, ledger.KindCall, ledger.KindExemption); len(denied) != 0 {
		t.Errorf("%d entries of what is no job", len(denied))
	}
	_, _, err := receiveCells(t.Context(), c, request(total, func(h *ledger.Header) { h.Product = "sector" }))
	if got := reasonOf(err); got == "" {
		t.Error("cells of a verify product")
	}
	_, _, err = receiveCells(t.Context(), c, request(total, func(h *ledger.Header) { h.Epoch = 2 }))
	if got := reasonOf(err); got != ledger.ReasonEpochEnded {
		t.Errorf("an epoch that is not there: %v", err)
	}
	// The same job again: the same bytes. Under its id another query is refused, and
	// no lookup is made for it.
	good := request(total, nil)
	head, answer, err := receiveCells(t.Context(), c, good)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := ledger.Decode(head.GetReceipt().GetEntry())
	if err != nil || entry.TheCall().Answer != ledger.Digest(answer) || entry.TheCall().Usage.BytesOut != int64(len(answer)) {
		t.Errorf("%v: entry %+v", err, entry)
	}
	if _, again, err := receiveCells(t.Context(), c, good); err != nil || !bytes.Equal(again, answer) {
		t.Errorf("again: %v, or other bytes", err)
	}
	job := entry.TheCall().Header.Job
	_, _, err = receiveCells(t.Context(), c, request(query(`{"by":["district"]}`), func(h *ledger.Header) { h.Job, h.Units = job, 3 }))
	if got := reasonOf(err); got != ledger.ReasonJobReused {
		t.Errorf("another query under the id: %v", err)
	}
	_, err = c.Lookup(t.Context(), &pb.LookupRequest{Job: job, Queries: [][]byte{{1}}})
	if got := reasonOf(err); got != ledger.ReasonBadRequest {
		t.Errorf("a lookup of a job for cells: %v", err)
	}
	auditClean(t, s.Domain)
}

// receiveCells takes all of an answer.
func receiveCells(ctx context.Context, c *enclavetest.Client, req *pb.CellsRequest) (head *pb.CellsChunk, answer []byte, err error) {
	stream, err := c.Cells(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	if head, err = stream.Recv(); err != nil {
		return nil, nil, err
	}
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return head, answer, nil
		}
		if err != nil {
			return nil, nil, err
		}
		answer = append(answer, chunk.GetData()...)
	}
}
