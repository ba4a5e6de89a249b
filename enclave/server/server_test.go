package server_test

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// subjects are accounts from-th to to-th, absent ones beyond the data.
func subjects(from, to int, claims func(i int) []string) [][]string {
	var out [][]string
	for i := from; i < to; i++ {
		s := []string{enclavetest.Account(i)}
		if claims != nil {
			s = append(s, claims(i)...)
		}
		out = append(out, s)
	}
	return out
}

// reasonOf is the ErrorInfo of a refusal.
func reasonOf(t *testing.T, err error) *errdetails.ErrorInfo {
	t.Helper()
	st, ok := status.FromError(err)
	if !ok || st.Code() == codes.OK {
		t.Fatalf("no status: %v", err)
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			if info.Domain != "yingbi" {
				t.Errorf("domain %q", info.Domain)
			}
			return info
		}
	}
	t.Fatalf("no ErrorInfo in %v", err)
	return nil
}

// wantRefusal checks that an error is the refusal.
func wantRefusal(t *testing.T, err error, reason ledger.Reason) *errdetails.ErrorInfo {
	t.Helper()
	if err == nil {
		t.Fatalf("admitted, want %s", reason)
	}
	info := reasonOf(t, err)
	if info.Reason != string(reason) {
		t.Fatalf("refused with %s (%v), want %s", info.Reason, info.Metadata, reason)
	}
	return info
}

// fixture is a served domain that tests share, each as an enterprise of its own.
type fixture struct {
	d       *enclavetest.Domain
	address string
	e       *enclavetest.Enterprise
	codes   int
}

// enterprise makes another enterprise.
func (f *fixture) enterprise(granted bool) *enclavetest.Enterprise {
	f.codes++
	e := f.d.Enterprise(enclavetest.Code(f.codes))
	if granted {
		f.d.MustApply(enclavetest.Grants(e.Code))
	}
	return e
}

// wantCleanAudit exports the log and audits it with public keys alone.
func wantCleanAudit(t *testing.T, d *enclavetest.Domain) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := d.ExportLog(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	source, err := audit.OpenExport(path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := ledger.ParseVKey(d.VKey())
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Audit(t.Context(), source, audit.Keys{
		Log: log, Authoriser: d.Authoriser.Public().(ed25519.PublicKey), Authority: d.Authority.Public().(ed25519.PublicKey),
	}, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range report.Findings {
		t.Errorf("finding %+v", finding)
	}
	t.Logf("audited %d entries", report.Entries)
}

// TestServing runs what needs a published domain and leaves it as it is.
func TestServing(t *testing.T) {
	d, _ := enclavetest.Published(t)
	address := d.Serve()
	f := &fixture{address: address}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"a label product", aLabelProduct},
		{"an equals product", anEqualsProduct},
		{"a free purpose is an exemption", aFreePurposeIsAnExemption},
		{"a retry gives the same bytes for free", aRetryGivesTheSameBytesForFree},
		{"a lookup again gives the same bytes", aLookupAgainGivesTheSameBytes},
		{"refusals name their rule", refusalsNameTheirRule},
		{"a revoked grant stops the next job", aRevokedGrantStopsTheNextJob},
		{"a suspended product answers nobody", aSuspendedProductAnswersNobody},
		{"products and quotes", productsAndQuotes},
		{"who speaks for whom", whoSpeaksForWhom},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.d = d.With(t)
			f.e = f.enterprise(true)
			test.run(t, f)
		})
	}
	wantCleanAudit(t, d)
}

// aLabelProduct: what is present is found with its sector, what is absent
// is not, and the receipt says the exact price.
func aLabelProduct(t *testing.T, f *fixture) {
	d, e := f.d, f.e
	c := d.Dial(f.address, e)
	const from, to = enclavetest.Records - 6, enclavetest.Records + 6
	j, answers, err := c.Verify("sector", "industry", subjects(from, to, nil))
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		present := from+i < enclavetest.Records
		if a.Found != present || present && a.Label[0] != enclavetest.Sector(from+i) {
			t.Errorf("%s: %+v", enclavetest.Account(from+i), a)
		}
	}
	call := j.Entry.Call
	if call == nil || call.Price.Amount != "2.16" || call.Price.Units != 12 || call.Price.Tariff != "sector-tariff" {
		t.Errorf("price %+v, want 12 × 0.18 = 2.16 by sector-tariff", call)
	}
	if call.Usage.CPUNs <= 0 || call.Usage.BytesIn < 12*32 || call.Usage.BytesOut != 12*32+64 {
		t.Errorf("usage %+v", call.Usage)
	}
}

