package sdk_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// wireAttacks are what whoever can send requests may try.
var wireAttacks = []attack{
	{"replay of a settled request", refused, "one entry a job id, the same bytes again", func(t *testing.T, f *battlefield) {
		c := f.enterprise()
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
		c.MustSend(j)
		first := j.Response
		c.MustSend(j)
		if !bytes.Equal(first.GetEvaluated(), j.Response.GetEvaluated()) || !bytes.Equal(first.GetReceipt().GetEntry(), j.Response.GetReceipt().GetEntry()) {
			t.Error("the replay got another answer")
		}
		if n := f.entries(t, c.Code, ledger.KindCall); n != 1 {
			t.Errorf("%d entries, want 1", n)
		}
	}},
	{"replay by another enterprise", refused, "WRONG_IDENTITY: the header names another than the certificate", func(t *testing.T, f *battlefield) {
		c, thief := f.enterprise(), f.enterprise()
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
		c.MustSend(j)
		_, err := thief.Evaluate(t.Context(), j.Request)
		wantReason(t, err, ledger.ReasonWrongIdentity)
	}},
	{"altered request", refused, "BAD_SIGNATURE or BAD_REQUEST, whatever bit", func(t *testing.T, f *battlefield) {
		c := f.enterprise()
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}, {enclavetest.Account(2)}})
		for i := 0; i < len(j.Request.Header); i += 7 {
			altered := &pb.EvaluateRequest{Header: bytes.Clone(j.Request.Header), Signature: j.Request.Signature, Blinded: j.Request.Blinded}
			altered.Header[i] ^= 1 << (i % 7)
			_, err := c.Evaluate(t.Context(), altered)
			wantReason(t, err, ledger.ReasonBadSignature, ledger.ReasonBadRequest, ledger.ReasonWrongIdentity)
		}
		for i := range j.Request.Signature {
			altered := &pb.EvaluateRequest{Header: j.Request.Header, Signature: bytes.Clone(j.Request.Signature), Blinded: j.Request.Blinded}
			altered.Signature[i] ^= 1 << (i % 8)
			_, err := c.Evaluate(t.Context(), altered)
			wantReason(t, err, ledger.ReasonBadSignature)
		}
		altered := &pb.EvaluateRequest{Header: j.Request.Header, Signature: j.Request.Signature, Blinded: bytes.Clone(j.Request.Blinded)}
		altered.Blinded[40] ^= 1
		_, err := c.Evaluate(t.Context(), altered)
		wantReason(t, err, ledger.ReasonBadRequest)
		if n := f.entries(t, c.Code, ledger.KindCall, ledger.KindDenied); n != 0 {
			t.Errorf("%d entries, want none", n)
		}
	}},
	{"another request under a settled job id", refused, "JOB_REUSED", func(t *testing.T, f *battlefield) {
		c := f.enterprise()
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
		c.MustSend(j)
		other := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(2)}})
		other.Header.Job = j.Header.Job
		_, err := c.Evaluate(t.Context(), enclavetest.Sign(t, c.Signing, other.Header, other.Request.Blinded))
		wantReason(t, err, ledger.ReasonJobReused)
	}},
	{"swapped blinded elements", refused, "BAD_REQUEST: the signed digest is of another order", func(t *testing.T, f *battlefield) {
		c := f.enterprise()
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}, {enclavetest.Account(2)}})
		b := j.Request.Blinded
		j.Request.Blinded = append(bytes.Clone(b[oprf.ElementSize:]), b[:oprf.ElementSize]...)
		_, err := c.Evaluate(t.Context(), j.Request)
		wantReason(t, err, ledger.ReasonBadRequest)
	}},
	{"quota race with 64 clients", refused, "QUOTA_EXHAUSTED: charged in the transaction that settles", quotaRace},
	{"lookups without an evaluation", refused, "UNKNOWN_JOB", func(t *testing.T, f *battlefield) {
		c := f.enterprise()
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}}) // and never sent
		_, err := c.Lookup(t.Context(), &pb.LookupRequest{Job: j.Header.Job, Queries: [][]byte{make([]byte, j.Descriptor.Lattice.QueryBytes)}})
		wantReason(t, err, ledger.ReasonUnknownJob)
	}},
	{"lookups beyond the evaluations", refused, "LOOKUPS_EXHAUSTED: a query stands under its index", func(t *testing.T, f *battlefield) {
		c := f.enterprise()
		j, _, err := c.Verify("sector", "industry", [][]string{{enclavetest.Account(1)}})
		if err != nil {
			t.Fatal(err)
		}
		const paid = 1 + 4 // a subject and the product's padding
		query := func(first uint32, fill byte, n int) error {
			req := &pb.LookupRequest{Job: j.Header.Job, First: first}
			for range n {
				req.Queries = append(req.Queries, bytes.Repeat([]byte{fill}, j.Descriptor.Lattice.QueryBytes))
			}
			_, err := c.Lookup(t.Context(), req)
			return err
		}
		wantReason(t, query(paid, 0, 1), ledger.ReasonLookupsExhausted)    // beyond the end
		wantReason(t, query(paid-1, 0, 2), ledger.ReasonLookupsExhausted)  // over the end
		wantReason(t, query(1<<32-1, 0, 2), ledger.ReasonLookupsExhausted) // around the end of 32 bits
		wantReason(t, query(0, 0, 1), ledger.ReasonLookupsExhausted)       // another query under a used index
		if err := query(1, 0, 1); err != nil {
			t.Errorf("padding: %v", err)
		}
		wantReason(t, query(1, 0xff, 1), ledger.ReasonLookupsExhausted)
	}},
	{"lookups of another's job", refused, "UNKNOWN_JOB: as unknown as none", func(t *testing.T, f *battlefield) {
		c, thief := f.enterprise(), f.enterprise()
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
		c.MustSend(j)
		_, err := thief.Lookup(t.Context(), &pb.LookupRequest{Job: j.Header.Job, Queries: [][]byte{make([]byte, j.Descriptor.Lattice.QueryBytes)}})
		wantReason(t, err, ledger.ReasonUnknownJob)
		_, err = thief.Receipt(t.Context(), &pb.ReceiptRequest{Job: j.Header.Job})
		wantReason(t, err, ledger.ReasonUnknownJob)
	}},
	{"an epoch that never was", refused, "EPOCH_ENDED", func(t *testing.T, f *battlefield) {
		c := f.enterprise()
		for _, epoch := range []int{2, 1 << 30} {
			j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
			j.Header.Epoch = epoch
			_, err := c.Evaluate(t.Context(), enclavetest.Sign(t, c.Signing, j.Header, j.Request.Blinded))
			wantReason(t, err, ledger.ReasonEpochEnded)
		}
	}},
	{"log injection in every field of a header", refused, "BAD_REQUEST: fields have alphabets", logInjection},
	{"path traversal in every id", refused, "ids have alphabets, and name rows, not files", pathTraversal},
}

