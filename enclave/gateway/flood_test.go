package gateway_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// A flood of refused jobs makes twenty entries a minute and one that counts the
// rest, the last at the latest when the gateway closes, as it does on SIGTERM.
// None is lost.
func TestAFloodOfDenialsCoalesces(t *testing.T) {
	c := newCaller(t)
	g, err := c.d.Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const callers, each = 16, 25
	var wg sync.WaitGroup
	for range callers {
		req := c.request("public-governance", 1)
		wg.Go(func() {
			for range each {
				if _, err := g.Evaluate(t.Context(), c.who, req); err != nil {
					want(t, err, ledger.ReasonPurposeNoBasis)
				}
			}
		})
	}
	wg.Wait()
	if n := len(c.entries(ledger.KindDenied)); n > 20 {
		t.Errorf("%d entries while the flood lasts, want at most 20", n)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, e := range c.entries(ledger.KindDenied) {
		sum += e.Denied.Count
	}
	if sum != callers*each {
		t.Errorf("%d denials in the log, want %d", sum, callers*each)
	}
}

// What a process that is killed loses is bounded: a window that is over is
// logged by the upkeep, whether anybody calls or not.
func TestCountedDenialsAreLoggedWithinAWindow(t *testing.T) {
	c := newCaller(t)
	for range 25 {
		_, err := c.submit(c.request("public-governance", 1))
		want(t, err, ledger.ReasonPurposeNoBasis)
	}
	c.d.Clock.Advance(time.Minute)
	deadline := time.Now().Add(20 * time.Second)
	for len(c.entries(ledger.KindDenied)) != 21 {
		if time.Now().After(deadline) {
			t.Fatal("the upkeep has not logged the counted denials")
		}
		time.Sleep(50 * time.Millisecond) // the upkeep looks once a second
	}
}

// A gateway with one kernel, a greedy enterprise with twelve calls and a modest
// one: the modest one's call runs after at most one more kernel of the other's,
// however many wait.
func TestAGreedyEnterpriseDoesNotStarveAnother(t *testing.T) {
	modest := newCaller(t)
	_, blinded, err := oprf.Blind([][]byte{[]byte("y")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := modest.d.Enterprise(enclavetest.Southern)
	modest.d.MustApply(enclavetest.Grants(e.Code))
	greedy := &caller{d: modest.d, g: modest.g, e: e, who: vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: e.Code}, blinded: blinded}

	turn, ran := make(chan struct{}), make(chan []byte, 64)
	modest.g.OneKernel(func(blinded []byte) {
		ran <- blinded
		<-turn
	})
	var wg sync.WaitGroup
	ask := func(c *caller) {
		req := c.request("industry", 1)
		wg.Go(func() {
			if _, err := c.submit(req); err != nil {
				t.Error(err)
			}
		})
	}
	for range 12 {
		ask(greedy)
	}
	modest.g.UntilWaiting(11) // one runs
	ask(modest)
	modest.g.UntilWaiting(12)
	kernels := 0
	for b := <-ran; !bytes.Equal(b, modest.blinded); b = <-ran {
		kernels++
		turn <- struct{}{}
	}
	if kernels > 2 {
		t.Errorf("%d kernels ran before the modest enterprise's, want at most the one under way and one more", kernels)
	}
	close(turn)
	wg.Wait()
}
