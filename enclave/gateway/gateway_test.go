package gateway_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// caller is an enterprise in the gateway's own process.
type caller struct {
	d       *enclavetest.Domain
	g       *gateway.Gateway
	e       *enclavetest.Enterprise
	who     vocabulary.Identity
	blinded []byte // one element
}

func newCaller(t testing.TB) *caller {
	t.Helper()
	d, e := enclavetest.Published(t)
	_, blinded, err := oprf.Blind([][]byte{[]byte("x")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{d: d, g: d.OpenGateway(), e: e, who: vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: e.Code}, blinded: blinded}
}

// request is a job of n subjects (the same element n times: a gateway cannot
// care).
func (c *caller) request(purpose string, n int) *pb.EvaluateRequest {
	return enclavetest.Sign(c.d.T, c.e.Signing, c.d.Header(c.e.Code, "sector", purpose, 1, int64(n)), bytes.Repeat(c.blinded, n))
}

func (c *caller) submit(req *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
	return c.g.Evaluate(c.d.T.Context(), c.who, req)
}

func (c *caller) entries(kinds ...ledger.Kind) []*ledger.Entry {
	c.d.T.Helper()
	var out []*ledger.Entry
	for e, err := range c.d.Entries(c.d.T.Context(), state.Filter{Kinds: kinds}) {
		if err != nil {
			c.d.T.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func want(t *testing.T, err error, reason ledger.Reason) {
	t.Helper()
	if got := gateway.ReasonOf(err); got != reason {
		t.Errorf("got %q (%v), want %s", got, err, reason)
	}
}

// Many callers with one job id: one entry, the same bytes for all.
func TestOneJobSettlesOnce(t *testing.T) {
	c := newCaller(t)
	req := c.request("industry", 2)
	var wg sync.WaitGroup
	answers := make([][]byte, 8)
	for i := range answers {
		wg.Go(func() {
			resp, err := c.submit(req)
			if err != nil {
				t.Error(err)
				return
			}
			answers[i] = append(resp.GetEvaluated(), resp.GetProof()...)
		})
	}
	wg.Wait()
	for i := range answers {
		if !bytes.Equal(answers[i], answers[0]) {
			t.Errorf("caller %d got other bytes", i)
		}
	}
	if n := len(c.entries(ledger.KindCall)); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

// Many callers at one quota: exactly what it allows settles.
func TestQuotaUnderConcurrency(t *testing.T) {
	c := newCaller(t)
	c.g.SkipKernel()
	var wg sync.WaitGroup
	for range 12 {
		req := c.request("industry", 7) // of 40 a day
		wg.Go(func() {
			if _, err := c.submit(req); err != nil {
				want(t, err, ledger.ReasonQuotaExhausted)
			}
		})
	}
	wg.Wait()
	if n := len(c.entries(ledger.KindCall)); n != 5 {
		t.Errorf("%d jobs of 7 subjects settled, want 5 of 40", n)
	}
}

// A grant that is revoked between a job's decision and its settlement stops it:
// no job settles after an entry that forbids it.
func TestRevocationBeforeSettlement(t *testing.T) {
	c := newCaller(t)
	revoke := sync.OnceFunc(func() {
		for _, grant := range []string{"industry-91330100ma2axk7t8p"} {
			if _, err := c.d.Revoke(t.Context(), grant, ledger.ReasonBreachOfContract); err != nil {
				t.Error(err)
			}
		}
	})
	c.g.BeforeSettling(revoke)
	_, err := c.submit(c.request("industry", 1))
	want(t, err, ledger.ReasonGrantRevoked)
	if n := len(c.entries(ledger.KindCall)); n != 0 {
		t.Errorf("%d jobs settled", n)
	}
	denied := c.entries(ledger.KindDenied)
	if len(denied) != 1 || denied[0].Denied.Reason != ledger.ReasonGrantRevoked {
		t.Errorf("denied entries %v", denied)
	}
}

// So does a suspension of the product.
func TestSuspensionBeforeSettlement(t *testing.T) {
	c := newCaller(t)
	c.g.BeforeSettling(sync.OnceFunc(func() {
		if _, err := c.d.Suspend(t.Context(), "sector", ledger.ReasonRiskFound); err != nil {
			t.Error(err)
		}
	}))
	_, err := c.submit(c.request("industry", 1))
	want(t, err, ledger.ReasonSuspended)
}

// A change that does not concern the job in between does not hurt it.
func TestAnotherChangeBeforeSettlement(t *testing.T) {
	c := newCaller(t)
	c.g.BeforeSettling(sync.OnceFunc(func() {
		c.d.MustApply("kind: NegativeList\nid: other\ntitle: {en: Other}\ncolumns: [\"*.home_address\"]\n")
	}))
	if _, err := c.submit(c.request("industry", 1)); err != nil {
		t.Error(err)
	}
}

// Denials above the rate become one counted entry, at the latest when the
// gateway closes.
func TestDenialsAreCounted(t *testing.T) {
	c := newCaller(t)
	for range 25 {
		_, err := c.submit(c.request("public-governance", 1))
		want(t, err, ledger.ReasonPurposeNoBasis)
	}
	if n := len(c.entries(ledger.KindDenied)); n != 20 {
		t.Errorf("%d denied entries, want 20", n)
	}
	c.d.Clock.Advance(time.Minute)
	_, err := c.submit(c.request("public-governance", 1))
	want(t, err, ledger.ReasonPurposeNoBasis)
	denied := c.entries(ledger.KindDenied)
	if len(denied) != 22 || denied[20].Denied.Count != 5 || denied[20].Denied.Header != nil {
		t.Errorf("%d denied entries, the counted one %+v; want 22 and 5 counted", len(denied), denied[20].Denied)
	}
}

// What is not shown to come from the enterprise makes no entry.
func TestUnauthenticatedRefusalsAreNoEntries(t *testing.T) {
	c := newCaller(t)
	req := c.request("industry", 1)
	other := c.d.Header(c.e.Code, "sector", "industry", 1, 1)
	other.Kind = "aggregate"
	forged := enclavetest.Sign(t, enclavetest.NewKey(t), c.d.Header(c.e.Code, "sector", "industry", 1, 1), c.blinded)
	for name, test := range map[string]struct {
		who    vocabulary.Identity
		req    *pb.EvaluateRequest
		reason ledger.Reason
	}{
		"no header":             {c.who, &pb.EvaluateRequest{}, ledger.ReasonBadRequest},
		"a header with more":    {c.who, &pb.EvaluateRequest{Header: append(bytes.Clone(req.GetHeader()), ' '), Signature: req.GetSignature(), Blinded: req.GetBlinded()}, ledger.ReasonBadRequest},
		"a forged signature":    {c.who, forged, ledger.ReasonBadSignature},
		"an auditor":            {vocabulary.Identity{Role: vocabulary.RoleAuditor, ID: "a"}, req, ledger.ReasonWrongIdentity},
		"another enterprise":    {vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: enclavetest.Southern}, req, ledger.ReasonWrongIdentity},
		"a job of another kind": {c.who, enclavetest.Sign(t, c.e.Signing, other, c.blinded), ledger.ReasonBadRequest},
		"half an element":       {c.who, &pb.EvaluateRequest{Header: req.GetHeader(), Signature: req.GetSignature(), Blinded: c.blinded[:31]}, ledger.ReasonBadRequest},
	} {
		_, err := c.g.Evaluate(t.Context(), test.who, test.req)
		if got := gateway.ReasonOf(err); got != test.reason {
			t.Errorf("%s: got %s (%v), want %s", name, got, err, test.reason)
		}
	}
	if n := len(c.entries(ledger.KindDenied, ledger.KindCall)); n != 0 {
		t.Errorf("%d entries, want none", n)
	}
}

// The gateway serves another process's publication as soon as it is logged, and
// a table whose file is damaged serves nobody.
func TestATableThatDoesNotOpen(t *testing.T) {
	c := newCaller(t)
	_, err := c.g.PublicPart(t.Context(), c.who, "sha256:00")
	want(t, err, ledger.ReasonUnknownProduct)
	versions, err := c.d.Versions(t.Context(), "sector")
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.g.PublicPart(t.Context(), c.who, versions[0].Lattice.Answer)
	if err != nil || len(part) != versions[0].Lattice.PublicBytes {
		t.Errorf("%d bytes, %v", len(part), err)
	}
	var e *gateway.Error
	_, err = c.g.Checkpoint(t.Context(), c.who, &pb.CheckpointRequest{Since: 1 << 40})
	if !errors.As(err, &e) || e.Reason != ledger.ReasonBadRequest {
		t.Errorf("a checkpoint of the future: %v", err)
	}
}