// quotaRace: 64 clients of one enterprise, each on a connection of its own, ask
// for 3 of 40 subjects at once. 13 settle.
func quotaRace(t *testing.T, f *battlefield) {
	e := f.Enterprise(f.code())
	f.MustApply(enclavetest.Grants(e.Code))
	clients := make([]*enclavetest.Client, 64)
	jobs := make([]*enclavetest.Job, len(clients))
	for i := range clients {
		clients[i] = f.Dial(f.address, e)
		jobs[i] = clients[i].Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}, {enclavetest.Account(2)}, {enclavetest.Account(3)}})
	}
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			err := c.Send(jobs[i])
			for reason(err) == ledger.ReasonRateLimited || reason(err) == ledger.ReasonUnavailable {
				err = c.Send(jobs[i])
			}
			if err != nil {
				wantReason(t, err, ledger.ReasonQuotaExhausted)
			}
		})
	}
	wg.Wait()
	if n := f.entries(t, e.Code, ledger.KindCall); n != 13 {
		t.Errorf("%d jobs of 3 settled, want 13 within 40", n)
	}
}

// reason is the gateway's for a refusal; "" for none.
func reason(err error) ledger.Reason {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return ledger.Reason(info.GetReason())
		}
	}
	return ""
}

// hostile are texts that would forge lines, colours or columns where they are
// printed, or that end a string early.
var hostile = []string{
	"a\nlevel=INFO msg=settled", "a\r\n2026-11-24 call", "\x1b[2J\x1b[31mclean", "a\x00b", "\u0085next", "\u202elast", "\x7f\x08\x08", `a","kind":"exemption`, "<script>", strings.Repeat("a", 1<<12),
}

