package dot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

const benchCells = 1_000_000

// benchOperand shares one measure's cells between all measures: times do not
// depend on the cells, memory traffic does, so the groups are copied.
func benchOperand(b *testing.B, set string, measures int) *Operand {
	n := uint64(benchCells)
	p := Params{Set: set, Cells: benchCells, Measures: measures, MaxCell: 16, Norm1: 16 * n, Norm2Squared: 256 * n, MaxSum: MaxWeight * 16 * n}
	if set == SetCompact {
		p.MaxCell, p.Norm1, p.Norm2Squared, p.MaxSum = 1, n/16, n/16, MaxWeight*n/16
	}
	if err := p.Validate(); err != nil {
		b.Fatal(err)
	}
	one := p
	one.Measures = 1
	o := prepare(b, one, [][]uint32{fill(benchCells, func(i int) uint32 { return uint32(i & 31 / 31) })})
	o.public.Measures = measures
	for m := 1; m < measures; m++ {
		var groups [][]uint32
		for _, g := range o.cells[0] {
			groups = append(groups, append([]uint32(nil), g...))
		}
		o.cells = append(o.cells, groups)
	}
	return o
}

// A million cells on one core: "sums" are the products and the protection of
// the answer, "protect" the latter alone, "whole" everything from wire to wire:
// also reading, hashing, unpacking and expanding the query, which is the same
// for any number of measures.
//
//	go test -run '^$' -bench . ./compute/dot
func BenchmarkAnswer(b *testing.B) {
	for _, set := range []string{SetFull, SetCompact} {
		for _, measures := range []int{1, 16} {
			o := benchOperand(b, set, measures)
			_, wire := newQuery(b, o, "bench", constant(benchCells, 1000))
			name := fmt.Sprintf("%s/%d", set, measures)
			b.Run(name+"/whole", func(b *testing.B) {
				timed(b, func() {
					if _, err := o.Answer(context.Background(), bytes.NewReader(wire)); err != nil {
						b.Fatal(err)
					}
				})
				b.ReportMetric(float64(len(wire)), "B-up")
				b.ReportMetric(float64(o.public.AnswerBytes()), "B-down")
			})
			a := benchAnswering(b, o)
			b.Run(name+"/sums", func(b *testing.B) {
				timed(b, func() {
					for first := 0; first < o.public.blocks(); first += groupBlocks {
						a.multiply(first/groupBlocks, min(groupBlocks, o.public.blocks()-first))
					}
					for m := range a.sums {
						a.protect(nil, m, [32]byte{})
						clear(a.sums[m])
					}
				})
			})
			b.Run(name+"/protect", func(b *testing.B) {
				timed(b, func() {
					for m := range a.sums {
						a.protect(nil, m, [32]byte{})
					}
				})
			})
		}
	}
}

func benchAnswering(b *testing.B, o *Operand) *answering {
	a := &answering{operand: o, set: o.set, a: make([]uint32, o.set.elements()), b: make([]uint32, o.set.elements())}
	a.group = make([]uint32, 2*groupBlocks*o.set.elements())
	x, n := rlwe.NewExpander("bench", new([32]byte), "group", 0), 2*groupBlocks*o.set.degree
	for i, ring := range o.set.rings() {
		x.Uniform(a.group[i*n:][:n], &ring.Prime)
	}
	for range o.public.Measures {
		a.sums = append(a.sums, make([]uint64, 2*o.set.elements()))
	}
	return a
}

func BenchmarkQuery(b *testing.B) {
	for _, set := range []string{SetFull, SetCompact} {
		o := benchOperand(b, set, 1)
		weights := constant(benchCells, 1000)
		b.Run(set+"/encrypt", func(b *testing.B) {
			timed(b, func() {
				q, err := NewQuery(o.Public(), &jobKey, "bench", weights)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := q.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			})
		})
		q, wire := newQuery(b, o, "bench", weights)
		a := answer(b, o, wire)
		b.Run(set+"/decrypt", func(b *testing.B) {
			timed(b, func() {
				if _, err := q.Decrypt(a); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkPrepare(b *testing.B) {
	for _, set := range []string{SetFull, SetCompact} {
		o := benchOperand(b, set, 1)
		cells := [][]uint32{constant(benchCells, 0)}
		b.Run(set, func(b *testing.B) {
			timed(b, func() { prepare(b, o.public.Params, cells) })
		})
	}
}

// timed runs f on one locked thread and reports its CPU time beside the wall
// clock, because the machines these run on are shared.
func timed(b *testing.B, f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f() // caches and pages
	b.ResetTimer()
	start, n := threadTime(), 0
	for b.Loop() {
		f()
		n++
	}
	b.ReportMetric(float64(threadTime()-start)/float64(n)/1e6, "cpu-ms/op")
}
