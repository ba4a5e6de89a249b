package release_test

import (
	"errors"
	"testing"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// weighed is the census under privacy, to be weighed, with counts below the
// threshold not shown.
func weighed(threshold int64) *vocabulary.Product {
	return census(func(a *vocabulary.Aggregate) {
		noised(a)
		a.Privacy.Threshold = threshold
		a.Answers, a.Measures = []string{vocabulary.AnswerCells, vocabulary.AnswerWeights}, a.Measures[:1]
		a.Measures[0].Scale = 1
	})
}

// Noise that leaves no cell above the threshold is published all the same: a
// refusal would tell of the rows, and let noise be drawn again for nothing.
func TestNoRefusalDependsOnNoise(t *testing.T) {
	b := newBench(t)
	for _, threshold := range []int64{0, 1 << 40} {
		c, _ := b.cells(population(100), weighed(threshold), 1)
		if d := c.Descriptor(); (d.Weights != nil) != (threshold == 0) {
			t.Errorf("threshold %d: weights %+v", threshold, d.Weights)
		}
	}
}

// What can not be weighed is refused before a row is read.
func TestWeightsAreForeseen(t *testing.T) {
	b := newBench(t)
	p := weighed(0)
	p.Aggregate.Measures[0].Scale = 0
	table := b.seal(population(10))
	table.Close()
	_, err := release.PlanCells(t.Context(), table, b.spec(p, 1, 1, nil), release.BuildOptions{})
	if err == nil {
		t.Fatal("planned")
	}
	_, _, built := release.BuildCells(t.Context(), table, b.ring, b.spec(p, 1, 1, nil), release.CellsPath(b.dir, p.ID, 1, 1), release.BuildOptions{})
	if cause := new(cells.QueryError); built == nil || errors.As(err, &cause) != errors.As(built, &cause) {
		t.Errorf("planned: %v; built: %v", err, built)
	}
}