// anEqualsProduct: the claim has to be the one on record, however it is
// written.
func anEqualsProduct(t *testing.T, f *fixture) {
	d, e := f.d, f.e
	c := d.Dial(f.address, e)
	_, answers, err := c.Verify("holder", "industry", [][]string{
		{enclavetest.Account(7), enclavetest.Name(7)},
		{enclavetest.Account(7), " company　７ "},
		{enclavetest.Account(7), enclavetest.Name(8)},
		{enclavetest.Account(9999), enclavetest.Name(7)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false, false} {
		if answers[i].Found != want {
			t.Errorf("subject %d: found %t, want %t", i, answers[i].Found, want)
		}
	}
}

// TestASandbox: free, without a grant, from the first day.
func TestASandbox(t *testing.T) {
	d, _ := enclavetest.Published(t)
	d.MustImport("made-up", enclavetest.Licences(1000, 50))
	d.MustReview("sandbox")
	d.MustPublish("sandbox", false)
	stranger := d.Enterprise(enclavetest.Southern)
	c := d.Dial(d.Serve(), stranger)
	j, answers, err := c.Verify("sandbox", "industry", subjects(999, 1002, nil))
	if err != nil {
		t.Fatal(err)
	}
	if answers[0].Found || !answers[1].Found || !answers[2].Found {
		t.Errorf("answers %+v", answers)
	}
	if x := j.Entry.Exemption; x == nil || x.Ground != "sandbox" || x.Price.Amount != "0.00" {
		t.Errorf("entry %+v, want an exemption of the sandbox", j.Entry)
	}
}

// aFreePurposeIsAnExemption names grant and evidence.
func aFreePurposeIsAnExemption(t *testing.T, f *fixture) {
	d, e := f.d, f.e
	c := d.Dial(f.address, e)
	j := c.Prepare("sector", "public-welfare", 0, subjects(0, 3, nil))
	c.MustSend(j)
	x := j.Entry.Exemption
	if x == nil || x.Ground != "purpose" || x.Price.Amount != "0.00" || x.Evidence == "" || x.Until != "2035-12-31" {
		t.Errorf("entry %+v, want an exemption by purpose with its evidence", j.Entry)
	}
}

// aRetryGivesTheSameBytesForFree: the same id with the same header, again,
// and again when the kept answer has gone; another header under it is refused.
func aRetryGivesTheSameBytesForFree(t *testing.T, f *fixture) {
	d, e := f.d, f.e
	c := d.Dial(f.address, e)
	j := c.Prepare("sector", "industry", 0, subjects(0, 10, nil))
	c.MustSend(j)
	first, seq := j.Response, j.Entry.Seq
	for _, later := range []time.Duration{0, 8 * 24 * time.Hour} {
		d.Clock.Advance(later)
		c.MustSend(j)
		if !bytes.Equal(j.Response.GetEvaluated(), first.GetEvaluated()) || !bytes.Equal(j.Response.GetProof(), first.GetProof()) {
			t.Errorf("after %v: other bytes", later)
		}
		if j.Entry.Seq != seq {
			t.Errorf("after %v: entry %d, want %d again", later, j.Entry.Seq, seq)
		}
	}
	other := c.Prepare("sector", "industry", 0, subjects(10, 20, nil))
	other.Header.Job = j.Header.Job
	other.Request = enclavetest.Sign(t, e.Signing, other.Header, other.Request.GetBlinded())
	wantRefusal(t, c.Send(other), ledger.ReasonJobReused)
}

// aLookupAgainGivesTheSameBytes and another query under its index does not.
func aLookupAgainGivesTheSameBytes(t *testing.T, f *fixture) {
	d, e := f.d, f.e
	c := d.Dial(f.address, e)
	j := c.Prepare("sector", "industry", 0, subjects(0, 2, nil))
	c.MustSend(j)
	query := make([]byte, j.Descriptor.Lattice.QueryBytes)
	ask := func(first uint32, queries ...[]byte) (*pb.LookupResponse, error) {
		return c.Lookup(t.Context(), &pb.LookupRequest{Job: j.Header.Job, Version: 1, First: first, Queries: queries})
	}
	one, err := ask(0, query)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ask(0, query)
	if err != nil || !bytes.Equal(one.GetAnswers()[0], again.GetAnswers()[0]) {
		t.Errorf("the same query again: %v, or other bytes", err)
	}
	other := bytes.Clone(query)
	other[0] = 1
	_, err = ask(0, other)
	wantRefusal(t, err, ledger.ReasonLookupsExhausted)
	// Two subjects and a padding of four are six lookups.
	if _, err = ask(1, query, query, query, query, query); err != nil {
		t.Errorf("lookups 1 to 5: %v", err)
	}
	_, err = ask(6, query)
	wantRefusal(t, err, ledger.ReasonLookupsExhausted)
	_, err = ask(5, query[:10])
	wantRefusal(t, err, ledger.ReasonBadRequest)
}

// refusalsNameTheirRule, are logged, and cost nothing.
func refusalsNameTheirRule(t *testing.T, f *fixture) {
	d, e := f.d, f.e
	c := d.Dial(f.address, e)

	err := c.Send(c.Prepare("sector", "public-governance", 0, subjects(0, 1, nil)))
	info := wantRefusal(t, err, ledger.ReasonPurposeNoBasis)
	if info.Metadata["rule"] != "yingbi/purpose" {
		t.Errorf("rule %q", info.Metadata["rule"])
	}
	c.MustSend(c.Prepare("sector", "industry", 0, subjects(0, 30, nil)))
	info = wantRefusal(t, c.Send(c.Prepare("sector", "industry", 0, subjects(0, 30, nil))), ledger.ReasonQuotaExhausted)
	if info.Metadata["limit"] != "40" || info.Metadata["used"] != "30" {
		t.Errorf("metadata %v, want 30 of 40 used", info.Metadata)
	}
	c.MustSend(c.Prepare("sector", "industry", 0, subjects(0, 10, nil)))
	d.Clock.Advance(24 * time.Hour)
	c.MustSend(c.Prepare("sector", "industry", 0, subjects(0, 30, nil)))

	denied := 0
	for entry, err := range d.Entries(t.Context(), state.Filter{Kinds: []ledger.Kind{ledger.KindDenied}, Enterprise: e.Code}) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Denied.Header == nil || entry.Denied.Decision == nil || entry.Denied.Decision.Allow {
			t.Errorf("denied entry %+v", entry.Denied)
		}
		denied++
	}
	if denied != 2 {
		t.Errorf("%d denied entries, want 2", denied)
	}
}

// aRevokedGrantStopsTheNextJob and leaves what was paid for.
func aRevokedGrantStopsTheNextJob(t *testing.T, f *fixture) {
	d, e := f.d, f.e
	c := d.Dial(f.address, e)
	j := c.Prepare("sector", "industry", 0, subjects(0, 3, nil))
	c.MustSend(j)
	if _, err := d.Revoke(t.Context(), "industry-"+strings.ToLower(e.Code), ledger.ReasonBreachOfContract); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.Send(c.Prepare("sector", "industry", 0, subjects(0, 3, nil))), ledger.ReasonGrantRevoked)
	if _, err := c.LookUp(j); err != nil {
		t.Errorf("lookups of a settled job: %v", err)
	}
	c.MustSend(j)
}