// logInjection signs headers with a hostile text in each field of text: none
// becomes an entry, and none comes back.
func logInjection(t *testing.T, f *battlefield) {
	c := f.enterprise()
	j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
	for _, field := range []string{"job", "enterprise", "product", "purpose", "kind", "grant", "origin", "costCentre", "consentRoot", "renews", "payloads"} {
		for _, text := range hostile {
			var h map[string]any
			if err := json.Unmarshal(j.Request.Header, &h); err != nil {
				t.Fatal(err)
			}
			h[field] = text
			if field == "payloads" {
				h[field] = []string{text}
			}
			header, err := ledger.Canonical(h)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Evaluate(t.Context(), &pb.EvaluateRequest{
				Header: header, Signature: ledger.Sign(c.Signing, ledger.ContextRequest, header), Blinded: j.Request.Blinded,
			})
			if field == "origin" && text == "<script>" { // printable: a name, and another log's
				wantReason(t, err, ledger.ReasonWrongOrigin)
				continue
			}
			wantReason(t, err, ledger.ReasonBadRequest)
		}
	}
	if n := f.entries(t, c.Code, ledger.KindCall, ledger.KindDenied); n != 1 {
		t.Errorf("%d entries, want the one of another log's name", n)
	}
	for _, text := range hostile {
		_, err := c.Quote(t.Context(), &pb.QuoteRequest{Product: "sector", Purpose: strings.ToValidUTF8(text, "?"), Units: 1})
		if err != nil {
			wantReason(t, err, ledger.ReasonBadRequest)
		}
		_, err = c.Quote(t.Context(), &pb.QuoteRequest{Product: strings.ToValidUTF8(text, "?"), Purpose: "industry", Units: 1})
		wantReason(t, err, ledger.ReasonUnknownProduct, ledger.ReasonBadRequest)
	}
}

// pathTraversal: nothing that names a thing reaches a file.
func pathTraversal(t *testing.T, f *battlefield) {
	c := f.enterprise()
	for _, id := range []string{"../../etc/passwd", "/etc/passwd", "..", "sector/../../keyring", "sector-1-1.tbl", "..%2f..%2fkeyring", `..\..\keyring`, "C:keyring", "sector\x00", "./sector"} {
		_, err := c.Checkpoint(t.Context(), &pb.CheckpointRequest{Product: id})
		wantReason(t, err, ledger.ReasonUnknownProduct)
		_, err = c.Receipt(t.Context(), &pb.ReceiptRequest{Job: id})
		wantReason(t, err, ledger.ReasonBadRequest)
		_, err = c.Lookup(t.Context(), &pb.LookupRequest{Job: (id + strings.Repeat("/", 36))[:36], Queries: [][]byte{{0}}})
		wantReason(t, err, ledger.ReasonBadRequest)
		stream, err := c.PublicPart(t.Context(), &pb.PublicPartRequest{Digest: "sha256:" + id})
		if err == nil {
			_, err = stream.Recv()
		}
		wantReason(t, err, ledger.ReasonUnknownProduct)
		doc := strings.Replace(enclavetest.SectorProduct, "id: sector\n", "id: "+string(mustJSON(t, id))+"\n", 1)
		if id != "sector-1-1.tbl" { // which is a good id, and no path
			if docs, err := vocabulary.Parse("attack.yaml", []byte(doc)); err == nil {
				t.Errorf("a manifest of id %q is taken: %v", id, docs)
			}
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
