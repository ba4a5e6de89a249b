package gateway

import (
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