// aSuspendedProductAnswersNobody until it is resumed.
func aSuspendedProductAnswersNobody(t *testing.T, f *fixture) {
	d, e := f.d, f.e
	c := d.Dial(f.address, e)
	j := c.Prepare("sector", "industry", 0, subjects(0, 3, nil))
	c.MustSend(j)
	if _, err := d.Suspend(t.Context(), "sector", ledger.ReasonRiskFound); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, c.Send(c.Prepare("sector", "industry", 0, subjects(0, 3, nil))), ledger.ReasonSuspended)
	_, err := c.LookUp(j)
	wantRefusal(t, err, ledger.ReasonSuspended)
	if _, err := d.Resume(t.Context(), "sector", ledger.ReasonRemedied); err != nil {
		t.Fatal(err)
	}
	if _, err := c.LookUp(j); err != nil {
		t.Errorf("after resume: %v", err)
	}
}

// TestVersionsAndEpochs: a job's evaluations are good for every version of its
// epoch; a new epoch has a new key, and the old one is served for its grace.
func TestVersionsAndEpochs(t *testing.T) {
	d, e := enclavetest.Published(t)
	c := d.Dial(d.Serve(), e)
	absent := subjects(enclavetest.Records, enclavetest.Records+2, nil)
	j := c.Prepare("sector", "industry", 0, absent)
	c.MustSend(j)

	d.MustImport("licences", enclavetest.Licences(0, enclavetest.Records+10))
	d.MustPublish("sector", false)
	old, err := c.LookUp(j) // of version 1, which is served on for its grace
	if err != nil || old[0].Found {
		t.Errorf("version 1: %+v, %v, want not found", old, err)
	}
	k := c.Prepare("sector", "industry", 0, absent)
	if k.Descriptor.Version != 2 || k.Descriptor.Epoch != 1 || k.Descriptor.OPRF != j.Descriptor.OPRF {
		t.Fatalf("epoch %d version %d", k.Descriptor.Epoch, k.Descriptor.Version)
	}
	c.MustSend(k)
	found, err := c.LookUp(k)
	if err != nil || !found[0].Found {
		t.Errorf("version 2: %+v, %v, want found", found, err)
	}

	d.MustPublish("sector", true)
	m := c.Prepare("sector", "industry", 0, absent)
	if m.Descriptor.Epoch != 2 || m.Descriptor.Version != 1 || m.Descriptor.OPRF == k.Descriptor.OPRF {
		t.Fatalf("epoch %d version %d, want a new epoch with a new key", m.Descriptor.Epoch, m.Descriptor.Version)
	}
	c.MustSend(m)
	if found, err = c.LookUp(m); err != nil || !found[0].Found {
		t.Errorf("epoch 2: %+v, %v, want found", found, err)
	}
	if found, err = c.LookUp(k); err != nil || !found[0].Found {
		t.Errorf("epoch 1 within its grace: %+v, %v", found, err)
	}
	n := c.Prepare("sector", "industry", 1, absent)
	c.MustSend(n)

	d.Clock.Advance(8 * 24 * time.Hour)
	_, err = c.LookUp(k)
	wantRefusal(t, err, ledger.ReasonEpochEnded)
	info := wantRefusal(t, c.Send(c.Prepare("sector", "industry", 1, absent)), ledger.ReasonEpochEnded)
	if info.Metadata["epoch"] != "2" {
		t.Errorf("metadata %v, want the live epoch", info.Metadata)
	}
	// One renewal is free, and one only.
	r := c.Prepare("sector", "industry", 0, absent)
	r.Header.Renews = k.Header.Job
	r.Request = enclavetest.Sign(t, e.Signing, r.Header, r.Request.GetBlinded())
	c.MustSend(r)
	if x := r.Entry.Exemption; x == nil || x.Ground != "renewal" {
		t.Errorf("entry %+v, want a renewal", r.Entry)
	}
	twice := c.Prepare("sector", "industry", 0, absent)
	twice.Header.Renews = k.Header.Job
	twice.Request = enclavetest.Sign(t, e.Signing, twice.Header, twice.Request.GetBlinded())
	wantRefusal(t, c.Send(twice), ledger.ReasonBadRequest)
	wantCleanAudit(t, d)
}

