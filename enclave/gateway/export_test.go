package gateway

import (
	"runtime"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/release"
)

// SkipKernel makes evaluations cost nothing, to measure what is around them.
func (g *Gateway) SkipKernel() {
	g.kernel = func(_ *release.Evaluator, blinded []byte) ([]byte, []byte, error) {
		return blinded, make([]byte, oprf.ProofSize), nil
	}
}

// BeforeSettling runs f after a kernel and before the job settles.
func (g *Gateway) BeforeSettling(f func()) {
	kernel := g.kernel
	g.kernel = func(e *release.Evaluator, blinded []byte) ([]byte, []byte, error) {
		evaluated, proof, err := kernel(e, blinded)
		f()
		return evaluated, proof, err
	}
}

// OneKernel lets one kernel run at a time, and tells f of each.
func (g *Gateway) OneKernel(f func(blinded []byte)) {
	g.limit = newLimiter(1, 64, 64)
	kernel := g.kernel
	g.kernel = func(e *release.Evaluator, blinded []byte) ([]byte, []byte, error) {
		f(blinded)
		return kernel(e, blinded)
	}
}

// UntilWaiting returns when n calls wait for a kernel.
func (g *Gateway) UntilWaiting(n int) {
	for there := false; !there; runtime.Gosched() {
		g.limit.mu.Lock()
		there = g.limit.waiting == n
		g.limit.mu.Unlock()
	}
}