// productsAndQuotes tell beforehand what a job would be.
func productsAndQuotes(t *testing.T, f *fixture) {
	d, e, address := f.d, f.e, f.address
	c := d.Dial(address, e)
	c.MustSend(c.Prepare("sector", "industry", 0, subjects(0, 7, nil)))
	list, err := c.Products(t.Context(), &pb.ProductsRequest{Mine: true})
	if err != nil || len(list.GetProducts()) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	p := list.GetProducts()[1]
	if p.GetId() != "sector" || p.GetRecords() != enclavetest.Records || p.GetPrices()[0].GetUnitPrice() != "0.18" || len(p.GetGrants()) != 2 {
		t.Errorf("product %v", p)
	}
	if q := p.GetGrants()[0].GetQuotas()[0]; q.GetUsed() != 7 || q.GetLimit() != 40 {
		t.Errorf("quota %v, want 7 of 40 used", q)
	}
	quote, err := c.Quote(t.Context(), &pb.QuoteRequest{Product: "holder", Purpose: "industry", Units: 25})
	if err != nil || !quote.GetAdmitted() || quote.GetAmount() != "3.8425" || quote.GetCharge() != "3.84" || quote.GetJobs() != 1 {
		t.Errorf("quote %v, %v", quote, err)
	}
	quote, err = c.Quote(t.Context(), &pb.QuoteRequest{Product: "sector", Purpose: "industry", Units: 34})
	if err != nil || quote.GetAdmitted() || quote.GetReason() != string(ledger.ReasonQuotaExhausted) || quote.GetAmount() != "6.12" {
		t.Errorf("over the quota: %v, %v", quote, err)
	}
	other := d.Dial(address, f.enterprise(false))
	if list, err = other.Products(t.Context(), &pb.ProductsRequest{Mine: true}); err != nil || len(list.GetProducts()) != 0 {
		t.Errorf("without grants: %v, %v", list, err)
	}
	quote, err = other.Quote(t.Context(), &pb.QuoteRequest{Product: "sector", Purpose: "industry", Units: 1})
	if err != nil || quote.GetAdmitted() || quote.GetReason() != string(ledger.ReasonNoGrant) {
		t.Errorf("without grants: %v, %v", quote, err)
	}
	_, err = other.Lookup(t.Context(), &pb.LookupRequest{Job: "00000000-0000-4000-8000-000000000000", Queries: [][]byte{{1}}})
	wantRefusal(t, err, ledger.ReasonUnknownJob)
}

// whoSpeaksForWhom: a header is its enterprise's own, signed by its key.
func whoSpeaksForWhom(t *testing.T, f *fixture) {
	d, e, address := f.d, f.e, f.address
	c := d.Dial(address, e)
	thief := f.enterprise(false)
	j := c.Prepare("sector", "industry", 0, subjects(0, 1, nil))
	t.Run("another's certificate", func(t *testing.T) {
		wantRefusal(t, d.Dial(address, thief).Send(j), ledger.ReasonWrongIdentity)
	})
	t.Run("another's signature", func(t *testing.T) {
		forged := *j
		forged.Request = enclavetest.Sign(t, thief.Signing, j.Header, j.Request.GetBlinded())
		wantRefusal(t, c.Send(&forged), ledger.ReasonBadSignature)
	})
	t.Run("another payload", func(t *testing.T) {
		other := c.Prepare("sector", "industry", 0, subjects(1, 2, nil))
		other.Request.Header, other.Request.Signature = j.Request.GetHeader(), j.Request.GetSignature()
		wantRefusal(t, c.Send(other), ledger.ReasonBadRequest)
	})
	t.Run("another log", func(t *testing.T) {
		other := *j
		other.Header.Origin = "other.example/yingbi"
		other.Request = enclavetest.Sign(t, e.Signing, other.Header, j.Request.GetBlinded())
		wantRefusal(t, c.Send(&other), ledger.ReasonWrongOrigin)
	})
	t.Run("bytes that are no elements", func(t *testing.T) {
		other := *j
		other.Request = enclavetest.Sign(t, e.Signing, j.Header, bytes.Repeat([]byte{0xff}, 32))
		wantRefusal(t, c.Send(&other), ledger.ReasonBadRequest)
	})
	t.Run("a job of another's", func(t *testing.T) {
		c.MustSend(j)
		_, err := d.Dial(address, thief).Receipt(t.Context(), &pb.ReceiptRequest{Job: j.Header.Job})
		wantRefusal(t, err, ledger.ReasonUnknownJob)
	})
}
